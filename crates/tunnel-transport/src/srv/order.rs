//! What priorities and weights mean.

use std::hash::{BuildHasher as _, RandomState};

use super::Server;

/// The weight of a server that has 0: a very small chance beside others (RFC 2782).
const ZERO: f64 = 0.01;

/// The largest weight that endpoints have.
const MAX_SHARE: u32 = 1_000;

/// Servers with low priority numbers first, and among equals by a lot in which each has the chances of its weight. The same `seed` draws
/// the same lots, so that servers which come and go do not change the order of the others.
pub(crate) fn by_priority(servers: &[Server], seed: &RandomState) -> Vec<Server> {
    let lot = |server: &Server| {
        let weight = match server.weight {
            0 => ZERO,
            weight => f64::from(weight),
        };
        // Efraimidis and Spirakis: the smallest of exponential times with these rates.
        -uniform(seed.hash_one(server.address)).ln() / weight
    };
    let mut drawn: Vec<_> = servers.iter().map(|server| (lot(server), *server)).collect();
    drawn.sort_by(|(a, one), (b, other)| one.priority.cmp(&other.priority).then(a.total_cmp(b)));
    drawn.into_iter().map(|(_, server)| server).collect()
}

/// A number in (0, 1), of the upper 53 bits.
fn uniform(bits: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what a double has")]
    let high = (bits >> 11) as f64;
    (high + 0.5) / (1_u64 << 53) as f64
}

/// The weights as those of endpoints, from 1 to 1,000. They are as they stand in the records where that is possible, and else in the same
/// proportion.
pub(crate) fn shares(servers: &[Server]) -> Vec<u32> {
    let weights = || servers.iter().map(|server| u32::from(server.weight));
    let max = weights().max().unwrap_or(0);
    // Beside a weight that is none, the others must be large.
    let fits = max <= MAX_SHARE && (max == 0 || weights().all(|weight| weight > 0));
    weights()
        .map(|weight| match fits {
            true => weight.max(1),
            false => (weight * MAX_SHARE / max).max(1),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn server(port: u16, priority: u16, weight: u16) -> Server {
        Server {
            address: ([10, 0, 0, 1], port).into(),
            priority,
            weight,
        }
    }

    #[test]
    fn low_priorities_come_first_and_weights_are_chances() {
        let servers = [
            server(1, 20, 100),
            server(2, 10, 1),
            server(3, 10, 3),
            server(4, 10, 0),
        ];
        let mut first = BTreeMap::new();
        for _ in 0..4_000 {
            let order = by_priority(&servers, &RandomState::new());
            assert_eq!(order[3].address.port(), 1);
            *first.entry(order[0].address.port()).or_insert(0) += 1;
        }
        // A quarter is 1,000, with a standard deviation of 27.
        assert!((850..1_150).contains(&first[&2]), "{first:?}");
        assert!(first.get(&4).copied().unwrap_or(0) < 100, "{first:?}");
    }

    #[test]
    fn who_stays_keeps_its_place() {
        let seed = RandomState::new();
        let all: Vec<_> = (1..20).map(|port| server(port, 1, port)).collect();
        let order = by_priority(&all, &seed);
        assert_eq!(order, by_priority(&all, &seed));
        let fewer: Vec<_> = all
            .iter()
            .copied()
            .filter(|one| one.address.port() % 3 > 0)
            .collect();
        let expected: Vec<_> = order.into_iter().filter(|one| fewer.contains(one)).collect();
        assert_eq!(by_priority(&fewer, &seed), expected);
    }

    #[test]
    fn weights_keep_their_proportion() {
        let of = |weights: &[u16]| {
            let servers: Vec<_> = weights.iter().map(|weight| server(1, 0, *weight)).collect();
            shares(&servers)
        };
        assert_eq!(of(&[1, 3]), [1, 3]);
        assert_eq!(of(&[0, 0]), [1, 1]);
        assert_eq!(of(&[0, 5, 10]), [1, 500, 1_000]);
        assert_eq!(of(&[60_000, 15_000]), [1_000, 250]);
        assert!(of(&[]).is_empty());
    }
}
