//! Everything that can befall links, lanes, agents and the gateway, in any order, while requests come: afterwards all of it is as it was.
//!
//! `TUNNEL_WEATHER=200` has so many seeds tried.

use std::{env, time::Duration};

use http::StatusCode;
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use tokio::{task::JoinSet, time::sleep};
use tunnel_layers::route::Rule;
use tunnel_tests::tunnel::{GROUP, group, stack};
use tunnel_transport::testing::{Client, Tunnel, within_limit};

use crate::app::App;

const AGENTS: [&str; 3] = ["app-1", "app-2", "app-3"];

/// Faults of one run.
const FAULTS: usize = 40;

#[tokio::test(start_paused = true)]
async fn after_any_faults_everybody_is_back_and_nothing_is_left() {
    let seeds = env::var("TUNNEL_WEATHER")
        .ok()
        .and_then(|seeds| seeds.parse().ok());
    for seed in 0..seeds.unwrap_or(6) {
        println!("seed {seed}");
        run(seed).await;
    }
}

async fn run(seed: u64) {
    let mut random = SmallRng::seed_from_u64(seed);
    let app = App::new();
    let mut tunnel = Tunnel::builder()
        .agent(GROUP, app.router())
        .agent_with(GROUP, app.router(), |agent| agent.lanes(2))
        .agent(GROUP, app.router())
        .start(|gateway| stack(gateway, vec![Rule::group("all", group(GROUP))]))
        .await;
    let mut callers = JoinSet::new();
    for _ in 0..FAULTS {
        for path in ["/fast", "/chunked", "/sized"] {
            callers.spawn(call(tunnel.http2().await, path, random.random_range(1..3_000)));
        }
        let which = AGENTS[random.random_range(0..AGENTS.len())];
        let agent = tunnel.agent(which);
        match random.random_range(0..9) {
            0 => agent.link().cut(),
            1 => agent.link().freeze(),
            2 => agent.link().thaw(),
            3 => agent.link().down(),
            4 => agent
                .link()
                .delay(Duration::from_millis(random.random_range(0..300))),
            5 => agent.drop_session(),
            6 if agent.sessions().iter().any(|session| !session.lanes().is_empty()) => {
                let index = agent.sessions()[0].lanes().first().map(|lane| lane.index());
                index.into_iter().for_each(|index| agent.lose_lane(index));
            }
            7 if random.random_bool(0.5) => agent.kill().await,
            8 if random.random_bool(0.3) => tunnel.restart_gateway().await,
            _ => agent.link().up(),
        }
        sleep(Duration::from_millis(random.random_range(0..2_000))).await;
    }

    for id in AGENTS {
        let agent = tunnel.agent(id);
        agent.link().thaw();
        agent.link().up();
        agent.link().delay(Duration::ZERO);
        if !agent.is_running() {
            agent.restart().await;
        }
    }
    within_limit(async { while callers.join_next().await.is_some() {} }).await;
    // What was silent for long may be given up only now.
    sleep(Duration::from_secs(30)).await;
    tunnel.connected().await;
    let mut client = tunnel.http1().await;
    assert_eq!(client.get("/fast").await.0, StatusCode::OK);
    drop(client);
    tunnel.idle().await;
    app.idle().await;
}

/// Asks, and gives up after so many milliseconds; any answer is right, as long as there is one or an error.
async fn call(mut client: Client, path: &'static str, patience: u64) {
    use http_body_util::BodyExt as _;

    let request = http::Request::get(path).body(axum::body::Body::empty());
    let asking = async {
        if let Ok(answer) = client.send(request.expect("a request")).await {
            let _ = answer.into_body().collect().await;
        }
    };
    let _ = tokio::time::timeout(Duration::from_millis(patience), asking).await;
}
