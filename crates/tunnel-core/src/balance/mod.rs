//! Choosing among several that could do the same: the agents of a group, or the endpoints of an upstream.
//!
//! A [`Balancer`] first leaves out whoever cannot take an exchange: those that its caller leaves out, those that the
//! [`Outliers`] have ejected, and those of other zones while there are enough of its own. What is left are [`Candidate`]s,
//! with weights that begin low where there is a slow start, and a [`Pick`] chooses one of them.
//!
//! | policy | chooses |
//! | --- | --- |
//! | [`RoundRobin`] | one after the other, each as often as its weight says |
//! | [`WeightedRandom`] | at random, by weight |
//! | [`LeastPending`] | of two at random, the one with fewer open exchanges for its weight |
//! | [`PeakEwma`] | of two at random, the one that answers sooner, by its recent latency and what it has open |
//! | [`ConsistentHash`] | the same one for the same key, as long as it has not much more to do than the others |
//! | [`PickFirst`] | the first that can |
//! | [`AnyPick`] | as one of these, which is known at run time |
//!
//! Nothing here waits, and nothing knows the time but from its caller.

mod any;
mod balancer;
mod choice;
mod hash;
mod outlier;
mod pick;
mod stats;
#[cfg(test)]
mod tests;

pub use self::{
    any::AnyPick,
    balancer::{Balancer, ZonePreference},
    choice::{Candidate, Choice, Endpoint},
    hash::{ConsistentHash, key_hash},
    outlier::Outliers,
    pick::{LeastPending, PeakEwma, Pick, PickFirst, RoundRobin, WeightedRandom},
    stats::{Outcome, Stats},
};
