//! Why an exchange was reset.

use std::fmt;

use crate::error::{Cause, Initiator, Sent, TunnelError};

macro_rules! reasons {
    ($( $(#[$doc:meta])* $name:ident = $code:literal, $word:literal, $cause:ident, $text:literal; )+) => {
        /// The reason of a reset, as it stands on the wire.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ResetReason { $( $(#[$doc])* $name, )+ }

        impl ResetReason {
            /// Every reason, in the order of the codes.
            pub const ALL: &[Self] = &[$( Self::$name, )+];

            /// The number on the wire.
            #[must_use]
            pub const fn code(self) -> u32 {
                match self { $( Self::$name => $code, )+ }
            }

            /// The reason with this number; one that a newer peer knows and we do not is [`Internal`](Self::Internal).
            #[must_use]
            pub const fn from_code(code: u32) -> Self {
                match code { $( $code => Self::$name, )+ _ => Self::Internal }
            }

            /// What this reason means for the one who waits for the answer.
            #[must_use]
            pub const fn cause(self) -> Cause {
                match self { $( Self::$name => Cause::$cause, )+ }
            }

            /// One word for it, in labels and log lines: made of lower case letters and hyphens.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $( Self::$name => $word, )+ }
            }

            /// One sentence about it.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $( Self::$name => $text, )+ }
            }
        }
    };
}

reasons! {
    /// From the side that has answered in full: stop sending, nothing failed (RFC 9113, section 8.1).
    NoError = 0, "no-error", Canceled, "the answer was complete before the request was";
    /// The caller gave up.
    Cancel = 1, "cancel", Canceled, "the caller went away";
    /// Refused before it was handed to anybody: it may be sent again.
    Refused = 2, "refused", Overloaded, "the other end has no room for another exchange";
    /// Refused before it was handed to anybody, because the other end is stopping.
    Draining = 3, "draining", Draining, "the other end is stopping";
    /// A defect of the other end.
    Internal = 4, "internal", Internal, "the other end failed";
    /// The exchange broke the rules of the protocol.
    Protocol = 5, "protocol", Protocol, "the exchange broke the tunnel's protocol";
    /// More was sent than the credit allowed.
    FlowControl = 6, "flow-control", Protocol, "more was sent than the credit allowed";
    /// The upstream could not be reached.
    UpstreamUnreachable = 7, "upstream-unreachable", Upstream, "the upstream could not be reached";
    /// The upstream broke off.
    UpstreamBroken = 8, "upstream-broken", Upstream, "the upstream broke off";
    /// A deadline passed.
    Deadline = 9, "deadline", Deadline, "the deadline passed";
    /// The head was larger than the receiver takes.
    HeadTooLarge = 10, "head-too-large", HeadTooLarge, "the head is larger than the other end takes";
    /// The sender's own body broke off, so that what was sent is not the whole.
    BodyBroken = 11, "body-broken", Canceled, "the body broke off";
    /// The upstream answered an upgrade wrongly.
    BadUpgrade = 12, "bad-upgrade", BadUpgrade, "the upstream answered an upgrade wrongly";
    /// Refused before it was handed to anybody, because health checks have taken every endpoint out.
    NoEndpoint = 13, "no-endpoint", NoEndpoint, "no endpoint of the upstream is healthy";
}

impl ResetReason {
    /// The error that a reset with this reason means for the other half.
    #[must_use]
    pub fn into_error(self, detail: Option<String>) -> TunnelError {
        let sent = match self {
            Self::Refused | Self::Draining | Self::NoEndpoint => Sent::Refused,
            _ => Sent::Yes,
        };
        match detail {
            Some(detail) if !detail.is_empty() => TunnelError::new(self.cause(), Initiator::Peer, detail),
            _ => TunnelError::new(self.cause(), Initiator::Peer, self.text()),
        }
        .with_sent(sent)
    }

    /// The reason to give to the peer for an error of this end.
    #[must_use]
    pub fn from_error(error: &TunnelError) -> Self {
        match error.cause() {
            // Who lost its right to what it asked for has to give it up.
            Cause::Canceled | Cause::Unauthenticated => Self::Cancel,
            Cause::Draining => Self::Draining,
            Cause::Upstream if error.sent() == Sent::No => Self::UpstreamUnreachable,
            Cause::Upstream | Cause::AgentLost => Self::UpstreamBroken,
            Cause::Deadline => Self::Deadline,
            Cause::HeadTooLarge => Self::HeadTooLarge,
            Cause::Protocol => Self::Protocol,
            Cause::BadUpgrade => Self::BadUpgrade,
            Cause::Overloaded if error.sent() != Sent::Yes => Self::Refused,
            Cause::NoEndpoint => Self::NoEndpoint,
            _ => Self::Internal,
        }
    }
}

impl fmt::Display for ResetReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_back() {
        for reason in ResetReason::ALL {
            assert_eq!(ResetReason::from_code(reason.code()), *reason);
        }
        assert_eq!(ResetReason::from_code(9_999), ResetReason::Internal);
    }

    #[test]
    fn only_a_refusal_may_be_sent_again() {
        for reason in ResetReason::ALL {
            let refused = matches!(
                reason,
                ResetReason::Refused | ResetReason::Draining | ResetReason::NoEndpoint
            );
            assert_eq!(
                reason.into_error(None).sent() == Sent::Refused,
                refused,
                "{reason:?}"
            );
        }
    }
}
