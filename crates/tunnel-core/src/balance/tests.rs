use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use super::*;

struct Host {
    name: String,
    weight: u32,
    pending: AtomicUsize,
    zone: Option<&'static str>,
    stats: Stats,
}

impl Endpoint for Host {
    fn name(&self) -> &str {
        &self.name
    }
    fn weight(&self) -> u32 {
        self.weight
    }
    fn pending(&self) -> usize {
        self.pending.load(Ordering::Relaxed)
    }
    fn zone(&self) -> Option<&str> {
        self.zone
    }
    fn stats(&self) -> &Stats {
        &self.stats
    }
}

/// A clock that stands until it is moved.
struct World {
    start: Instant,
    hosts: Vec<Host>,
}

impl World {
    #[expect(
        clippy::disallowed_methods,
        reason = "any moment will do: the tests move it themselves"
    )]
    fn new(weights: &[u32]) -> Self {
        let start = Instant::now();
        let host = |(index, weight): (usize, &u32)| Host {
            name: format!("host-{index}"),
            weight: *weight,
            pending: AtomicUsize::new(0),
            zone: None,
            stats: Stats::new(start),
        };
        Self {
            start,
            hosts: weights.iter().enumerate().map(host).collect(),
        }
    }

    fn at(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    fn choose<P: Pick<Host>>(&self, balancer: &Balancer<P>, choice: Choice) -> &str {
        balancer
            .choose(self.hosts.iter(), |_| true, &choice)
            .unwrap()
            .name()
    }

    /// How often each is chosen in `times` choices that all end at once.
    fn count<P: Pick<Host>>(&self, balancer: &Balancer<P>, times: u64, seconds: u64) -> Vec<usize> {
        let mut counts = vec![0; self.hosts.len()];
        for turn in 0..times {
            let choice = Choice::at(self.at(seconds)).keyed(key_hash(&turn.to_be_bytes()));
            let name = self.choose(balancer, choice);
            let index = self.hosts.iter().position(|host| host.name == name).unwrap();
            counts[index] += 1;
        }
        counts
    }

    fn fail(&self, host: usize, times: u32, seconds: u64, outliers: &Outliers) {
        for _ in 0..times {
            self.hosts[host]
                .stats
                .ended(Outcome::Failure, self.at(seconds), outliers);
        }
    }
}

fn is_near(counts: &[usize], expected: &[usize], tolerance: usize) -> bool {
    counts
        .iter()
        .zip(expected)
        .all(|(count, expected)| count.abs_diff(*expected) <= tolerance)
}

#[test]
fn round_robin_is_exact_and_does_not_bunch() {
    let world = World::new(&[1, 1, 1]);
    assert_eq!(
        world.count(&Balancer::new(RoundRobin::new()), 300, 0),
        [100, 100, 100]
    );

    let world = World::new(&[5, 1, 2]);
    let balancer = Balancer::new(RoundRobin::new());
    assert_eq!(world.count(&balancer, 800, 0), [500, 100, 200]);
    let rounds: Vec<_> = (0..8)
        .map(|_| world.choose(&balancer, Choice::at(world.start)))
        .collect();
    assert!(
        !rounds
            .windows(4)
            .any(|four| four.iter().all(|name| *name == four[0])),
        "{rounds:?}"
    );
}

#[test]
fn random_goes_by_weight() {
    let world = World::new(&[1, 3, 6]);
    let counts = world.count(&Balancer::new(WeightedRandom::new()), 10_000, 0);
    assert!(is_near(&counts, &[1_000, 3_000, 6_000], 200), "{counts:?}");
}

#[test]
fn least_pending_evens_out_what_is_open() {
    let world = World::new(&[1, 1, 2]);
    let balancer = Balancer::new(LeastPending::new());
    for _ in 0..400 {
        let name = world.choose(&balancer, Choice::at(world.start)).to_owned();
        let host = world.hosts.iter().find(|host| host.name == name).unwrap();
        host.pending.fetch_add(1, Ordering::Relaxed);
    }
    let open: Vec<_> = world.hosts.iter().map(Endpoint::pending).collect();
    assert!(is_near(&open, &[100, 100, 200], 12), "{open:?}");
}

#[test]
fn peak_ewma_leaves_the_slow_one_and_comes_back() {
    let world = World::new(&[1, 1, 1, 1]);
    for (index, host) in world.hosts.iter().enumerate() {
        let latency = Duration::from_millis(if index == 0 { 500 } else { 10 });
        host.stats.answered(latency, world.at(0));
    }
    let balancer = Balancer::new(PeakEwma::new());
    let counts = world.count(&balancer, 1_000, 0);
    assert_eq!(counts[0], 0, "{counts:?}");
    // One peak is enough, and good answers bring the average down slowly.
    let stats = &world.hosts[1].stats;
    stats.answered(Duration::from_secs(1), world.at(0));
    assert_eq!(stats.latency(world.at(0)), Some(Duration::from_secs(1)));
    stats.answered(Duration::from_millis(10), world.at(1));
    let later = stats.latency(world.at(1)).unwrap();
    assert!(
        later > Duration::from_millis(800) && later < Duration::from_millis(950),
        "{later:?}"
    );
    // Without answers, it is forgotten.
    assert!(stats.latency(world.at(120)).unwrap() < Duration::from_millis(10));
}

