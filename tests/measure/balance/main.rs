//! Prints which agent gets how much, by which policy: real sessions, on a clock that jumps, so that every run prints the same.
//!
//! ```sh
//! cargo run -p tunnel-tests --bin balance_measure
//! ```

use tunnel_layers::{
    balance::{
        AnyPick, Balancing, ConsistentHash, LeastPending, Outliers, PeakEwma, PickFirst, RoundRobin,
        WeightedRandom,
    },
    key::HashKey,
};
use tunnel_tests::shares::{Crowd, KEY, Worker};

const REQUESTS: usize = 20_000;
const CALLERS: usize = 40;

/// What the agents are like.
struct World {
    title: &'static str,
    weights: [u32; 4],
    millis: [u32; 4],
    fails: [bool; 4],
    outliers: Option<Outliers>,
}

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    println!(
        "{REQUESTS} requests by {CALLERS} callers; shares of four agents in percent, and answers that were failures"
    );
    for world in worlds() {
        println!("\n{}\n", world.title);
        println!("| policy | agent 0 | agent 1 | agent 2 | agent 3 | failed |");
        println!("| --- | ---: | ---: | ---: | ---: | ---: |");
        for (name, balancing) in policies() {
            let (shares, failures) = runtime.block_on(world.run(balancing));
            let shares: Vec<_> = shares.iter().map(|share| format!("{share:.1}")).collect();
            println!("| {name} | {} | {failures} |", shares.join(" | "));
        }
    }
    Ok(())
}

impl World {
    async fn run(&self, balancing: Balancing<AnyPick>) -> (Vec<f64>, usize) {
        let workers: [Worker; 4] = std::array::from_fn(|number| {
            let worker = Worker::new(self.millis[number]).weight(self.weights[number]);
            worker.fails(self.fails[number]);
            worker
        });
        let balancing = match self.outliers {
            Some(outliers) => balancing.outliers(outliers),
            None => balancing,
        };
        Crowd::new(balancing, &workers).run(REQUESTS, CALLERS).await
    }
}

fn worlds() -> [World; 5] {
    let equal = World {
        title: "Equal agents, 10 ms (expected: 25 each)",
        weights: [1; 4],
        millis: [10; 4],
        fails: [false; 4],
        outliers: None,
    };
    let fails = [false, false, false, true];
    [
        World { ..equal },
        World {
            title: "Weights 1, 2, 3, 4 (expected: 10, 20, 30, 40)",
            weights: [1, 2, 3, 4],
            ..equal
        },
        World {
            title: "Agent 0 takes 100 ms, the others 10 ms (by what can be served at once: 3.2, 32.3, 32.3, 32.3)",
            millis: [100, 10, 10, 10],
            ..equal
        },
        World {
            title: "Agent 3 answers 503, and nobody is ejected",
            fails,
            ..equal
        },
        World {
            title: "Agent 3 answers 503, and is ejected after five failures in a row",
            fails,
            outliers: Some(Outliers::default()),
            ..equal
        },
    ]
}

fn policies() -> [(&'static str, Balancing<AnyPick>); 6] {
    let of = |pick: AnyPick| Balancing::new(pick);
    let key = HashKey::header(http::HeaderName::from_static(KEY));
    [
        ("round-robin", of(RoundRobin::new().into())),
        ("weighted-random", of(WeightedRandom::new().into())),
        ("least-pending", of(LeastPending::new().into())),
        ("peak-ewma", of(PeakEwma::new().into())),
        ("consistent-hash", of(ConsistentHash::new().into()).hash_key(key)),
        ("pick-first", of(PickFirst.into())),
    ]
}
