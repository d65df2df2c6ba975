//! A file of 1,000 rules that changes again and again under load.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt as _;
use tokio::{task::JoinSet, time::Instant};
use tunnel_examples::client::websocket;
use tunnel_tests::{
    client::{Client, Version},
    wait::within_limit,
};

use super::{CHANGED, World, echoes};

const RULES: usize = 1_000;
const RELOADS: usize = 5;
const CLIENTS: usize = 8;

/// Rules with paths of their own, and one that tells which file it is from.
fn rules(generation: usize) -> String {
    let mut text = format!(
        "  - {{id: generation, path: /generation, respond: {{status: 200, body: \"{generation}\"}}}}\n"
    );
    for rule in 0..RULES {
        let timeout = 10 + generation;
        let _ = writeln!(
            text,
            "  - {{id: r{rule}, host: h{}.example, path: /r/{rule}, timeout: {timeout}s, group: web}}",
            rule % 10
        );
    }
    text + "  - {id: web, group: web}\n"
}

/// Asks by one rule after the other until it is told to stop, and counts answers and failures.
async fn ask(gateway: SocketAddr, first: usize, stop: Arc<AtomicBool>) -> (usize, usize) {
    let mut client = Client::connect(Version::Http1, gateway).await;
    let (mut asked, mut failed) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        let rule = (first + asked) % RULES;
        let request = Request::get(format!("/r/{rule}"))
            .header("host", format!("h{}.example", rule % 10))
            .body(Body::empty())
            .unwrap();
        asked += 1;
        let is_good = match client.send(request).await {
            Ok(answer) if answer.status() == 200 => answer
                .into_body()
                .collect()
                .await
                .is_ok_and(|body| body.to_bytes() == "one"),
            _ => false,
        };
        failed += usize::from(!is_good);
    }
    (asked, failed)
}

#[tokio::test]
async fn no_request_fails_while_a_thousand_rules_change() {
    let mut world = World::new(&rules(0)).await;
    within_limit(async {
        let listen = world.gateway.listen;
        let mut socket = websocket(listen, "/socket").await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            clients.spawn(ask(listen, client * RULES / CLIENTS, stop.clone()));
        }
        let mut probe = Client::connect(Version::Http1, listen).await;
        for generation in 1..=RELOADS {
            world.edit(&rules(generation));
            let start = Instant::now();
            let expected = generation.to_string();
            while probe.get("/generation").await.collect().await.unwrap().to_bytes() != expected {
                tokio::task::yield_now().await;
            }
            println!("reload {generation}: {:?} until a request saw it", start.elapsed());
            world.gateway.program.logged(CHANGED, generation).await;
        }
        stop.store(true, Ordering::Relaxed);
        let counts = clients.join_all().await;
        let (asked, failed) = counts
            .iter()
            .fold((0, 0), |(asked, failed), (a, f)| (asked + a, failed + f));
        let log = world.gateway.program.log();
        let took = log.lines().filter_map(|line| line.split_once(" took=").map(|(_, took)| took));
        println!(
            "{RULES} rules, {RELOADS} reloads, {CLIENTS} clients: {asked} requests, {failed} failed; read, checked and swapped in {:?}",
            took.collect::<Vec<_>>()
        );
        assert!(asked > CLIENTS * RELOADS);
        assert_eq!(failed, 0);
        assert!(echoes(&mut socket, "after all").await);
    })
    .await;
}
