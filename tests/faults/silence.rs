//! Agents that are not there, though their connections stand: they are suspected, given up, and come back.
//!
//! In the testing kit, whose time stands still until somebody waits: so the intervals are the defaults, and what is seen of them is exact.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;
use tunnel_layers::route::Rule;
use tunnel_tests::tunnel::{GROUP, group, stack};
use tunnel_transport::{
    Heartbeat,
    testing::{Tunnel, until},
};

use crate::app::App;

#[tokio::test(start_paused = true)]
async fn a_half_open_agent_is_suspected_given_up_and_comes_back() {
    let app = App::new();
    let mut tunnel = Tunnel::builder()
        .agent(GROUP, app.router())
        .agent(GROUP, app.router())
        .start(|gateway| stack(gateway, vec![Rule::group("all", group(GROUP))]))
        .await;
    let Heartbeat { interval, timeout } = Heartbeat::DEFAULT;
    let agents = tunnel.gateway().agents();
    let of_far = || {
        let mut all = agents.list().into_iter();
        all.find(|status| status.session.agent().as_str() == "app-2")
    };
    let mut client = tunnel.http2().await;
    let waits = || "it is not so".to_owned();

    let far = tunnel.agent("app-2");
    let (link, session) = (far.link().clone(), far.sessions()[0].clone());
    let (start, agent) = (Instant::now(), far.agent().clone());
    link.freeze();
    until(|| of_far().is_none_or(|status| status.suspect), waits).await;
    let suspected = start.elapsed();
    assert!(
        of_far().is_some() && suspected <= interval * 2 + Duration::from_millis(10),
        "{suspected:?}"
    );
    // Whoever asks now is answered by the other one, at once.
    for _ in 0..32 {
        let asked = Instant::now();
        assert_eq!(client.get("/fast").await.0, StatusCode::OK);
        assert!(asked.elapsed() < Duration::from_millis(10));
    }
    until(|| of_far().is_none(), waits).await;
    let lost = start.elapsed();
    assert!(
        lost >= timeout - interval && lost <= timeout + interval,
        "{lost:?}"
    );
    // The agent has noticed as well, and is not ready.
    until(|| session.closed().is_some(), waits).await;
    let noticed = start.elapsed();
    let step = Duration::from_millis(10);
    assert!(
        !agent.is_ready() && noticed <= timeout + interval + step,
        "{noticed:?}"
    );

    link.thaw();
    tunnel.connected().await;
    assert!(agent.is_ready() && of_far().is_some());
    assert_eq!(client.get("/fast").await.0, StatusCode::OK);
    tunnel.idle().await;
}
