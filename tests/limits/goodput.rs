//! How much gets done at one, two and three times of what there is room for, through the tunnel. It takes half a minute:
//! `cargo test -p tunnel-tests --test limits -- --ignored --nocapture`.

use std::{sync::Arc, time::Duration};

use axum::Router;
use http_body_util::BodyExt as _;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, interval, sleep, timeout},
};
use tunnel_layers::concurrency::ConcurrencyLayer;
use tunnel_tests::client::{Client, Version};

use crate::{Guarded, all, guarded};

/// The app works on so many at a time, each for so long; others wait in its own line, which is as long as it gets.
const WIDTH: usize = 20;
const WORK: Duration = Duration::from_millis(50);
const CAPACITY: u32 = 400;
/// How long a client waits for its answer.
const PATIENCE: Duration = Duration::from_secs(1);
const TIME: Duration = Duration::from_secs(4);

fn app() -> Router {
    let workers = Arc::new(Semaphore::new(WIDTH));
    Router::new().fallback(async move || {
        let _worker = workers.acquire().await.expect("it stays open");
        sleep(WORK).await;
        "done"
    })
}

/// Answers of 200 in each second of this load.
async fn goodput(tunnel: &Guarded, times: u32) -> u32 {
    let mut connections = Vec::new();
    for _ in 0..8 * times {
        connections.push(Client::connect(Version::Http2, tunnel.addr).await);
    }
    let mut calls = JoinSet::new();
    let mut arrivals = interval(Duration::from_secs(1) / (CAPACITY * times));
    let start = Instant::now();
    for connection in connections.iter().cycle() {
        if start.elapsed() >= TIME {
            break;
        }
        arrivals.tick().await;
        let mut client = connection.share();
        calls.spawn(timeout(PATIENCE, async move {
            let answer = client.get("/").await;
            let is_served = answer.status() == 200;
            answer.into_body().collect().await.is_ok() && is_served
        }));
    }
    let served = calls
        .join_all()
        .await
        .into_iter()
        .filter(|answer| matches!(answer, Ok(true)))
        .count();
    u32::try_from(served).expect("a small number") / u32::try_from(TIME.as_secs()).expect("a small number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn goodput_through_the_tunnel() {
    let limited = ConcurrencyLayer::new().max(WIDTH).queue(WIDTH * 2);
    for (name, places) in [
        ("limited", limited),
        ("free", ConcurrencyLayer::new().max(usize::MAX)),
    ] {
        let tunnel = guarded([all()], places, app()).await;
        for times in 1..=3 {
            let served = goodput(&tunnel, times).await;
            println!("{name}: {served} of {CAPACITY} exchanges/s at {times}x");
        }
    }
}
