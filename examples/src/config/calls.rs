//! What agents may ask of their gateway: `agents: calls:` of its file.

use serde::Deserialize;
use serde_saphyr::Spanned;
use tunnel_core::auth::BoxAuthenticator;
use tunnel_layers::{auth::AuthLayer, route::RulesWithUpstreams};

use super::rules::RawRule;

/// Where the requests of agents go, and who of them may send them there.
#[derive(Clone, Debug)]
pub struct Calls {
    /// Where they go.
    pub rules: RulesWithUpstreams,
    pub(super) auth: AuthLayer<BoxAuthenticator>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCalls {
    pub(super) rules: Spanned<Vec<Spanned<RawRule>>>,
}
