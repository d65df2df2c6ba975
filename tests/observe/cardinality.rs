//! Whoever sends requests chooses no label.

use axum::body::Body;
use http::Request;
use tunnel_tests::wait::within_limit;

use crate::{
    app::{Stuck, app},
    world::{Plan, World, exchange},
};

/// Hosts, paths, methods and headers as outsiders may choose them; a number makes each of them another one.
fn random(n: u32) -> Request<Body> {
    // A few rounds of a generator, so that runs are alike.
    let word = n.wrapping_mul(2_654_435_761).rotate_left(7) ^ 0x5bd1_e995;
    let path = match n % 4 {
        0 => format!("/app/ok/{word:x}"),
        1 => format!("/{word:x}/{n}"),
        2 => format!("/private/{word:x}"),
        _ => format!("/pkg.Service{word:x}/Method{n}"),
    };
    let method = match n % 5 {
        0..=2 => "GET".to_owned(),
        3 => format!("M{word:X}"),
        _ => "OPTIONS".to_owned(),
    };
    let mut request = Request::builder()
        .method(&*method)
        .uri(format!("http://h{word:x}.example.com{path}"))
        .header("user-agent", format!("agent-{word:x}"))
        .header("x-tunnel-error", format!("forged-{word:x}"));
    if n.is_multiple_of(7) {
        request = request.header("content-type", "application/grpc");
    }
    request.body(Body::empty()).expect("a request")
}

#[tokio::test]
async fn ten_thousand_hosts_and_paths_make_no_series() {
    within_limit(async {
        let world = World::with_app(Plan::default(), app(Stuck::default())).await;
        let mut client = world.client().await;
        let send = async |client: &mut tunnel_tests::client::Client, from: u32, to: u32| {
            for n in from..to {
                exchange(client, random(n)).await;
            }
        };
        send(&mut client, 0, 500).await;
        let first = world.scrape();
        send(&mut client, 500, 10_500).await;
        let last = world.scrape();
        let (before, after) = (first.series("tunnel_"), last.series("tunnel_"));
        assert_eq!(before, after, "{}", last.of("tunnel_exchanges_total"));
        assert!(!last.0.contains("example.com") && !last.0.contains("forged"));
        let requests: u64 = world.overview.snapshot().iter().map(|row| row.requests).sum();
        assert_eq!(requests, 10_500);
        assert!(world.overview.snapshot().len() <= 5);
    })
    .await;
}
