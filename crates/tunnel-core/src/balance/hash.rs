//! Consistent hashing: the same key comes to the same endpoint, at every gateway and after every restart.

use super::{Candidate, Choice, Endpoint, Pick, pick::RandomBits};

/// The hash of a key for [`Choice::keyed`](super::Choice::keyed): FNV-1a with a finish that spreads its bits. It is the same in
/// every process and every version; it is no secret, so whoever chooses keys may choose an endpoint, and the bound on an
/// endpoint's load is what limits that.
#[must_use]
pub fn key_hash(key: &[u8]) -> u64 {
    mix(fnv(0xcbf2_9ce4_8422_2325, key))
}

fn fnv(seed: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(seed, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The finish of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
pub(super) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The same endpoint for the same key, with bounded load.
///
/// By weighted rendezvous hashing (Thaler and Ravishankar 1998; Schindelhauer and Schomaker 2005): each endpoint has a score
/// for each key, and the highest takes it. When an endpoint goes, only its own keys move, each to the next by score; when one
/// comes, it takes its share and nothing else moves. An endpoint that has more than `load_factor` times its share of the open
/// exchanges is passed over (Mirrokni, Thorup, Zadimoghaddam 2018), so that one busy key does not drown one endpoint.
///
/// Endpoints of the same name, such as several processes of one agent, share what their name gets.
///
/// A choice costs a score for each candidate. Without a key, the choice is random by weight.
#[derive(Clone, Debug)]
pub struct ConsistentHash {
    load_factor: f64,
    random: RandomBits,
}

impl Default for ConsistentHash {
    fn default() -> Self {
        Self::new()
    }
}

impl ConsistentHash {
    /// The policy, with a load factor of 1.25.
    #[must_use]
    pub fn new() -> Self {
        Self {
            load_factor: 1.25,
            random: RandomBits::default(),
        }
    }

    /// How many times its share of the open exchanges an endpoint may have before keys move on. At least 1, and 1 for what is no
    /// number; infinite for no bound.
    #[must_use]
    pub fn load_factor(mut self, factor: f64) -> Self {
        self.load_factor = factor.max(1.0);
        self
    }
}

impl<E: Endpoint> Pick<E> for ConsistentHash {
    fn pick(&self, candidates: &[Candidate<'_, E>], choice: &Choice) -> usize {
        let Some(key) = choice.key else {
            return self.random.weighted(candidates);
        };
        let total: f64 = candidates.iter().map(|one| f64::from(one.weight)).sum();
        // With the one that is to be placed.
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts of exchanges are far below 2^52"
        )]
        let pending = (candidates.iter().map(|one| one.endpoint.pending()).sum::<usize>() + 1) as f64;
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts of exchanges are far below 2^52"
        )]
        let has_room = |one: &Candidate<'_, E>| {
            let bound = (self.load_factor * pending * f64::from(one.weight) / total).ceil();
            ((one.endpoint.pending() + 1) as f64) <= bound
        };
        let best = |only_with_room: bool| {
            let among = candidates.iter().enumerate();
            among
                .filter(|(_, one)| !only_with_room || has_room(one))
                .map(|(index, one)| (index, score(key, one, twins_before(candidates, index))))
                .max_by(|a, b| a.1.total_cmp(&b.1))
                .map(|(index, _)| index)
        };
        // Somebody has at most the average, so somebody has room; but counts may move while this looks at them.
        best(true).or_else(|| best(false)).unwrap_or_default()
    }

    fn wants_latency(&self) -> bool {
        false
    }
}

/// How many with the same name stand directly before this one: the processes of one agent, which stand together.
fn twins_before<E: Endpoint>(candidates: &[Candidate<'_, E>], index: usize) -> u64 {
    let name = candidates[index].endpoint.name();
    let before = candidates[..index].iter().rev();
    before.take_while(|one| one.endpoint.name() == name).count() as u64
}

/// The score of an endpoint for a key: `-weight / ln(u)`, where `u` in (0, 1) is made of both. `twins` tells those apart that have
/// the same name.
fn score<E: Endpoint>(key: u64, candidate: &Candidate<'_, E>, twins: u64) -> f64 {
    let seed = key ^ 0xcbf2_9ce4_8422_2325 ^ twins.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let hash = mix(fnv(seed, candidate.endpoint.name().as_bytes()));
    // 52 bits and a half, so that neither 0 nor 1 comes out.
    #[expect(clippy::cast_precision_loss, reason = "52 bits fit")]
    let unit = ((hash >> 12) as f64 + 0.5) / (1u64 << 52) as f64;
    -f64::from(candidate.weight) / unit.ln()
}
