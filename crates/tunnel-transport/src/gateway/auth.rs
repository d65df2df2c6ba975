//! Who may connect as an agent.

use std::{fmt, future::Future, net::SocketAddr, pin::Pin, sync::Arc};

use http::{HeaderMap, HeaderValue, header};
use subtle::ConstantTimeEq;
use tunnel_core::TlsIdentity;

use super::{AllowedGroups, AllowedHosts, AllowedServices};

/// What an agent showed when it opened its session, or has shown since.
#[derive(Clone, Debug)]
pub struct AgentCredentials {
    /// The gRPC metadata of the call; values that are secret are marked so, and not printed.
    pub headers: HeaderMap,
    /// The address that it came from, if the server said so.
    pub peer: Option<SocketAddr>,
    /// What its verified certificate says, if it showed one.
    pub tls: Option<TlsIdentity>,
}

impl AgentCredentials {
    /// What the agent shows from now on as `authorization`; what cannot stand there is the same as nothing.
    pub(super) fn show(&mut self, authorization: &[u8]) {
        self.headers.remove(header::AUTHORIZATION);
        if let Ok(mut value) = HeaderValue::from_bytes(authorization) {
            value.set_sensitive(true);
            self.headers.insert(header::AUTHORIZATION, value);
        }
    }
}

/// Who an agent is, and what it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentIdentity {
    /// The name of the credentials, for the log.
    pub name: Arc<str>,
    /// The groups that it may register.
    pub groups: AllowedGroups,
    /// The gRPC services that it may register.
    pub services: AllowedServices,
    /// The hosts that it may register.
    pub hosts: AllowedHosts,
}

impl AgentIdentity {
    /// An agent that may register these groups, and every service and host.
    pub fn new(name: impl Into<Arc<str>>, groups: AllowedGroups) -> Self {
        Self {
            name: name.into(),
            groups,
            services: AllowedServices::All,
            hosts: AllowedHosts::All,
        }
    }
}

/// Why an agent may not connect. The text goes to the agent, so it must not tell what would be valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AuthRejection {
    message: String,
    temporary: bool,
}

impl AuthRejection {
    /// The credentials are not valid. The agent does not try again by itself.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            temporary: false,
        }
    }

    /// Nobody could say at the moment. The agent tries again; a session that it has goes on.
    pub fn temporary(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            temporary: true,
        }
    }

    /// Whether it may be otherwise in a moment.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        self.temporary
    }
}

/// The answer of an [`AgentAuth`]. Boxed, because the trait is used as an object: once for each session, not each request.
pub type AuthFuture<'a> = Pin<Box<dyn Future<Output = Result<AgentIdentity, AuthRejection>> + Send + 'a>>;

/// Decides whether an agent may connect. [`AgentTokens`] is the ready-made one.
pub trait AgentAuth: fmt::Debug + Send + Sync + 'static {
    /// Looks at what an agent showed: when it opens its session, and again from time to time while it has it, and when it shows
    /// others, so that credentials can be taken back (see [`GatewayBuilder::recheck_agents`](super::GatewayBuilder::recheck_agents)).
    ///
    /// # Errors
    ///
    /// The agent is told the text, and gRPC's UNAUTHENTICATED, or UNAVAILABLE if it is temporary.
    fn authenticate(&self, credentials: AgentCredentials) -> AuthFuture<'_>;
}

/// Tokens, each bound to the groups that its bearer may register. Several may be valid at once, so that they can be
/// changed one after the other.
///
/// Tokens are compared in constant time, all of them each time; only their lengths can be told from outside. `Debug` shows
/// their names.
#[derive(Clone, Default)]
pub struct AgentTokens(Vec<Token>);

#[derive(Clone)]
struct Token {
    name: Arc<str>,
    secret: Arc<[u8]>,
    groups: AllowedGroups,
}

/// A token that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// Too short to be secret.
    #[error("the token {0:?} has fewer than {MIN_TOKEN_BYTES} bytes; make one with `openssl rand -hex 32`")]
    TooShort(String),
    /// Not fit for a header.
    #[error("the token {0:?} has characters other than visible ASCII")]
    NotVisible(String),
    /// Two tokens with one name.
    #[error("there are two tokens with the name {0:?}")]
    DuplicateName(String),
}

/// The shortest token that is taken, in bytes.
pub const MIN_TOKEN_BYTES: usize = 16;

