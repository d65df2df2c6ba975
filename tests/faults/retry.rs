//! A group of two agents: what one of them cannot take goes to the other, and nothing is done twice.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Response;
use tokio::sync::Notify;
use tower::Service;
use tunnel_core::{Cause, Initiator, Outgoing, Sent, Settings, TunnelError};
use tunnel_transport::{ServedRequest, TunnelTransport};

use crate::{
    app::App,
    http1::{self, Raw},
    http2::{self, H2},
    world::{Mortal, Site, eventually, prefer, stack, within},
};

/// A gateway that picks the agent `a` whenever it can, and the agents `a` and `b`.
struct Group {
    site: Site,
    a: App,
    b: App,
    agents: Vec<Mortal>,
}

impl Group {
    /// Both agents serve an app; `a` takes so many exchanges at one time.
    async fn new(room: u32) -> Self {
        let site = Site::start([0, 0], |gateway| stack(gateway, prefer("a"), gateway.transport()));
        let (a, b) = (App::new(), App::new());
        let settings = Settings {
            max_exchanges: room,
            ..Settings::default()
        };
        let first = Mortal::start(site.agent("a").settings(settings), a.router()).await;
        let second = Mortal::start(site.agent("b"), b.router()).await;
        Self {
            site,
            a,
            b,
            agents: vec![first, second],
        }
    }

    async fn settled(&self) {
        self.a.idle().await;
        self.b.idle().await;
        let gateway = &self.site.gateway;
        eventually(|| {
            gateway
                .agents()
                .list()
                .iter()
                .all(|agent| agent.session.pending() == 0)
        })
        .await;
        eventually(|| gateway.credit().used() == 0).await;
        for mortal in &self.agents {
            eventually(|| mortal.agent.credit().used() == 0).await;
        }
    }
}

#[tokio::test]
async fn a_full_agent_gets_nothing_more() {
    within(async {
        let group = Group::new(1).await;
        let client = H2::connect(group.site.addr).await;
        let (_waiting, mut stream) = client.get("/wait").await;
        group.a.serving(1).await;
        for _ in 0..20 {
            client.fast().await;
        }
        assert_eq!((group.a.served(), group.b.served()), (1, 20));
        stream.send_reset(h2::Reason::CANCEL);
        group.settled().await;
        client.fast().await;
        assert_eq!((group.a.served(), group.b.served()), (2, 20));
        group.settled().await;
    })
    .await;
}

#[tokio::test]
async fn a_group_without_room_answers_503() {
    within(async {
        let mut group = Group::new(1).await;
        group.agents.pop().expect("two agents").kill().await;
        eventually(|| group.site.gateway.agents().list().len() == 1).await;
        let client = H2::connect(group.site.addr).await;
        let (_waiting, mut stream) = client.get("/wait").await;
        group.a.serving(1).await;
        let answer = http2::head(client.get("/fast").await.0).await;
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["x-tunnel-error"], "overloaded");
        assert!(answer.headers().contains_key("retry-after"));
        stream.send_reset(h2::Reason::CANCEL);
        group.settled().await;
    })
    .await;
}

#[tokio::test]
async fn what_an_agent_refuses_goes_to_the_other_with_its_whole_body() {
    within(async {
        let site = Site::start([0, 0], |gateway| stack(gateway, prefer("a"), gateway.transport()));
        let (refused, b) = (App::new(), App::new());
        let counter = refused.clone();
        let refuse = tower::service_fn(move |request: ServedRequest| {
            let _guard = counter.enter();
            drop(request);
            let error = TunnelError::new(Cause::Overloaded, Initiator::Peer, "no room").with_sent(Sent::No);
            std::future::ready(Err::<Response<String>, _>(error))
        });
        let first = Mortal::start(site.agent("a"), refuse).await;
        let second = Mortal::start(site.agent("b"), b.router()).await;
        let body = "y".repeat(10 * 1024);
        let mut client = Raw::connect(site.addr).await;
        for round in 1..=10 {
            let fields = format!("content-length: {}\r\n", body.len());
            client
                .send(&(http1::head("POST", "/upload", &fields) + &body))
                .await;
            assert!(client.head().await.starts_with("HTTP/1.1 200 "));
            assert_eq!(client.read(5).await, b"10240");
            assert_eq!((refused.served(), b.served()), (round, round));
        }
        // A body that comes later than the head is played again as well.
        let client = H2::connect(site.addr).await;
        let (response, mut stream) = client.post("/upload").await;
        refused.serving(11).await;
        http2::send(&mut stream, Bytes::from(body))
            .await
            .expect("the stream is open");
        stream.send_data(Bytes::new(), true).expect("the stream is open");
        let answer = http2::head(response).await;
        assert_eq!(
            http2::read_all(answer.into_body()).await.expect("a whole body"),
            "10240"
        );
        assert_eq!((refused.served(), b.served()), (11, 11));
        eventually(|| site.gateway.credit().used() == 0).await;
        for mortal in [first, second] {
            eventually(|| mortal.agent.credit().used() == 0).await;
        }
    })
    .await;
}

