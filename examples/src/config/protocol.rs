//! Which protocol a rule of a gateway's file is for.

use serde::Deserialize;
use tunnel_layers::route::RuleProtocol;

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Protocol {
    Http,
    Grpc,
    WebSocket,
    Upgrade,
}

impl From<Protocol> for RuleProtocol {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Http => Self::Http,
            Protocol::Grpc => Self::Grpc,
            Protocol::WebSocket => Self::WebSocket,
            Protocol::Upgrade => Self::Upgrade,
        }
    }
}
