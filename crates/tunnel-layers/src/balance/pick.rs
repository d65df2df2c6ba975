use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use tunnel_core::Member;

/// A strategy: which of the sessions that could take a request gets it.
///
/// Implemented for closures as well.
pub trait Pick: Clone + Send + Sync + 'static {
    /// The index of one of `candidates`, of which there is at least one. An index beyond them means the last.
    fn pick(&self, candidates: &[&Member]) -> usize;
}

impl<F> Pick for F
where
    F: Fn(&[&Member]) -> usize + Clone + Send + Sync + 'static,
{
    fn pick(&self, candidates: &[&Member]) -> usize {
        self(candidates)
    }
}

/// One after the other. All clones take turns together.
#[derive(Clone, Debug, Default)]
pub struct RoundRobin(Arc<AtomicUsize>);

impl RoundRobin {
    /// The strategy.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Pick for RoundRobin {
    fn pick(&self, candidates: &[&Member]) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed) % candidates.len()
    }
}

/// Of two that are chosen at random, the one with fewer open exchanges for its weight. It is nearly as even as looking at
/// all of them, and does not send everything to the one that has just come.
#[derive(Clone, Debug, Default)]
pub struct LeastPending(Arc<AtomicU64>);

impl LeastPending {
    /// The strategy.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An index below `len`. Even, not secret: nobody gains by guessing it.
    fn random(&self, len: usize) -> usize {
        // SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
        let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let z = z ^ (z >> 31);
        usize::try_from(z % len as u64).unwrap_or_default()
    }
}

impl Pick for LeastPending {
    fn pick(&self, candidates: &[&Member]) -> usize {
        if candidates.len() < 2 {
            return 0;
        }
        let first = self.random(candidates.len());
        let second = (first + 1 + self.random(candidates.len() - 1)) % candidates.len();
        // load / weight, compared without a division.
        let load = |a: usize, b: usize| candidates[a].session.load() * candidates[b].weight.max(1) as usize;
        if load(second, first) < load(first, second) {
            second
        } else {
            first
        }
    }
}