impl AgentTokens {
    /// No tokens: nobody may connect.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a token. `name` is for the log only.
    ///
    /// # Errors
    ///
    /// The token is shorter than [`MIN_TOKEN_BYTES`] or is not visible ASCII, or the name is taken.
    pub fn token(mut self, name: &str, secret: &str, groups: AllowedGroups) -> Result<Self, InvalidToken> {
        if secret.len() < MIN_TOKEN_BYTES {
            return Err(InvalidToken::TooShort(name.to_owned()));
        }
        if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidToken::NotVisible(name.to_owned()));
        }
        if self.0.iter().any(|token| &*token.name == name) {
            return Err(InvalidToken::DuplicateName(name.to_owned()));
        }
        self.0.push(Token {
            name: name.into(),
            secret: secret.as_bytes().into(),
            groups,
        });
        Ok(self)
    }

    fn identify(&self, headers: &HeaderMap) -> Result<AgentIdentity, AuthRejection> {
        let shown = headers.get(header::AUTHORIZATION).ok_or_else(|| {
            AuthRejection::new("the agent showed no token: set one, as `authorization: Bearer TOKEN`")
        })?;
        let shown = shown.as_bytes().strip_prefix(b"Bearer ").unwrap_or_default();
        let mut found = None;
        for token in &self.0 {
            // All of them, whichever matches, so that the time tells nothing.
            if bool::from(token.secret.ct_eq(shown)) {
                found = Some(token);
            }
        }
        match found {
            Some(token) => Ok(AgentIdentity::new(token.name.clone(), token.groups.clone())),
            None => Err(AuthRejection::new(
                "the agent's token is not valid at this gateway",
            )),
        }
    }
}

impl AgentAuth for AgentTokens {
    fn authenticate(&self, credentials: AgentCredentials) -> AuthFuture<'_> {
        Box::pin(std::future::ready(self.identify(&credentials.headers)))
    }
}

impl fmt::Debug for AgentTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|token| &token.name))
            .finish()
    }
}

/// Lets every agent register every group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open;

impl AgentAuth for Open {
    fn authenticate(&self, _credentials: AgentCredentials) -> AuthFuture<'_> {
        let identity = AgentIdentity::new("anybody", AllowedGroups::All);
        Box::pin(std::future::ready(Ok(identity)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "0123456789abcdef";
    const SECOND: &str = "fedcba9876543210";

    fn tokens() -> AgentTokens {
        let only = AllowedGroups::Only(["demo".parse().unwrap()].into());
        AgentTokens::new()
            .token("old", FIRST, only)
            .unwrap()
            .token("new", SECOND, AllowedGroups::All)
            .unwrap()
    }

    fn identify(authorization: &str) -> Result<AgentIdentity, AuthRejection> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
        tokens().identify(&headers)
    }

    #[test]
    fn several_tokens_are_valid_at_once() {
        assert_eq!(&*identify(&format!("Bearer {FIRST}")).unwrap().name, "old");
        assert_eq!(&*identify(&format!("Bearer {SECOND}")).unwrap().name, "new");
    }

    #[test]
    fn everything_else_is_refused() {
        for wrong in [
            "Bearer ",
            "Bearer x",
            FIRST,
            "Bearer 0123456789abcdeF",
            "Basic 0123456789abcdef",
        ] {
            assert!(identify(wrong).is_err(), "{wrong}");
        }
        assert!(tokens().identify(&HeaderMap::new()).is_err());
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, format!("Bearer {FIRST}").parse().unwrap());
        assert!(AgentTokens::new().identify(&headers).is_err());
    }

    #[test]
    fn a_token_is_bound_to_its_groups() {
        let groups = identify(&format!("Bearer {FIRST}")).unwrap().groups;
        assert!(groups.allows(&"demo".parse().unwrap()));
        assert!(!groups.allows(&"other".parse().unwrap()));
    }

    #[test]
    fn weak_and_double_tokens_are_refused() {
        let add = |name, secret| tokens().token(name, secret, AllowedGroups::All).unwrap_err();
        assert_eq!(add("x", "short"), InvalidToken::TooShort("x".to_owned()));
        assert_eq!(
            add("x", "with a space in it"),
            InvalidToken::NotVisible("x".to_owned())
        );
        assert_eq!(
            add("old", "0123456789abcdefg"),
            InvalidToken::DuplicateName("old".to_owned())
        );
    }

    #[test]
    fn what_an_agent_shows_takes_the_place_of_what_it_showed_and_is_not_printed() {
        let mut credentials = AgentCredentials {
            headers: HeaderMap::new(),
            peer: None,
            tls: None,
        };
        let shown = |credentials: &AgentCredentials| credentials.headers.get(header::AUTHORIZATION).cloned();
        credentials
            .headers
            .append(header::AUTHORIZATION, HeaderValue::from_static("Bearer a"));
        credentials
            .headers
            .append(header::AUTHORIZATION, HeaderValue::from_static("Bearer b"));
        credentials.show(b"Bearer hush");
        assert_eq!(credentials.headers.len(), 1);
        assert_eq!(shown(&credentials).unwrap(), "Bearer hush");
        let message = crate::generated::Credentials {
            authorization: b"hush".as_slice().into(),
        };
        for text in [
            format!("{credentials:?}"),
            format!("{message:?}"),
            format!(
                "{:?}",
                crate::dispatch::control(crate::generated::tunnel_message::Payload::Credentials(message))
            ),
        ] {
            assert!(!text.contains("hush") && !text.contains("104, 117"), "{text}");
        }
        credentials.show(b"a\nb");
        assert!(shown(&credentials).is_none());
    }

    #[test]
    fn no_secret_is_printed() {
        let text = format!("{:?}", tokens());
        assert!(text.contains("old") && !text.contains(FIRST));
    }
}
