//! Agents that are not there, though their connections stand: they are suspected, given up, and come back.
//!
//! The intervals are real, because sockets are; what is measured is printed, and only its order and its bound are asserted.

use std::time::Duration;

use tokio::time::Instant;
use tunnel_tests::tunnel::{GROUP, Tunnel};
use tunnel_transport::{Agent, Backoff, GatewayStatus, Heartbeat, Status};

use crate::{
    app::App,
    http2::H2,
    relay::Relay,
    world::{Mortal, eventually, within},
};

/// The hundredth part of the default, which notices within 25 s.
const FAST: Heartbeat = Heartbeat {
    interval: Duration::from_millis(50),
    timeout: Duration::from_millis(200),
};

#[tokio::test]
async fn a_half_open_agent_is_suspected_given_up_and_comes_back() {
    within(async {
        let app = App::new();
        let mut tunnel = Tunnel::builder().heartbeat(FAST).start().await;
        let relay = Relay::to(tunnel.agents_addr).await;
        tunnel
            .run_agent(tunnel.agent(GROUP).id("near"), app.router())
            .await;
        let far = Agent::builder(format!("http://{}", relay.addr))
            .group(GROUP)
            .id("far")
            .connect_timeout(Duration::from_millis(500))
            .backoff(Backoff {
                first: Duration::from_millis(10),
                cap: Duration::from_millis(50),
            });
        let far = Mortal::start(far, app.router()).await;
        let agents = tunnel.gateway.agents();
        let of_far = || {
            agents
                .list()
                .into_iter()
                .find(|status| status.session.agent().as_str() == "far")
        };
        let client = H2::connect(tunnel.addr).await;
        client.fast().await;

        let (start, session) = (Instant::now(), far.agent.connected().await);
        relay.swallow();
        eventually(|| of_far().is_none_or(|status| status.suspect)).await;
        let suspected = start.elapsed();
        eventually(|| of_far().is_none()).await;
        let lost = start.elapsed();
        // The agent has noticed as well, and is not ready.
        eventually(|| session.closed().is_some()).await;
        assert!(!far.agent.is_ready());
        println!("a half-open agent: suspected after {suspected:?}, given up after {lost:?}");
        assert!(suspected < lost && lost >= FAST.timeout);
        client.fast().await;

        relay.heal();
        eventually(|| of_far().is_some()).await;
        let is_connected = |gateway: &GatewayStatus| matches!(gateway.status, Status::Connected(_));
        eventually(|| far.agent.gateways().iter().any(is_connected)).await;
        eventually(|| far.agent.is_ready()).await;
        client.fast().await;
    })
    .await;
}
