//! What failed, who failed, and whether anything had been sent.

use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

/// Any error, as tower's middleware passes it on.
pub type BoxError = Box<dyn Error + Send + Sync>;

macro_rules! causes {
    ($( $(#[$doc:meta])* $name:ident = $word:literal, )+) => {
        /// Why the tunnel answered instead of the far end. Each cause has one stable [word](Self::word), which outside
        /// clients see in `x-tunnel-error`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Cause { $( $(#[$doc])* $name, )+ }

        impl Cause {
            /// Every cause, in the order of their declaration.
            pub const ALL: &[Self] = &[$( Self::$name, )+];

            /// The stable word for this cause, made of lower case letters and hyphens.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $( Self::$name => $word, )+ }
            }

            /// The cause with this word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|cause| cause.word() == word)
            }
        }
    };
}

causes! {
    /// No rule matches the request.
    NoRoute = "no-route",
    /// The caller showed no credentials, or credentials that are not valid.
    Unauthenticated = "unauthenticated",
    /// The caller is known and may not do this.
    Forbidden = "forbidden",
    /// Whether the caller may do this could not be found out, because what decides was not there.
    AuthUnavailable = "auth-unavailable",
    /// A rate limit was exceeded.
    RateLimited = "rate-limited",
    /// A concurrency limit was exceeded.
    Overloaded = "overloaded",
    /// The group has no healthy agent.
    NoAgent = "no-agent",
    /// The agent has no gateway that could take what is asked of it.
    NoGateway = "no-gateway",
    /// The session between agent and gateway was lost while the exchange ran.
    AgentLost = "agent-lost",
    /// The upstream could not be reached, or broke before it answered in full.
    Upstream = "upstream",
    /// Health checks have taken every endpoint of the upstream out.
    NoEndpoint = "no-endpoint",
    /// A deadline passed: the route's, or the caller's `grpc-timeout`.
    Deadline = "deadline",
    /// The body is larger than allowed.
    BodyTooLarge = "body-too-large",
    /// The head has more bytes or fields than allowed.
    HeadTooLarge = "head-too-large",
    /// The request target is longer than allowed.
    UriTooLong = "uri-too-long",
    /// The request breaks the rules of HTTP.
    Malformed = "malformed",
    /// The request has come from an agent to a gateway too often: rules and upstreams send it in a circle.
    Loop = "loop",
    /// The method is not served (CONNECT without `:protocol`, TRACE).
    MethodNotServed = "method-not-served",
    /// The request body made no progress for too long.
    BodyIdle = "body-idle",
    /// The upstream answered an upgrade wrongly.
    BadUpgrade = "bad-upgrade",
    /// This end takes nothing new, because it is stopping.
    Draining = "draining",
    /// The outside client went away.
    Canceled = "canceled",
    /// The peer of the tunnel broke the protocol.
    Protocol = "protocol",
    /// The stack is put together wrongly, or the tunnel has a defect.
    Internal = "internal",
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Who started a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initiator {
    /// The one who called us: the outside client, or the layer above.
    Caller,
    /// This end of the tunnel.
    Tunnel,
    /// The other end of the tunnel, or what stands behind it.
    Peer,
}

/// Whether anything of the request had left this process when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Nothing had: the request may be sent again, whatever its method.
    No,
    /// It had, and the other end refused it before it handed it to anybody: it may be sent again too.
    Refused,
    /// It had, or it may have: sending it again may do its work twice.
    Yes,
}

