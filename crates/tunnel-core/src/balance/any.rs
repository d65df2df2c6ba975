//! A policy that is chosen at run time.

use super::{
    Candidate, Choice, ConsistentHash, Endpoint, LeastPending, PeakEwma, Pick, PickFirst, RoundRobin,
    WeightedRandom,
};

/// One of the policies, for programs that learn which from a file.
///
/// ```
/// use tunnel_core::balance::{AnyPick, Balancer, PeakEwma};
///
/// let balancer: Balancer<AnyPick> = Balancer::new(PeakEwma::new().into());
/// # let _ = balancer;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AnyPick {
    /// See [`RoundRobin`].
    RoundRobin(RoundRobin),
    /// See [`WeightedRandom`].
    WeightedRandom(WeightedRandom),
    /// See [`LeastPending`].
    LeastPending(LeastPending),
    /// See [`PeakEwma`].
    PeakEwma(PeakEwma),
    /// See [`ConsistentHash`].
    ConsistentHash(ConsistentHash),
    /// See [`PickFirst`].
    PickFirst(PickFirst),
}

impl<E: Endpoint> Pick<E> for AnyPick {
    fn pick(&self, candidates: &[Candidate<'_, E>], choice: &Choice) -> usize {
        match self {
            Self::RoundRobin(policy) => policy.pick(candidates, choice),
            Self::WeightedRandom(policy) => policy.pick(candidates, choice),
            Self::LeastPending(policy) => policy.pick(candidates, choice),
            Self::PeakEwma(policy) => policy.pick(candidates, choice),
            Self::ConsistentHash(policy) => policy.pick(candidates, choice),
            Self::PickFirst(policy) => policy.pick(candidates, choice),
        }
    }

    fn wants_latency(&self) -> bool {
        matches!(self, Self::PeakEwma(_))
    }
}

macro_rules! from_policy {
    ($($policy:ident)+) => { $(
        impl From<$policy> for AnyPick {
            fn from(policy: $policy) -> Self {
                Self::$policy(policy)
            }
        }
    )+ };
}

from_policy! { RoundRobin WeightedRandom LeastPending PeakEwma ConsistentHash PickFirst }
