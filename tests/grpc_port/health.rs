//! `grpc.health.v1` of the gateway and of its groups.

use std::time::Duration;

use tonic::{
    Code,
    transport::{Server, server::TcpIncoming},
};
use tonic_health::pb::health_check_response::ServingStatus::{NotServing, ServiceUnknown, Serving};
use tunnel_tests::{
    call::{collect, get},
    raw::{
        Pace, RawAgent, hello,
        message::{self, http_response},
    },
    tunnel::{address, listener},
    wait::within_limit,
};
use tunnel_transport::{Gateway, Heartbeat, wire::tunnel_message::Payload};

use super::port::{Port, Prober};

const GROUP: &str = "group:demo";

#[tokio::test]
async fn check_says_what_is_known() {
    within_limit(async {
        let port = Port::open().await;
        let mut prober = port.prober().await;
        assert_eq!(prober.check("").await, Ok(Serving));
        assert_eq!(prober.check("tunnel.v1.TunnelService").await, Ok(Serving));
        for unknown in [GROUP, "demo", "group:", "group:a b", "some.Service"] {
            assert_eq!(prober.check(unknown).await, Err(Code::NotFound), "{unknown}");
        }
        let agent = RawAgent::dial(port.addr).await;
        let session = agent
            .register(None, hello("agent", &["demo"]), Pace::Together)
            .await;
        assert_eq!(prober.check(GROUP).await, Ok(Serving));
        let mut watch = prober.watch(GROUP).await;
        assert_eq!(watch.next().await, Ok(Serving));
        drop(session);
        assert_eq!(watch.next().await, Ok(NotServing));
        assert_eq!(prober.check(GROUP).await, Ok(NotServing));
    })
    .await;
}

#[tokio::test]
async fn a_watch_follows_sessions_and_their_lanes() {
    within_limit(async {
        let port = Port::open().await;
        let mut watch = port.prober().await.watch(GROUP).await;
        assert_eq!(watch.next().await, Ok(ServiceUnknown));

        let agent = RawAgent::dial(port.addr).await;
        let mut control = agent.control_stream(None).await.unwrap();
        let open = Payload::StreamOpen(hello("agent", &["demo"]));
        control.send(message::control(open)).await;
        let opened = control.expect_opened().await;
        assert_eq!(watch.next().await, Ok(NotServing), "it has no lane");

        let mut lane = agent.open_lane(&opened, 0, Pace::Together).await;
        lane.expect_opened().await;
        assert_eq!(watch.next().await, Ok(Serving));

        lane.end();
        assert_eq!(watch.next().await, Ok(NotServing), "its lane is lost");
        let mut lane = agent.open_lane(&opened, 0, Pace::Together).await;
        lane.expect_opened().await;
        assert_eq!(watch.next().await, Ok(Serving));

        control.send(message::drain()).await;
        assert_eq!(watch.next().await, Ok(NotServing), "it drains");

        let other = RawAgent::dial(port.addr).await;
        let other = other
            .register(None, hello("other", &["demo"]), Pace::Together)
            .await;
        assert_eq!(watch.next().await, Ok(Serving));
        drop(other);
        assert_eq!(watch.next().await, Ok(NotServing), "it is gone");
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_is_silent_serves_nobody_until_it_speaks() {
    within_limit(async {
        let heartbeat = Heartbeat {
            interval: Duration::from_millis(200),
            timeout: Duration::from_secs(3_600),
        };
        let gateway = Gateway::builder()
            .open_to_any_agent()
            .heartbeat(heartbeat)
            .build();
        let port = Port::with(gateway).await;
        let agent = RawAgent::dial(port.addr).await;
        let session = agent
            .register(None, hello("agent", &["demo"]), Pace::Together)
            .await;
        let mut watch = port.prober().await.watch(GROUP).await;
        // It answers no pings, because nobody reads them. It may be silent already.
        while watch.next().await != Ok(NotServing) {}
        session.control.send(message::ping(1)).await;
        session.lane.send(message::ping(1)).await;
        assert_eq!(watch.next().await, Ok(Serving));
        assert_eq!(watch.next().await, Ok(NotServing));
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_stops_says_so_before_it_is_gone() {
    within_limit(async {
        let port = Port::open().await;
        let mut prober = port.prober().await;
        let agent = RawAgent::dial(port.addr).await;
        let mut raw = agent
            .register(None, hello("agent", &["demo"]), Pace::Together)
            .await;
        let pending = get(&port.session(raw.id()), "/");
        let request = raw.lane.expect_request().await;
        let mut watches = [prober.watch("").await, prober.watch(GROUP).await];
        for watch in &mut watches {
            assert_eq!(watch.next().await, Ok(Serving));
        }

        let stopped = port.stop();
        for watch in &mut watches {
            assert_eq!(watch.next().await, Ok(NotServing));
        }
        assert_eq!(prober.check("").await, Ok(NotServing));
        assert_eq!(prober.check(GROUP).await, Ok(NotServing));

        raw.lane
            .send(http_response(&request.id, 200).body("well").end())
            .await;
        let (_, body) = pending.answer().await.unwrap();
        assert_eq!(collect(body).await.unwrap(), "well");
        for watch in &mut watches {
            assert_eq!(watch.next().await, Err(Code::Unavailable));
        }
        drop((prober, raw));
        stopped.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_tonic_server_takes_the_routes() {
    within_limit(async {
        let gateway = Gateway::builder().open_to_any_agent().build();
        let listener = listener().await;
        let addr = address(&listener);
        let server = Server::builder()
            .add_routes(gateway.agent_routes())
            .serve_with_incoming(TcpIncoming::from(listener));
        let _server = tokio::spawn(server);
        let agent = RawAgent::dial(addr).await;
        let _session = agent
            .register(None, hello("agent", &["demo"]), Pace::Together)
            .await;
        let mut prober = Prober::dial(addr).await;
        assert_eq!(prober.check("").await, Ok(Serving));
        assert_eq!(prober.check(GROUP).await, Ok(Serving));
    })
    .await;
}