/// A failure of the tunnel itself.
///
/// `Display` tells this level only; [`source`](Error::source) has the next. Cheap to clone, because both halves of an
/// exchange report the same failure.
#[derive(Clone)]
pub struct TunnelError(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    cause: Cause,
    initiator: Initiator,
    sent: Sent,
    message: Cow<'static, str>,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl TunnelError {
    /// An error with this cause and text; [`Sent::Yes`] until [`with_sent`](Self::with_sent) says otherwise.
    pub fn new(cause: Cause, initiator: Initiator, message: impl Into<Cow<'static, str>>) -> Self {
        let inner = Inner {
            cause,
            initiator,
            sent: Sent::Yes,
            message: message.into(),
            retry_after: None,
            source: None,
        };
        Self(Arc::new(inner))
    }

    /// The caller gave up.
    #[must_use]
    pub fn canceled() -> Self {
        Self::new(Cause::Canceled, Initiator::Caller, "the caller went away")
    }

    /// A stack that is put together wrongly; the text names what is missing.
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Cause::Internal, Initiator::Tunnel, message).with_sent(Sent::No)
    }

    /// The same error, with another answer to [`sent`](Self::sent).
    #[must_use]
    pub fn with_sent(mut self, sent: Sent) -> Self {
        Arc::make_mut(&mut self.0).sent = sent;
        self
    }

    /// The same error, with the error that led to it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        Arc::make_mut(&mut self.0).source = Some(Arc::from(source.into()));
        self
    }

    /// The same error, with the time after which trying again makes sense.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        Arc::make_mut(&mut self.0).retry_after = Some(after);
        self
    }

    /// What failed.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.0.cause
    }

    /// Who failed.
    #[must_use]
    pub fn initiator(&self) -> Initiator {
        self.0.initiator
    }

    /// Whether anything of the request had been sent.
    #[must_use]
    pub fn sent(&self) -> Sent {
        self.0.sent
    }

    /// The text of this level: fit for the outside client, without addresses or secrets.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// When trying again makes sense, if that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The first `TunnelError` in the chain of sources of `error`, itself included.
    #[must_use]
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        cause_ref(error)
    }
}

/// An error that may be, or may wrap, a [`TunnelError`]: what a layer must know to decide whether to try again.
pub trait AsTunnelError {
    /// The tunnel's error, if this is one.
    fn as_tunnel_error(&self) -> Option<&TunnelError>;
}

impl AsTunnelError for TunnelError {
    fn as_tunnel_error(&self) -> Option<&TunnelError> {
        Some(self)
    }
}

impl AsTunnelError for BoxError {
    fn as_tunnel_error(&self) -> Option<&TunnelError> {
        TunnelError::find(&**self)
    }
}

impl AsTunnelError for std::convert::Infallible {
    fn as_tunnel_error(&self) -> Option<&TunnelError> {
        match *self {}
    }
}

/// The first error of type `E` in the chain of sources of `error`, itself included.
#[must_use]
pub fn cause_ref<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref() {
            return Some(found);
        }
        // `io::Error::source` skips the error that it wraps.
        next = match current
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
        {
            Some(inner) => Some(inner),
            None => current.source(),
        };
    }
    None
}

impl fmt::Debug for TunnelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            cause,
            initiator,
            sent,
            message,
            retry_after,
            source,
        } = &*self.0;
        let mut debug = f.debug_struct("TunnelError");
        debug
            .field("cause", cause)
            .field("initiator", initiator)
            .field("sent", sent)
            .field("message", message);
        if let Some(after) = retry_after {
            debug.field("retry_after", after);
        }
        if let Some(source) = source {
            debug.field("source", source);
        }
        debug.finish()
    }
}

impl fmt::Display for TunnelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl Error for TunnelError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|e| e as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_unique_and_fit_for_a_header() {
        let words: std::collections::HashSet<_> = Cause::ALL.iter().map(|cause| cause.word()).collect();
        assert_eq!(words.len(), Cause::ALL.len());
        assert!(
            words
                .iter()
                .all(|word| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
        );
    }

    #[test]
    fn a_clone_keeps_its_answer_when_the_original_changes() {
        let first = TunnelError::new(Cause::AgentLost, Initiator::Peer, "the agent was lost");
        let second = first.clone().with_sent(Sent::No);
        assert_eq!((first.sent(), second.sent()), (Sent::Yes, Sent::No));
    }

    #[test]
    fn find_walks_the_sources() {
        let inner = TunnelError::canceled();
        let outer = std::io::Error::other(inner);
        assert_eq!(
            TunnelError::find(&outer).map(TunnelError::cause),
            Some(Cause::Canceled)
        );
        assert!(TunnelError::find(&fmt::Error).is_none());
    }
}