#[test]
fn peak_ewma_tries_a_new_one_once_at_a_time() {
    let world = World::new(&[1, 1]);
    world.hosts[0]
        .stats
        .answered(Duration::from_millis(10), world.start);
    let balancer = Balancer::new(PeakEwma::new());
    let choice = Choice::at(world.start);
    assert_eq!(world.choose(&balancer, choice), "host-1");
    world.hosts[1].pending.store(1, Ordering::Relaxed);
    assert_eq!(world.choose(&balancer, choice), "host-0");
}

#[test]
fn a_key_stays_where_it_is_and_few_keys_move() {
    let mut world = World::new(&[1; 10]);
    let balancer = Balancer::new(ConsistentHash::new());
    let place = |world: &World| -> BTreeMap<u64, String> {
        let choice = |key: u64| Choice::at(world.start).keyed(key_hash(&key.to_be_bytes()));
        (0..5_000)
            .map(|key| (key, world.choose(&balancer, choice(key)).to_owned()))
            .collect()
    };
    let before = place(&world);
    assert_eq!(before, place(&world));
    let gone = world.hosts.remove(3).name;
    let after = place(&world);
    for (key, name) in &before {
        assert!(
            *name == gone || after[key] == *name,
            "key {key} moved without need"
        );
    }
    let moved = before.values().filter(|name| **name == gone).count();
    assert!(is_near(&[moved], &[500], 90), "{moved}");
}

#[test]
fn hashing_goes_by_weight_and_is_the_same_everywhere() {
    let world = World::new(&[1, 3]);
    let counts = world.count(&Balancer::new(ConsistentHash::new()), 8_000, 0);
    assert!(is_near(&counts, &[2_000, 6_000], 200), "{counts:?}");
    // Gateways of different builds must agree, so the number itself is part of what is promised.
    assert_eq!(key_hash(b""), 0xf52a_15e9_a9b5_e89b);
}

#[test]
fn one_busy_key_does_not_drown_its_endpoint() {
    let world = World::new(&[1; 4]);
    let balancer = Balancer::new(ConsistentHash::new());
    for _ in 0..100 {
        let name = world
            .choose(&balancer, Choice::at(world.start).keyed(7))
            .to_owned();
        let host = world.hosts.iter().find(|host| host.name == name).unwrap();
        host.pending.fetch_add(1, Ordering::Relaxed);
    }
    let most = world.hosts.iter().map(Endpoint::pending).max().unwrap();
    assert!((25..=32).contains(&most), "{most}");
}

#[test]
fn the_first_is_taken_until_it_cannot() {
    let world = World::new(&[1, 1, 1]);
    let balancer = Balancer::new(PickFirst);
    let choice = Choice::at(world.start);
    assert_eq!(world.choose(&balancer, choice), "host-0");
    let without = balancer.choose(world.hosts.iter(), |host| host.name != "host-0", &choice);
    assert_eq!(without.unwrap().name(), "host-1");
    assert!(balancer.choose(world.hosts.iter(), |_| false, &choice).is_none());
}

#[test]
fn who_comes_begins_low() {
    let mut world = World::new(&[10, 10]);
    world.hosts[1].stats = Stats::new(world.at(100));
    let balancer = Balancer::new(WeightedRandom::new()).slow_start(Duration::from_secs(60));
    let at = |seconds| world.count(&balancer, 11_000, seconds)[1];
    assert!(is_near(&[at(100)], &[1_000], 150), "{}", at(100));
    assert!(is_near(&[at(130)], &[3_667], 250), "{}", at(130));
    assert!(is_near(&[at(160)], &[5_500], 300), "{}", at(160));
}

#[test]
fn a_zone_is_preferred_while_it_has_enough() {
    let mut world = World::new(&[1; 4]);
    world.hosts[2].zone = Some("a");
    world.hosts[3].zone = Some("a");
    let balancer = Balancer::new(RoundRobin::new()).zone(ZonePreference::new("a").min_endpoints(2));
    assert_eq!(world.count(&balancer, 100, 0), [0, 0, 50, 50]);
    world.hosts[3].zone = Some("b");
    assert_eq!(world.count(&balancer, 100, 0), [25, 25, 25, 25]);
}

