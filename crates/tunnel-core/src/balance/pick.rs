//! The policies that need no key.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use super::{Candidate, Choice, Endpoint, hash::mix};

/// A policy: which of those that can take an exchange gets it. All clones of a policy are one: they take turns together.
///
/// Implemented for closures as well.
pub trait Pick<E>: Clone + Send + Sync + 'static {
    /// The index of one of `candidates`, of which there are at least two. An index beyond them means the last.
    fn pick(&self, candidates: &[Candidate<'_, E>], choice: &Choice) -> usize;

    /// Whether it looks at [`Stats::latency`](super::Stats::latency), which nobody measures for a policy that does not. By default it
    /// may.
    fn wants_latency(&self) -> bool {
        true
    }
}

impl<E, F> Pick<E> for F
where
    F: Fn(&[Candidate<'_, E>], &Choice) -> usize + Clone + Send + Sync + 'static,
{
    fn pick(&self, candidates: &[Candidate<'_, E>], choice: &Choice) -> usize {
        self(candidates, choice)
    }
}

/// Numbers that are even and not secret: nobody gains by guessing them. Clones draw from one sequence.
#[derive(Clone, Debug, Default)]
pub(super) struct RandomBits(Arc<AtomicU64>);

impl RandomBits {
    fn next(&self) -> u64 {
        let z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        mix(z.wrapping_add(0x9e37_79b9_7f4a_7c15))
    }

    /// Below `bound`, which is not 0.
    fn below(&self, bound: u64) -> u64 {
        // Multiply and shift (Lemire 2019), without the rejection that only matters near 2^64.
        let wide = u128::from(self.next()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or_default()
    }

    fn index(&self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or_default()
    }

    /// An index of `candidates`, by weight.
    pub(super) fn weighted<E>(&self, candidates: &[Candidate<'_, E>]) -> usize {
        place(candidates, self.below(total(candidates)))
    }

    /// Two different indexes below `len`, which is at least 2.
    fn two(&self, len: usize) -> (usize, usize) {
        let first = self.index(len);
        (first, (first + 1 + self.index(len - 1)) % len)
    }
}

/// The sum of the weights, at least 1.
fn total<E>(candidates: &[Candidate<'_, E>]) -> u64 {
    let sum: u64 = candidates.iter().map(|one| u64::from(one.weight)).sum();
    sum.max(1)
}

/// The candidate in whose share of the line `point` lies.
fn place<E>(candidates: &[Candidate<'_, E>], mut point: u64) -> usize {
    for (index, one) in candidates.iter().enumerate() {
        let weight = u64::from(one.weight);
        if point < weight {
            return index;
        }
        point -= weight;
    }
    candidates.len().saturating_sub(1)
}

/// One after the other, each as often as its weight says, and those of higher weight not many times in a row.
#[derive(Clone, Debug, Default)]
pub struct RoundRobin(Arc<AtomicU64>);

impl RoundRobin {
    /// The policy.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<E: Endpoint> Pick<E> for RoundRobin {
    fn pick(&self, candidates: &[Candidate<'_, E>], _: &Choice) -> usize {
        let turn = self.0.fetch_add(1, Ordering::Relaxed);
        let Some(first) = candidates.first() else { return 0 };
        if candidates.iter().all(|one| one.weight == first.weight) {
            return usize::try_from(turn % candidates.len() as u64).unwrap_or_default();
        }
        // All weights stand in a line, divided by what they have in common. A step that shares no divisor with the length of the
        // line meets each place once a round, and one near the golden section spreads the visits of each candidate.
        let divisor = candidates
            .iter()
            .fold(0, |divisor, one| gcd(divisor, u64::from(one.weight)));
        let line = total(candidates) / divisor.max(1);
        let golden = (line * 618 / 1_000).max(1);
        let step = (golden..).find(|step| gcd(*step, line) == 1).unwrap_or(1);
        let point = u128::from(turn) * u128::from(step) % u128::from(line);
        place(
            candidates,
            u64::try_from(point).unwrap_or_default() * divisor.max(1),
        )
    }

    fn wants_latency(&self) -> bool {
        false
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// At random, by weight.
#[derive(Clone, Debug, Default)]
pub struct WeightedRandom(RandomBits);

impl WeightedRandom {
    /// The policy.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<E: Endpoint> Pick<E> for WeightedRandom {
    fn pick(&self, candidates: &[Candidate<'_, E>], _: &Choice) -> usize {
        self.0.weighted(candidates)
    }

    fn wants_latency(&self) -> bool {
        false
    }
}

/// Of two that are chosen at random, the one with fewer open exchanges for its weight. It is nearly as even as looking at
/// all of them (Mitzenmacher 2001), and does not send everything to the one that has just come.
#[derive(Clone, Debug, Default)]
pub struct LeastPending(RandomBits);

impl LeastPending {
    /// The policy.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<E: Endpoint> Pick<E> for LeastPending {
    fn pick(&self, candidates: &[Candidate<'_, E>], _: &Choice) -> usize {
        let (first, second) = self.0.two(candidates.len());
        let [a, b] = [&candidates[first], &candidates[second]];
        // (pending + 1) / weight, compared without a division.
        let cost = |one: &Candidate<'_, E>, other: &Candidate<'_, E>| {
            (one.endpoint.pending() as u64 + 1).saturating_mul(u64::from(other.weight))
        };
        if cost(b, a) < cost(a, b) { second } else { first }
    }

    fn wants_latency(&self) -> bool {
        false
    }
}

/// Of two that are chosen at random, the one that would answer sooner: by the moving average of its latency, which jumps up
/// with every slow answer and comes down slowly ("peak EWMA", as Finagle has it), times what it has open, for its weight.
#[derive(Clone, Debug, Default)]
pub struct PeakEwma(RandomBits);

impl PeakEwma {
    /// The policy.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn cost<E: Endpoint>(one: &Candidate<'_, E>, now: Instant) -> f64 {
        let latency = one.endpoint.stats().latency(now);
        let pending = one.endpoint.pending();
        // Somebody who has never answered gets one exchange, and the next when that has been answered.
        let latency = match latency {
            Some(latency) => latency.as_secs_f64(),
            None if pending == 0 => 0.0,
            None => f64::from(u32::MAX),
        };
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts of exchanges are far below 2^52"
        )]
        let pending = (pending + 1) as f64;
        latency * pending / f64::from(one.weight)
    }
}

impl<E: Endpoint> Pick<E> for PeakEwma {
    fn pick(&self, candidates: &[Candidate<'_, E>], choice: &Choice) -> usize {
        let (first, second) = self.0.two(candidates.len());
        let cost = |index: usize| Self::cost(&candidates[index], choice.now);
        if cost(second) < cost(first) { second } else { first }
    }
}

/// The first that can, in the order in which the endpoints stand.
#[derive(Clone, Copy, Debug, Default)]
pub struct PickFirst;

impl<E: Endpoint> Pick<E> for PickFirst {
    fn pick(&self, _: &[Candidate<'_, E>], _: &Choice) -> usize {
        0
    }

    fn wants_latency(&self) -> bool {
        false
    }
}
