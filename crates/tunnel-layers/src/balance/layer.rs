use std::sync::Arc;

use tower_layer::Layer;
use tunnel_core::{GroupName, Member, balance::Pick};

use super::{Balance, Balancing, balancing::Shared};

/// Chooses a session for each request; see the [module](super).
#[derive(Clone, Debug)]
pub struct BalanceLayer<A, P> {
    agents: A,
    shared: Arc<Shared<P>>,
}

impl<A: tunnel_core::Agents, P: Pick<Member>> BalanceLayer<A, P> {
    /// Chooses among the sessions that `agents` knows, by the policy `pick`.
    pub fn new(agents: A, pick: P) -> Self {
        Self::balancing(agents, Balancing::new(pick))
    }

    /// Chooses among the sessions that `agents` knows, by a policy and what stands around it.
    pub fn balancing(agents: A, balancing: Balancing<P>) -> Self {
        Self {
            agents,
            shared: Arc::new(Shared::new(balancing)),
        }
    }

    /// Balances this group in another way than the others.
    #[must_use]
    pub fn group(mut self, group: GroupName, balancing: Balancing<P>) -> Self {
        Arc::make_mut(&mut self.shared).set_group(group, balancing);
        self
    }

    /// Balances the requests of the rule with this id in another way than the others of its group. They stand in line with them.
    #[must_use]
    pub fn rule(mut self, id: impl Into<Box<str>>, balancing: Balancing<P>) -> Self {
        Arc::make_mut(&mut self.shared).set_rule(id.into(), balancing);
        self
    }
}

impl<S, A: Clone, P> Layer<S> for BalanceLayer<A, P> {
    type Service = Balance<S, A, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Balance {
            inner,
            agents: self.agents.clone(),
            shared: self.shared.clone(),
        }
    }
}
