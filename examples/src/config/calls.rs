//! What agents may ask of their gateway: `agents: calls:` of its file.

use serde::Deserialize;
use serde_saphyr::Spanned;
use tunnel_core::auth::BoxAuthenticator;
use tunnel_layers::{auth::AuthLayer, deadline::DeadlineLayer, route::RulesWithUpstreams};

use super::{rules::RawRule, timeouts::RawTimeouts, tls};

/// Where the requests of agents go, and who of them may send them there.
#[derive(Clone, Debug)]
pub struct Calls {
    /// Where they go.
    pub rules: RulesWithUpstreams,
    pub(super) auth: AuthLayer<BoxAuthenticator>,
    /// How long the parts of an exchange may take, if not as long as those from outside.
    pub(super) deadline: Option<DeadlineLayer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCalls {
    pub(super) rules: Spanned<Vec<Spanned<RawRule>>>,
    #[serde(default, deserialize_with = "tls::present")]
    timeouts: Option<RawTimeouts>,
}

impl RawCalls {
    pub(super) fn deadline(&self) -> Option<DeadlineLayer> {
        let layer = |timeouts: RawTimeouts| DeadlineLayer::new().defaults(timeouts.defaults());
        self.timeouts.map(layer)
    }
}