/// A transport that keeps what goes to the agent `a` until that agent's session is closed.
#[derive(Clone)]
struct Holding {
    inner: TunnelTransport,
    held: Arc<Notify>,
}

impl Service<Outgoing> for Holding {
    type Response = ();
    type Error = TunnelError;
    type Future = Pin<Box<dyn Future<Output = Result<(), TunnelError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, outgoing: Outgoing) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let session = outgoing.session().clone();
            if session.agent().to_string() == "a" {
                this.held.notify_one();
                std::future::poll_fn(|cx| session.poll_closed(cx)).await;
            }
            let mut inner = this.inner;
            inner.call(outgoing).await
        })
    }
}

#[tokio::test]
async fn what_was_not_written_when_an_agent_died_goes_to_the_other() {
    within(async {
        let held = Arc::<Notify>::default();
        let site = Site::start([0, 0], |gateway| {
            stack(
                gateway,
                prefer("a"),
                Holding {
                    inner: gateway.transport(),
                    held: held.clone(),
                },
            )
        });
        let (a, b) = (App::new(), App::new());
        let first = Mortal::start(site.agent("a"), a.router()).await;
        let second = Mortal::start(site.agent("b"), b.router()).await;
        let client = H2::connect(site.addr).await;
        let (response, mut stream) = client.post("/upload").await;
        stream
            .send_data(Bytes::from_static(b"hello"), true)
            .expect("the stream is open");
        held.notified().await;
        first.kill().await;
        let answer = http2::head(response).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(
            http2::read_all(answer.into_body()).await.expect("a whole body"),
            "5"
        );
        assert_eq!((a.served(), b.served()), (0, 1));
        eventually(|| site.gateway.credit().used() == 0).await;
        eventually(|| second.agent.credit().used() == 0).await;
    })
    .await;
}

#[tokio::test]
async fn what_an_agent_had_when_it_died_is_not_sent_again() {
    within(async {
        let mut group = Group::new(100).await;
        let client = H2::connect(group.site.addr).await;
        let waiting: Vec<_> = [client.get("/wait").await, client.post("/wait").await].into();
        group.a.serving(2).await;
        group.agents.remove(0).kill().await;
        for (response, _) in waiting {
            let answer = http2::head(response).await;
            assert_eq!(answer.status(), 502);
            assert_eq!(answer.headers()["x-tunnel-error"], "agent-lost");
        }
        assert_eq!((group.a.served(), group.b.served()), (2, 0));
        client.fast().await;
        assert_eq!((group.a.served(), group.b.served()), (2, 1));
        group.settled().await;
    })
    .await;
}

#[tokio::test]
async fn a_draining_agent_gets_nothing_new_and_finishes_what_it_has() {
    within(async {
        let mut group = Group::new(100).await;
        let app = App::new();
        let stop = Arc::<Notify>::default();
        group.agents.remove(0).kill().await;
        eventually(|| group.site.gateway.agents().list().len() == 1).await;
        let agent = group.site.agent("a").build().expect("the settings are right");
        let signal = stop.clone();
        let serve = agent
            .serve(app.router())
            .with_graceful_shutdown(async move { signal.notified().await });
        let serve = tokio::spawn(serve.into_future());
        let session = agent.connected().await;
        let client = H2::connect(group.site.addr).await;
        let half = http2::head(client.get("/half").await.0).await;
        assert_eq!(app.served(), 1);
        stop.notify_one();
        let of_gateway = |draining: bool| {
            let list = group.site.gateway.agents().list();
            list.iter()
                .any(|agent| agent.session.id() == session.id() && agent.session.is_draining() == draining)
        };
        eventually(|| of_gateway(true)).await;
        for _ in 0..10 {
            client.fast().await;
        }
        assert_eq!((app.served(), group.b.served()), (1, 10));
        app.release(1);
        assert_eq!(
            http2::read_all(half.into_body()).await.expect("a whole body"),
            "half whole"
        );
        serve.await.expect("no panic").expect("the agent stops in order");
        app.idle().await;
        eventually(|| agent.credit().used() == 0).await;
        group.settled().await;
    })
    .await;
}
