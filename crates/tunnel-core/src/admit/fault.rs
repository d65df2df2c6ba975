//! What is wrong with a head, before it is known who is to blame.

use std::borrow::Cow;

use crate::error::{Cause, Initiator, Sent, TunnelError};

/// A broken rule. The same checks run where an outside client is to blame and where the tunnel's peer is.
#[derive(Debug)]
pub(crate) struct Fault {
    cause: Cause,
    text: Cow<'static, str>,
}

impl Fault {
    pub(crate) fn new(cause: Cause, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            cause,
            text: text.into(),
        }
    }

    pub(crate) fn malformed(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Cause::Malformed, text)
    }

    /// The outside client broke the rule; nothing of the request was sent.
    pub(crate) fn by_caller(self) -> TunnelError {
        TunnelError::new(self.cause, Initiator::Caller, self.text).with_sent(Sent::No)
    }

    /// The other end of the tunnel broke the rule: it should have admitted the head, and did not.
    pub(crate) fn by_peer(self) -> TunnelError {
        TunnelError::new(Cause::Protocol, Initiator::Peer, self.text)
    }
}
