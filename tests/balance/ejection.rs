//! Agents that fail or become slow get nothing for a while, or little, and are taken back.

use std::time::Duration;

use tokio::time::{Instant, advance};
use tunnel_layers::balance::{AnyPick, Balancing, Outliers, PeakEwma, RoundRobin};
use tunnel_tests::shares::{Crowd, Worker};

fn workers() -> [Worker; 4] {
    std::array::from_fn(|_| Worker::new(10))
}

fn ejecting(outliers: Outliers) -> Balancing<AnyPick> {
    Balancing::new(RoundRobin::new().into()).outliers(outliers)
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_is_ejected_and_taken_back() {
    let workers = workers();
    let outliers = Outliers::default();
    let crowd = Crowd::new(ejecting(outliers), &workers);
    assert_eq!(crowd.run(400, 1).await, (vec![25.0; 4], 0));

    workers[2].fails(true);
    let (shares, failures) = crowd.run(1_000, 1).await;
    assert_eq!(failures, 5, "so many in a row are allowed");
    assert!(shares[2] < 1.0, "{shares:?}");
    let ejected = Instant::now();
    // Nothing at all until the ejection is over.
    assert_eq!(crowd.run(300, 1).await.0[2], 0.0);

    // It comes back while it still fails: so many failures more, and out for twice as long.
    advance(outliers.ejection).await;
    assert_eq!(crowd.run(300, 1).await.1, 5);
    advance(outliers.ejection).await;
    assert_eq!(
        crowd.run(300, 1).await,
        (vec![100.0 / 3.0, 100.0 / 3.0, 0.0, 100.0 / 3.0], 0)
    );

    workers[2].fails(false);
    advance(outliers.ejection).await;
    let (shares, failures) = crowd.run(400, 1).await;
    assert_eq!((shares, failures), (vec![25.0; 4], 0));
    assert!(
        ejected.elapsed() < outliers.ejection * 4,
        "two ejections, of one and of two times"
    );
}

#[tokio::test(start_paused = true)]
async fn at_most_so_many_are_out_as_are_allowed() {
    let workers = workers();
    let outliers = Outliers {
        max_ejected: 50,
        ..Outliers::default()
    };
    let crowd = Crowd::new(ejecting(outliers), &workers);
    workers[..3].iter().for_each(|worker| worker.fails(true));
    crowd.run(400, 1).await;
    let (shares, _) = crowd.run(400, 1).await;
    // Three fail, two may be out.
    assert_eq!(
        shares.iter().filter(|share| **share == 0.0).count(),
        2,
        "{shares:?}"
    );
    assert_eq!(shares[3], 50.0);
}

#[tokio::test(start_paused = true)]
async fn one_that_often_fails_is_ejected_by_its_rate() {
    let workers = workers();
    let outliers = Outliers {
        consecutive_failures: 0,
        min_success_percent: 80,
        ..Outliers::default()
    };
    let crowd = Crowd::new(ejecting(outliers), &workers);
    let mut shares = Vec::new();
    // Every second answer of one is a failure.
    for turn in 0..60 {
        workers[1].fails(turn % 2 == 0);
        shares = crowd.run(4, 1).await.0;
    }
    assert_eq!(shares[1], 0.0, "{shares:?}");
    workers[1].fails(false);
    advance(outliers.ejection).await;
    assert_eq!(crowd.run(400, 1).await, (vec![25.0; 4], 0));
}

#[tokio::test(start_paused = true)]
async fn one_that_becomes_slow_gets_little_and_is_taken_back() {
    let workers = workers();
    let crowd = Crowd::new(Balancing::new(AnyPick::from(PeakEwma::new())), &workers);
    let (shares, _) = crowd.run(4_000, 20).await;
    assert!(
        shares.iter().all(|share| (22.0..28.0).contains(share)),
        "{shares:.1?}"
    );
    workers[0].takes(500);
    crowd.run(400, 20).await;
    let (shares, _) = crowd.run(4_000, 20).await;
    assert!(shares[0] < 1.0, "{shares:.1?}");
    workers[0].takes(10);
    // What was measured is forgotten by and by.
    advance(Duration::from_secs(60)).await;
    crowd.run(400, 20).await;
    let (shares, _) = crowd.run(4_000, 20).await;
    assert!(
        shares.iter().all(|share| (20.0..30.0).contains(share)),
        "{shares:.1?}"
    );
}
