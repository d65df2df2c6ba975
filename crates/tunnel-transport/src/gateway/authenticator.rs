//! Agents that are known by the same credentials as callers.

use std::{any::type_name, collections::BTreeSet, fmt};

use http::{Extensions, Method, uri::Scheme};
use tunnel_core::{
    PeerInfo, Principal,
    auth::{AuthRequest, Authenticator, Refusal, Rejection},
};

use super::{
    AgentAuth, AgentCredentials, AgentIdentity, AllowedGroups, AllowedHosts, AllowedServices, AuthFuture,
    AuthRejection,
};

/// Guards the agents' port by any [`Authenticator`]: tokens, client certificates, JSON Web Tokens, an authorization server, or
/// your own. What a principal may register is said by a function.
///
/// ```
/// use tunnel_core::auth::{AuthParts, Principal, Rejection, auth_fn};
/// use tunnel_transport::{Gateway, gateway::AgentAuthenticator};
///
/// async fn by_certificate(request: AuthParts) -> Result<Principal, Rejection> {
///     let identity = request.tls.ok_or_else(|| Rejection::missing("show a certificate"))?;
///     let name = identity.names().first().ok_or_else(|| Rejection::forbidden("the certificate has no name"))?;
///     Ok(Principal::new(name.to_string(), "mtls").with_claim("groups", ["billing"]))
/// }
///
/// let gateway = Gateway::builder()
///     .agent_auth(AgentAuthenticator::by_claims(auth_fn(by_certificate)))
///     .build();
/// ```
pub struct AgentAuthenticator<A> {
    authenticator: A,
    rights: Rights,
}

type Rights = Box<dyn Fn(&Principal) -> AgentIdentity + Send + Sync>;

/// The claim that has the gRPC services which an agent may register.
const SERVICES: &str = "services";

/// The claim that has the hosts which an agent may register.
const HOSTS: &str = "hosts";

impl<A: Authenticator> AgentAuthenticator<A> {
    /// Takes the agents that `authenticator` takes, and lets each register what `rights` says.
    ///
    /// The name of the identity has to be the same each time for the same credentials.
    pub fn new(
        authenticator: A,
        rights: impl Fn(&Principal) -> AgentIdentity + Send + Sync + 'static,
    ) -> Self {
        Self {
            authenticator,
            rights: Box::new(rights),
        }
    }

    /// Lets an agent register the groups of its claim [`groups`](Principal::GROUPS), where `*` stands for every group and what
    /// is no name of a group is left out, and the gRPC services of its claim `services`, as
    /// [`AllowedServices::Only`] reads them, and the hosts of its claim `hosts`, as [`AllowedHosts::only`] does; without such a claim,
    /// every service, or every host.
    pub fn by_claims(authenticator: A) -> Self {
        Self::new(authenticator, by_claims)
    }
}

fn by_claims(principal: &Principal) -> AgentIdentity {
    let groups = principal.claim(Principal::GROUPS);
    let groups = match groups.iter().any(|group| &**group == "*") {
        true => AllowedGroups::All,
        false => AllowedGroups::Only(groups.iter().filter_map(|group| group.parse().ok()).collect()),
    };
    let hosts = principal.claim(HOSTS);
    let services: BTreeSet<_> = principal.claim(SERVICES).iter().cloned().collect();
    AgentIdentity {
        services: match services.is_empty() {
            true => AllowedServices::All,
            false => AllowedServices::Only(services),
        },
        hosts: match hosts.is_empty() {
            true => AllowedHosts::All,
            false => AllowedHosts::only(hosts),
        },
        ..AgentIdentity::new(principal.name(), groups)
    }
}

impl<A: Authenticator> AgentAuth for AgentAuthenticator<A> {
    fn authenticate(&self, credentials: AgentCredentials) -> AuthFuture<'_> {
        let AgentCredentials { headers, peer, tls } = credentials;
        let mut extensions = Extensions::new();
        let scheme = if tls.is_some() {
            Scheme::HTTPS
        } else {
            Scheme::HTTP
        };
        extensions.insert(PeerInfo::new(peer, scheme));
        if let Some(tls) = tls {
            extensions.insert(tls);
        }
        // What an agent calls is a gRPC method.
        let request = AuthRequest::new(&Method::POST, &headers, &extensions);
        let answer = self.authenticator.authenticate(&request);
        Box::pin(async move {
            let principal = answer.await.map_err(|rejection| refuse(&rejection))?;
            Ok((self.rights)(&principal))
        })
    }
}

fn refuse(rejection: &Rejection) -> AuthRejection {
    match rejection.refusal() {
        Refusal::Unavailable => AuthRejection::temporary(rejection.message()),
        Refusal::Missing | Refusal::Invalid | Refusal::Malformed | Refusal::Forbidden => {
            AuthRejection::new(rejection.message())
        }
    }
}

impl<A> fmt::Debug for AgentAuthenticator<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentAuthenticator")
            .field("authenticator", &type_name::<A>())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use tunnel_core::{
        TlsIdentity,
        auth::{AuthParts, SubjectAltName, auth_fn},
    };

    use super::*;

    fn credentials(token: &'static str) -> AgentCredentials {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_static(token));
        AgentCredentials {
            headers,
            peer: Some(([192, 0, 2, 1], 7).into()),
            tls: Some(TlsIdentity::new([SubjectAltName::Dns("a.example".into())])),
        }
    }

    /// Says by its first word what to answer.
    async fn check(request: AuthParts) -> Result<Principal, Rejection> {
        assert_eq!(request.tls.expect("a certificate").names().len(), 1);
        assert_eq!(
            request.peer.expect("a peer").addr,
            Some(([192, 0, 2, 1], 7).into())
        );
        let token = request.headers["authorization"].to_str().expect("text");
        match token.split_once(' ') {
            Some(("down", _)) => Err(Rejection::unavailable("later")),
            Some(("wrong", _)) => Err(Rejection::invalid("no")),
            Some((name, groups)) => Ok(Principal::new(name, "test").with_claim("groups", groups.split(' '))),
            None => Ok(Principal::new(token, "test")
                .with_claim("groups", ["*"])
                .with_claim("services", ["acme.*"])
                .with_claim("hosts", ["*.acme.example"])),
        }
    }

    #[tokio::test]
    async fn claims_say_what_an_agent_may_register() {
        let auth = AgentAuthenticator::by_claims(auth_fn(check));
        let some = auth
            .authenticate(credentials("alice demo de/mo other"))
            .await
            .unwrap();
        let only = ["demo".parse().unwrap(), "other".parse().unwrap()].into();
        assert_eq!(some, AgentIdentity::new("alice", AllowedGroups::Only(only)));

        let all = auth.authenticate(credentials("root")).await.unwrap();
        assert_eq!(all.groups, AllowedGroups::All);
        assert!(all.services.allows("acme.Billing") && !all.services.allows("other.Billing"));
        assert!(all.hosts.allows("a.acme.example") && !all.hosts.allows("other.example"));
    }

    #[tokio::test]
    async fn only_what_may_change_is_temporary() {
        let auth = AgentAuthenticator::by_claims(auth_fn(check));
        let down = auth.authenticate(credentials("down x")).await.unwrap_err();
        assert!(down.is_temporary() && down.to_string() == "later");
        let wrong = auth.authenticate(credentials("wrong x")).await.unwrap_err();
        assert!(!wrong.is_temporary());
    }
}
