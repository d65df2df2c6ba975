use tower_layer::Layer;

use super::{Balance, Pick};

/// Chooses a session for each request; see the [module](super).
#[derive(Clone, Debug)]
pub struct BalanceLayer<A, P> {
    agents: A,
    pick: P,
}

impl<A: tunnel_core::Agents, P: Pick> BalanceLayer<A, P> {
    /// Chooses among the sessions that `agents` knows, by the strategy `pick`.
    pub const fn new(agents: A, pick: P) -> Self {
        Self { agents, pick }
    }
}

impl<S, A: Clone, P: Clone> Layer<S> for BalanceLayer<A, P> {
    type Service = Balance<S, A, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Balance {
            inner,
            agents: self.agents.clone(),
            pick: self.pick.clone(),
        }
    }
}
