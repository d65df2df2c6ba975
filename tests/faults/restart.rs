//! Gateways and agents that go: what runs finishes, and who is still there finds the way back.

use tunnel_layers::balance::RoundRobin;

use crate::{
    app::App,
    http1::Raw,
    http2::{self, H2},
    world::{Mortal, Site, eventually, stack, within},
};

#[tokio::test]
async fn an_agent_comes_back_after_its_gateway_restarts_on_the_same_port() {
    within(async {
        let app = App::new();
        let mut site = Site::start([0, 0], |gateway| {
            stack(gateway, RoundRobin::new(), gateway.transport())
        });
        let agent = Mortal::start(site.agent("a"), app.router()).await;
        for _ in 0..3 {
            H2::connect(site.addr).await.fast().await;
            let before = agent.agent.connected().await;
            // One exchange is open when it dies.
            let mut client = Raw::get(site.addr, "/wait").await;
            app.left(1).await;
            let ports = [site.addr.port(), site.agents_addr.port()];
            site.kill().await;
            assert_eq!(client.read_to_end().await.0, b"");
            app.idle().await;
            site = Site::start(ports, |gateway| {
                stack(gateway, RoundRobin::new(), gateway.transport())
            });
            eventually(|| !site.gateway.agents().list().is_empty()).await;
            let mut status = agent.agent.status();
            let is_new = |status: &tunnel_transport::Status| match status {
                tunnel_transport::Status::Connected(session) => *session != before,
                _ => false,
            };
            status.wait_for(is_new).await.expect("the agent runs");
        }
        H2::connect(site.addr).await.fast().await;
        eventually(|| agent.agent.credit().used() == 0).await;
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_stops_finishes_what_runs() {
    within(async {
        let app = App::new();
        let site = Site::start([0, 0], |gateway| {
            stack(gateway, RoundRobin::new(), gateway.transport())
        });
        let agent = Mortal::start(site.agent("a"), app.router()).await;
        let (mut http1, http2) = (Raw::get(site.addr, "/half").await, H2::connect(site.addr).await);
        let response = http2::head(http2.get("/half").await.0).await;
        http1.head().await;
        let (gateway, session) = (site.gateway.clone(), agent.agent.connected().await);
        site.begin_to_stop();
        eventually(|| {
            gateway
                .agents()
                .list()
                .iter()
                .all(|agent| agent.session.is_draining())
        })
        .await;
        assert!(session.closed().is_none());
        app.release(2);
        let stopped = tokio::spawn(site.stopped());
        let (rest, end) = http1.read_to_end().await;
        end.expect("a clean end");
        assert!(rest.ends_with(b"0\r\n\r\n"), "{rest:?}");
        assert_eq!(
            http2::read_all(response.into_body()).await.expect("a whole body"),
            "half whole"
        );
        stopped.await.expect("the gateway stops");
        app.idle().await;
        assert_eq!(gateway.credit().used(), 0);
        assert!(gateway.agents().list().is_empty());
    })
    .await;
}
