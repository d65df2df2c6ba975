//! What a caller must be beside known.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;
use tunnel_core::auth::{AuthRequest, Authenticator, Decision, Principal, Rejection};

use super::{AuthConfigError, Realm, challenge::BearerChallenge};

/// Takes of those whom another authenticator takes the ones with certain claims; the others are answered 403.
///
/// ```
/// use tunnel_layers::auth::{BearerToken, BearerTokens, Require};
///
/// let token = BearerToken::new("ci", "0123456789abcdef")?.claim("scope", ["deploy"]);
/// let deployers = Require::new(BearerTokens::new([token])?).scope("deploy")?;
/// # Ok::<(), tunnel_layers::auth::AuthConfigError>(())
/// ```
#[derive(Clone)]
pub struct Require<A> {
    authenticator: A,
    demands: Arc<Demands>,
}

#[derive(Clone, Debug, Default)]
struct Demands {
    /// Each claim and the values of which one must be there.
    claims: Vec<(Box<str>, Vec<Box<str>>)>,
    /// For the challenge: the scopes, with spaces between them.
    scopes: String,
    challenge: BearerChallenge,
}

impl<A: Authenticator> Require<A> {
    /// Demands nothing yet.
    pub fn new(authenticator: A) -> Self {
        Self {
            authenticator,
            demands: Arc::default(),
        }
    }

    /// Demands this scope, beside those that were named before.
    ///
    /// # Errors
    ///
    /// It is no scope (RFC 6749, section 3.3).
    pub fn scope(mut self, scope: &str) -> Result<Self, AuthConfigError> {
        let fits = |byte| matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'\\');
        if scope.is_empty() || !scope.bytes().all(fits) {
            let problem = format!("{scope:?} is none: use visible ASCII without '\"' and '\\'");
            return Err(AuthConfigError::new("scope", problem));
        }
        let demands = Arc::make_mut(&mut self.demands);
        if !demands.scopes.is_empty() {
            demands.scopes.push(' ');
        }
        demands.scopes.push_str(scope);
        demands.claims.push((Principal::SCOPE.into(), vec![scope.into()]));
        Ok(self)
    }

    /// Demands that this claim has one of these values, beside what was demanded before.
    ///
    /// # Errors
    ///
    /// There is no value, so that nobody could be let in.
    pub fn one_of<V: Into<Box<str>>>(
        mut self,
        claim: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Result<Self, AuthConfigError> {
        let values: Vec<_> = values.into_iter().map(Into::into).collect();
        if values.is_empty() {
            return Err(AuthConfigError::empty("values of a claim"));
        }
        Arc::make_mut(&mut self.demands)
            .claims
            .push((claim.into(), values));
        Ok(self)
    }

    /// What callers are told that the scopes are for.
    #[must_use]
    pub fn realm(mut self, realm: Realm) -> Self {
        Arc::make_mut(&mut self.demands).challenge = BearerChallenge::new(realm);
        self
    }
}

impl Demands {
    fn check(&self, principal: Principal) -> Result<Principal, Rejection> {
        let lacks = |(claim, values): &&(Box<str>, Vec<Box<str>>)| {
            !values.iter().any(|value| principal.has(claim, value))
        };
        if self.claims.iter().find(lacks).is_none() {
            return Ok(principal);
        }
        let rejection = Rejection::forbidden("the caller may not do this");
        Err(match principal.scheme() {
            // RFC 6750, section 3.1; those who showed no token would not know what to do with it.
            "bearer" | "introspection" | "jwt" => {
                rejection.with_challenge(self.challenge.insufficient(&self.scopes))
            }
            _ => rejection,
        })
    }
}

impl<A: Authenticator> Authenticator for Require<A> {
    type Future = RequireFuture<A::Future>;

    fn authenticate(&self, request: &AuthRequest<'_>) -> Self::Future {
        RequireFuture {
            inner: self.authenticator.authenticate(request),
            demands: self.demands.clone(),
        }
    }

    fn decide(&self, request: &AuthRequest<'_>) -> Decision<Self::Future> {
        match self.authenticator.decide(request) {
            Decision::Now(answer) => {
                Decision::Now(answer.and_then(|principal| self.demands.check(principal)))
            }
            Decision::Later(inner) => Decision::Later(RequireFuture {
                inner,
                demands: self.demands.clone(),
            }),
        }
    }
}

impl<A> fmt::Debug for Require<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Require")
            .field("demands", &self.demands)
            .finish_non_exhaustive()
    }
}

/// The future of [`Require`].
#[pin_project]
pub struct RequireFuture<F> {
    #[pin]
    inner: F,
    demands: Arc<Demands>,
}

impl<F: Future<Output = Result<Principal, Rejection>>> Future for RequireFuture<F> {
    type Output = Result<Principal, Rejection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        Poll::Ready(ready!(this.inner.poll(cx)).and_then(|principal| this.demands.check(principal)))
    }
}

impl<F> fmt::Debug for RequireFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireFuture").finish_non_exhaustive()
    }
}