#[test]
fn failures_after_each_other_eject_and_time_brings_back() {
    let world = World::new(&[1; 4]);
    let outliers = Outliers::default();
    let balancer = Balancer::new(RoundRobin::new()).outliers(outliers);
    world.fail(0, 4, 0, &outliers);
    assert_eq!(world.count(&balancer, 100, 0)[0], 25);
    world.fail(0, 1, 0, &outliers);
    assert_eq!(world.count(&balancer, 99, 0), [0, 33, 33, 33]);
    assert_eq!(world.count(&balancer, 99, 29)[0], 0);
    assert_eq!(world.count(&balancer, 100, 30)[0], 25);
    // The second time for twice as long.
    world.fail(0, 5, 31, &outliers);
    assert_eq!(world.count(&balancer, 99, 90)[0], 0);
    assert_eq!(world.count(&balancer, 100, 91)[0], 25);
    // After a long time of health, as if it were the first.
    world.fail(0, 5, 1_000, &outliers);
    assert_eq!(world.count(&balancer, 100, 1_030)[0], 25);
}

#[test]
fn a_low_rate_of_success_ejects() {
    let world = World::new(&[1; 3]);
    let outliers = Outliers::default();
    let balancer = Balancer::new(RoundRobin::new()).outliers(outliers);
    let note = |outcome, seconds| world.hosts[0].stats.ended(outcome, world.at(seconds), &outliers);
    for turn in 0..30 {
        // Two of three fail, but old ones do not count.
        let seconds = if turn < 15 { 0 } else { 11 };
        note(
            if turn % 3 == 0 {
                Outcome::Success
            } else {
                Outcome::Failure
            },
            seconds,
        );
    }
    assert_eq!(world.count(&balancer, 99, 11)[0], 33);
    for turn in 0..5 {
        note(
            if turn % 3 == 0 {
                Outcome::Success
            } else {
                Outcome::Failure
            },
            12,
        );
    }
    assert_eq!(world.count(&balancer, 100, 12), [0, 50, 50]);
}

#[test]
fn ejection_stops_at_the_cap_and_never_takes_all() {
    let world = World::new(&[1; 4]);
    let outliers = Outliers::default();
    let balancer = Balancer::new(RoundRobin::new()).outliers(outliers);
    for host in 0..3 {
        world.fail(host, 5, host as u64, &outliers);
    }
    // Two of four may be out; those that were first.
    assert_eq!(world.count(&balancer, 100, 4), [0, 0, 50, 50]);
    world.fail(3, 5, 4, &outliers);
    assert_eq!(world.count(&balancer, 100, 4), [25; 4]);
    assert_eq!(
        [0, 1, 2, 3, 10].map(|endpoints| outliers.most(endpoints)),
        [0, 0, 1, 1, 5]
    );
}

#[test]
fn the_cap_holds_for_those_that_are_ejected_at_the_same_moment() {
    let world = World::new(&[1; 4]);
    let outliers = Outliers::default();
    let balancer = Balancer::new(RoundRobin::new()).outliers(outliers);
    for host in 0..3 {
        world.fail(host, 5, 0, &outliers);
    }
    assert_eq!(world.count(&balancer, 100, 1), [0, 0, 50, 50]);
}

#[test]
fn processes_of_one_agent_share_its_keys_and_keep_them() {
    let mut world = World::new(&[1; 3]);
    world.hosts[1].name = "host-0".to_owned();
    let balancer = Balancer::new(ConsistentHash::new());
    let choose = |key: u64| {
        let choice = Choice::at(world.start).keyed(key_hash(&key.to_be_bytes()));
        let chosen = balancer.choose(world.hosts.iter(), |_| true, &choice).unwrap();
        world
            .hosts
            .iter()
            .position(|host| std::ptr::eq(host, chosen))
            .unwrap()
    };
    let places: Vec<_> = (0..6_000).map(choose).collect();
    let count = |host| places.iter().filter(|place| **place == host).count();
    let counts = [count(0), count(1), count(2)];
    assert!(is_near(&counts, &[2_000; 3], 150), "{counts:?}");
    assert!((0..6_000).all(|key| choose(key) == places[key as usize]));
}

/// Many are kept elsewhere than few.
#[test]
fn any_number_is_chosen_from() {
    for hosts in [2, 7, 8, 9, 40] {
        let mut world = World::new(&vec![1; hosts]);
        world.hosts[hosts - 1].zone = Some("a");
        let balancer = Balancer::new(RoundRobin::new());
        assert_eq!(world.count(&balancer, hosts as u64 * 3, 0), vec![3; hosts]);
        let balancer = balancer.zone(ZonePreference::new("a"));
        let counts = world.count(&balancer, 10, 0);
        assert_eq!((counts[0], counts[hosts - 1]), (0, 10));
    }
}
