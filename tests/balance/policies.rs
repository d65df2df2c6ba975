//! What each policy is expected to give, and gives.

use tunnel_layers::{
    balance::{
        AnyPick, Balancing, ConsistentHash, LeastPending, PeakEwma, PickFirst, RoundRobin, WeightedRandom,
        ZonePreference,
    },
    key::HashKey,
};
use tunnel_tests::shares::{Crowd, KEY, Worker};

const REQUESTS: usize = 4_000;
const CALLERS: usize = 40;

/// Each share is within so many percent points of what is expected.
#[track_caller]
fn assert_near(shares: &[f64], expected: [f64; 4], within: f64) {
    let near = shares
        .iter()
        .zip(expected)
        .all(|(share, expected)| (share - expected).abs() <= within);
    assert!(near, "{shares:.1?} instead of {expected:?}");
}

async fn shares(balancing: impl Into<Balancing<AnyPick>>, workers: &[Worker; 4]) -> Vec<f64> {
    let (shares, failures) = Crowd::new(balancing, workers).run(REQUESTS, CALLERS).await;
    assert_eq!(failures, 0);
    shares
}

fn equal() -> [Worker; 4] {
    std::array::from_fn(|_| Worker::new(10))
}

/// 10, 20, 30 and 40 percent.
fn weighted() -> [Worker; 4] {
    std::array::from_fn(|number| Worker::new(10).weight([1, 2, 3, 4][number]))
}

/// One that takes ten times as long.
fn one_slow() -> [Worker; 4] {
    std::array::from_fn(|number| Worker::new([100, 10, 10, 10][number]))
}

fn by_key() -> Balancing<AnyPick> {
    Balancing::new(ConsistentHash::new().into()).hash_key(HashKey::header(http::HeaderName::from_static(KEY)))
}

fn policy(pick: impl Into<AnyPick>) -> Balancing<AnyPick> {
    Balancing::new(pick.into())
}

#[tokio::test(start_paused = true)]
async fn equals_share_equally() {
    let even = [25.0; 4];
    assert_near(&shares(policy(RoundRobin::new()), &equal()).await, even, 0.0);
    assert_near(&shares(policy(WeightedRandom::new()), &equal()).await, even, 1.5);
    assert_near(&shares(policy(LeastPending::new()), &equal()).await, even, 1.5);
    assert_near(&shares(policy(PeakEwma::new()), &equal()).await, even, 1.5);
    assert_near(&shares(by_key(), &equal()).await, even, 2.0);
    assert_near(
        &shares(policy(PickFirst), &equal()).await,
        [100.0, 0.0, 0.0, 0.0],
        0.0,
    );
}

#[tokio::test(start_paused = true)]
async fn weights_are_shares() {
    let by_weight = [10.0, 20.0, 30.0, 40.0];
    assert_near(
        &shares(policy(RoundRobin::new()), &weighted()).await,
        by_weight,
        0.1,
    );
    assert_near(
        &shares(policy(WeightedRandom::new()), &weighted()).await,
        by_weight,
        1.5,
    );
    assert_near(
        &shares(policy(LeastPending::new()), &weighted()).await,
        by_weight,
        3.0,
    );
    assert_near(
        &shares(policy(PeakEwma::new()), &weighted()).await,
        by_weight,
        3.0,
    );
    assert_near(&shares(by_key(), &weighted()).await, by_weight, 2.0);
}

/// Those that look at what is open, or at times, spare who is slow; those that do not, do not.
#[tokio::test(start_paused = true)]
async fn who_is_slow_gets_less_where_the_policy_looks() {
    let even = [25.0; 4];
    assert_near(&shares(policy(RoundRobin::new()), &one_slow()).await, even, 0.0);
    assert_near(
        &shares(policy(WeightedRandom::new()), &one_slow()).await,
        even,
        1.5,
    );
    for pick in [AnyPick::from(LeastPending::new()), PeakEwma::new().into()] {
        let shares = shares(pick.clone(), &one_slow()).await;
        assert!(shares[0] < 6.0, "{pick:?}: {shares:.1?}");
        assert!(
            shares[1..].iter().all(|share| (28.0..37.0).contains(share)),
            "{pick:?}: {shares:.1?}"
        );
    }
    // Its open exchanges count against the slow one.
    let shares = shares(by_key(), &one_slow()).await;
    assert!(shares[0] < 20.0, "{shares:.1?}");
}

#[tokio::test(start_paused = true)]
async fn a_zone_is_preferred_until_it_cannot() {
    let workers = ["a", "a", "b", "b"].map(|zone| Worker::new(10).zone(zone));
    let near = policy(RoundRobin::new()).zone(ZonePreference::new("b"));
    assert_near(&shares(near, &workers).await, [0.0, 0.0, 50.0, 50.0], 0.1);
    let too_few = policy(RoundRobin::new()).zone(ZonePreference::new("b").min_endpoints(3));
    assert_near(&shares(too_few, &workers).await, [25.0; 4], 0.1);
}

#[tokio::test(start_paused = true)]
async fn the_same_load_gives_the_same_shares() {
    for pick in [
        AnyPick::from(WeightedRandom::new()),
        LeastPending::new().into(),
        PeakEwma::new().into(),
    ] {
        let fresh = |pick: &AnyPick| match pick {
            AnyPick::WeightedRandom(_) => AnyPick::from(WeightedRandom::new()),
            AnyPick::LeastPending(_) => LeastPending::new().into(),
            _ => PeakEwma::new().into(),
        };
        let one = shares(fresh(&pick), &one_slow()).await;
        assert_eq!(one, shares(fresh(&pick), &one_slow()).await);
    }
}
