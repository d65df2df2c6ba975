use std::{borrow::Cow, error::Error, fmt, sync::Arc};

use http::HeaderValue;

use crate::error::{BoxError, Cause, Initiator, Sent, TunnelError};

/// Why a caller was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It showed no credentials that this authenticator reads.
    Missing,
    /// It showed credentials that are not valid: unknown, wrong, expired.
    Invalid,
    /// It showed credentials in a way that can be read in two: the field was sent twice, say.
    Malformed,
    /// It is known, and may not do this.
    Forbidden,
    /// Nobody could say, because what decides was not there. The caller may try again with the same credentials.
    Unavailable,
}

/// The answer of an [`Authenticator`](super::Authenticator) that does not take a caller.
///
/// The text goes to the caller: it must say neither what was shown nor what would be valid. Details for the log stand in
/// the [source](Error::source).
#[derive(Clone)]
pub struct Rejection {
    refusal: Refusal,
    message: Cow<'static, str>,
    challenges: Vec<HeaderValue>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl Rejection {
    /// A rejection for this reason.
    pub fn new(refusal: Refusal, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            refusal,
            message: message.into(),
            challenges: Vec::new(),
            source: None,
        }
    }

    /// No credentials were shown.
    pub fn missing(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Refusal::Missing, message)
    }

    /// The credentials are not valid.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Refusal::Invalid, message)
    }

    /// The caller may not do this.
    pub fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Refusal::Forbidden, message)
    }

    /// What decides was not there.
    pub fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Refusal::Unavailable, message)
    }

    /// The same rejection, with one more challenge: a value of `WWW-Authenticate` (RFC 9110, section 11.6.1).
    #[must_use]
    pub fn with_challenge(mut self, challenge: HeaderValue) -> Self {
        self.challenges.push(challenge);
        self
    }

    /// The same rejection, without challenges.
    #[must_use]
    pub fn without_challenges(mut self) -> Self {
        self.challenges.clear();
        self
    }

    /// The same rejection, with the error that led to it, for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// Why the caller was not taken.
    #[must_use]
    pub const fn refusal(&self) -> Refusal {
        self.refusal
    }

    /// What the caller is told.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What would be taken, as values of `WWW-Authenticate`, in the order of preference.
    #[must_use]
    pub fn challenges(&self) -> &[HeaderValue] {
        &self.challenges
    }

    /// The rejection as an error of the tunnel, without the challenges.
    #[must_use]
    pub fn to_error(&self) -> TunnelError {
        let (cause, initiator) = match self.refusal {
            Refusal::Missing | Refusal::Invalid => (Cause::Unauthenticated, Initiator::Caller),
            Refusal::Malformed => (Cause::Malformed, Initiator::Caller),
            Refusal::Forbidden => (Cause::Forbidden, Initiator::Caller),
            Refusal::Unavailable => (Cause::AuthUnavailable, Initiator::Tunnel),
        };
        let error = TunnelError::new(cause, initiator, self.message.clone()).with_sent(Sent::No);
        match &self.source {
            Some(source) => error.with_source(source.clone()),
            None => error,
        }
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("refusal", &self.refusal)
            .field("message", &self.message)
            .field("challenges", &self.challenges)
            .field("source", &self.source)
            .finish()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Rejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|error| error as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_cause() {
        let cause = |refusal| Rejection::new(refusal, "no").to_error().cause();
        assert_eq!(cause(Refusal::Missing), Cause::Unauthenticated);
        assert_eq!(cause(Refusal::Invalid), Cause::Unauthenticated);
        assert_eq!(cause(Refusal::Malformed), Cause::Malformed);
        assert_eq!(cause(Refusal::Forbidden), Cause::Forbidden);
        assert_eq!(cause(Refusal::Unavailable), Cause::AuthUnavailable);
    }

    #[test]
    fn the_source_goes_along() {
        let error = Rejection::unavailable("later").with_source(fmt::Error).to_error();
        assert_eq!((error.message(), error.sent()), ("later", Sent::No));
        assert!(error.source().is_some());
    }
}
