//! Rules for WebSocket and other protocols.

use http::Method;

use super::{compiled::Ask, error::Fault};
use crate::reject::Dialect;

/// Which protocol a rule is for. A rule that names none is for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuleProtocol {
    /// Neither gRPC nor an upgrade.
    Http,
    /// gRPC, by the content type alone; the matchers for gRPC look at the path too.
    Grpc,
    /// A handshake of WebSocket: an `Upgrade` of HTTP/1.1 (RFC 6455), or an extended CONNECT (RFC 8441).
    WebSocket,
    /// Every request to switch to another protocol, WebSocket among them.
    Upgrade,
}

impl RuleProtocol {
    /// Whether anything can match a rule with this protocol, with these methods (none for all), and with or without a
    /// matcher of gRPC.
    pub(super) fn check(self, is_grpc: bool, methods: &[Method]) -> Result<(), Fault> {
        if is_grpc && self != Self::Grpc {
            return Err(wrong(
                "a call of gRPC is another protocol: leave one of the two matchers out",
            ));
        }
        let needed = match self {
            Self::WebSocket => ("a WebSocket begins", Method::GET),
            Self::Grpc => ("a call of gRPC begins", Method::POST),
            Self::Http | Self::Upgrade => return Ok(()),
        };
        if !methods.is_empty() && !methods.contains(&needed.1) {
            let (what, method) = needed;
            return Err(wrong(format!(
                "{what} with a {method}: leave the methods out, or name that one"
            )));
        }
        Ok(())
    }

    pub(super) fn is_of(self, ask: &Ask<'_>) -> bool {
        match self {
            Self::WebSocket => ask.upgrade.is_some_and(|upgrade| upgrade.is_websocket()),
            Self::Upgrade => ask.upgrade.is_some(),
            Self::Grpc => Dialect::of(ask.headers) == Dialect::Grpc,
            Self::Http => ask.upgrade.is_none() && Dialect::of(ask.headers) != Dialect::Grpc,
        }
    }
}

fn wrong(problem: impl Into<String>) -> Fault {
    Fault::new("protocol", problem)
}
