//! Callers that are known by their certificates.

use std::{
    future::{Ready, ready},
    sync::Arc,
};

use tunnel_core::auth::{AuthRequest, Authenticator, Decision, Principal, Rejection, SubjectAltName};

use super::{AuthConfigError, Realm, challenge, san::SanPattern};

/// Takes callers by the [`TlsIdentity`](tunnel_core::TlsIdentity) in the request's extensions: a certificate that whoever
/// accepted the connection has verified. The name of the principal is the first name of the certificate that a pattern
/// matches; the claim [`SAN`](Self::SAN) has all of them.
///
/// A caller without a certificate is answered 401 with a challenge of the scheme `ClientCertificate`, which nobody has
/// registered: there is none for certificates, and a 401 must have one. A certificate whose names are all unknown is
/// 403.
#[derive(Clone, Debug)]
pub struct MutualTls {
    patterns: Arc<[SanPattern]>,
    realm: Realm,
}

impl MutualTls {
    /// The claim that has all names of the certificate, each with its kind.
    pub const SAN: &'static str = "san";

    /// Takes certificates of which a name matches one of these.
    ///
    /// # Errors
    ///
    /// There is no pattern.
    pub fn new(patterns: impl IntoIterator<Item = SanPattern>) -> Result<Self, AuthConfigError> {
        let patterns: Arc<[_]> = patterns.into_iter().collect();
        if patterns.is_empty() {
            return Err(AuthConfigError::empty("certificate names"));
        }
        Ok(Self {
            patterns,
            realm: Realm::default(),
        })
    }

    /// What callers are told that the certificate is for.
    #[must_use]
    pub fn realm(mut self, realm: Realm) -> Self {
        self.realm = realm;
        self
    }

    fn check(&self, request: &AuthRequest<'_>) -> Result<Principal, Rejection> {
        let Some(identity) = request.tls() else {
            let challenge = challenge::header(format!("ClientCertificate realm=\"{}\"", self.realm));
            return Err(
                Rejection::missing("the connection has no client certificate").with_challenge(challenge)
            );
        };
        let known = |name: &&SubjectAltName| self.patterns.iter().any(|pattern| pattern.matches(name));
        match identity.names().iter().find(known) {
            Some(name) => {
                let all = identity.names().iter().map(ToString::to_string);
                Ok(Principal::new(text(name), "mtls").with_claim(Self::SAN, all))
            }
            None => Err(Rejection::forbidden(
                "the client certificate has no name that is let in",
            )),
        }
    }
}

fn text(name: &SubjectAltName) -> Box<str> {
    match name {
        SubjectAltName::Dns(name) => name.to_ascii_lowercase().into(),
        SubjectAltName::Uri(name) | SubjectAltName::Email(name) => name.clone(),
        SubjectAltName::Ip(addr) => addr.to_string().into(),
    }
}

impl Authenticator for MutualTls {
    type Future = Ready<Result<Principal, Rejection>>;

    fn authenticate(&self, request: &AuthRequest<'_>) -> Self::Future {
        ready(self.check(request))
    }

    fn decide(&self, request: &AuthRequest<'_>) -> Decision<Self::Future> {
        Decision::Now(self.check(request))
    }
}
