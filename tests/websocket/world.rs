//! One far end, the way to it, and a client.

use std::{
    env,
    future::{IntoFuture as _, poll_fn},
    net::SocketAddr,
};

use axum::Router;
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};
use tunnel_core::Settings;
use tunnel_tests::{
    client::Version,
    tunnel::{GROUP, Tunnel, address, listener},
    wait::{eventually, within_limit},
    websocket::{self, Arrived, Frame, H2Client, Peer, handshake},
};
use tunnel_transport::{AgentService, Status, Upstream, upstream::UpstreamProtocol};

/// Names the bytes of the large frame in the environment.
pub(crate) const FRAME: &str = "TUNNEL_WS_FRAME";

/// Names the number of small frames in the environment.
pub(crate) const FRAMES: &str = "TUNNEL_WS_FRAMES";

/// Where the far end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is what the client connects to.
    Direct,
    /// An app in the agent's process.
    Agent,
    /// A server of HTTP/1.1 behind an agent.
    Upstream,
    /// A server of HTTP/2 behind an agent, which takes extended CONNECT.
    H2c,
}

/// How a client comes, and where it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) near: Version,
    pub(crate) place: Place,
}

const fn way(near: Version, place: Place) -> Way {
    Way { near, place }
}

/// All of them.
pub(crate) const WAYS: [Way; 8] = [
    way(Version::Http1, Place::Direct),
    way(Version::Http1, Place::Agent),
    way(Version::Http1, Place::Upstream),
    way(Version::Http1, Place::H2c),
    way(Version::Http2, Place::Direct),
    way(Version::Http2, Place::Agent),
    way(Version::Http2, Place::Upstream),
    way(Version::Http2, Place::H2c),
];

/// Those for which this is true.
pub(crate) fn ways(is_so: impl Fn(Way) -> bool) -> impl Iterator<Item = Way> {
    WAYS.into_iter().filter(move |way| is_so(*way))
}

/// Those in which both ends speak HTTP/1.1, which alone knows protocols other than WebSocket.
pub(crate) fn http1() -> impl Iterator<Item = Way> {
    ways(|way| way.near == Version::Http1 && way.place != Place::H2c)
}

/// Those through the tunnel.
pub(crate) fn tunnelled() -> impl Iterator<Item = Way> {
    ways(|way| way.place != Place::Direct)
}

/// One far end, the way to it, and a client's address.
pub(crate) struct World {
    pub(crate) way: Way,
    /// What clients connect to.
    pub(crate) addr: SocketAddr,
    /// The requests that came to the far end.
    pub(crate) arrivals: mpsc::Receiver<Arrived>,
    pub(crate) tunnel: Option<Tunnel>,
    agent: JoinSet<()>,
    server: JoinSet<()>,
}

/// Whether somebody has asked for sizes that take longer than a test may.
fn is_full_size() -> bool {
    [FRAME, FRAMES].iter().any(|name| env::var_os(name).is_some())
}

/// Runs a test in every way; afterwards nothing may be left.
pub(crate) async fn everywhere(test: impl AsyncFn(&mut World)) {
    along(WAYS, test).await;
}

/// Runs a test in these ways; afterwards nothing may be left.
pub(crate) async fn along(ways: impl IntoIterator<Item = Way>, test: impl AsyncFn(&mut World)) {
    for way in ways {
        println!("{way:?}");
        let run = async {
            let mut world = World::new(way).await;
            test(&mut world).await;
            world.settled().await;
        };
        if is_full_size() {
            run.await;
        } else {
            within_limit(run).await;
        }
    }
}

impl World {
    pub(crate) async fn new(way: Way) -> Self {
        let (sender, arrivals) = mpsc::channel(2_048);
        let mut world = Self::empty(way, arrivals);
        let is_h2 = world.is_h2();
        if way.place == Place::Agent {
            world.join(websocket::app(sender)).await;
        } else if is_h2 {
            world
                .stand(|port| websocket::serve_h2(port, websocket::app(sender)))
                .await;
        } else {
            world.stand(|port| websocket::serve_sockets(port, sender)).await;
        }
        world
    }

    /// The same with this app, so that the test is not the far end.
    pub(crate) async fn with_app(way: Way, app: Router) -> Self {
        let mut world = Self::empty(way, mpsc::channel(1).1);
        let is_h2 = world.is_h2();
        if way.place == Place::Agent {
            world.join(app).await;
        } else if is_h2 {
            world.stand(|port| websocket::serve_h2(port, app)).await;
        } else {
            let serve = |port| async { axum::serve(port, app).await.expect("axum::serve has no error") };
            world.stand(serve).await;
        }
        world
    }

    fn empty(way: Way, arrivals: mpsc::Receiver<Arrived>) -> Self {
        Self {
            way,
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            arrivals,
            tunnel: None,
            agent: JoinSet::new(),
            server: JoinSet::new(),
        }
    }

    /// Whether the far end is a server of HTTP/2.
    pub(crate) fn is_h2(&self) -> bool {
        self.way.place == Place::H2c || (self.way.place, self.way.near) == (Place::Direct, Version::Http2)
    }

    /// Puts a server at the far end, and an agent before it where the way has one.
    async fn stand<F>(&mut self, serve: impl FnOnce(TcpListener) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let port = listener().await;
        self.addr = address(&port);
        let uri = format!("http://{}", self.addr);
        self.server.spawn(serve(port));
        let upstream = match self.way.place {
            Place::Upstream => Upstream::http1(uri),
            // hyper's server takes 200 streams on a connection, and we use a hundred of them.
            Place::H2c => Upstream::builder(uri)
                .protocol(UpstreamProtocol::H2c)
                .max_connections(20)
                .build(),
            Place::Direct | Place::Agent => return,
        };
        self.join(upstream.expect("an address of our own")).await;
    }

    /// Puts a tunnel in front, with an agent that serves this.
    async fn join(&mut self, service: impl AgentService + Sync) {
        let mut tunnel = Tunnel::builder().start().await;
        let settings = Settings {
            max_exchanges: 4_000,
            ..Settings::default()
        };
        let agent = tunnel.agent(GROUP).settings(settings).build();
        let agent = agent.expect("the agent's settings are right");
        let serve = agent.serve(service).into_future();
        self.agent
            .spawn(async move { serve.await.expect("the agent is not refused") });
        agent.connected().await;
        tunnel.agents.push(agent);
        self.addr = tunnel.addr;
        self.tunnel = Some(tunnel);
    }

    /// The next request that comes to the far end.
    pub(crate) async fn arrived(&mut self) -> Arrived {
        self.arrivals.recv().await.expect("the far end is there")
    }

    /// Both ends of a WebSocket.
    pub(crate) async fn pair(&mut self) -> (Peer, Peer) {
        let client = websocket::open(self.way.near, self.addr, handshake("/"));
        let server = async { self.arrivals.recv().await.expect("a handshake").accept().await };
        let (client, server) = tokio::join!(client, server);
        (client.upgraded().1, server)
    }

    /// Both ends of many WebSockets; with HTTP/2 a hundred of them share each connection.
    pub(crate) async fn pairs(&mut self, count: usize) -> Vec<(Peer, Peer)> {
        let mut pairs = Vec::with_capacity(count);
        let mut connection = None;
        for number in 0..count {
            if self.way.near == Version::Http1 {
                pairs.push(self.pair().await);
                continue;
            }
            if number % 100 == 0 {
                connection = Some(H2Client::connect(self.addr).await);
            }
            let client = connection
                .as_ref()
                .expect("the first one connects")
                .open(handshake("/"));
            let server = async { self.arrivals.recv().await.expect("a handshake").accept().await };
            let (client, server) = tokio::join!(client, server);
            pairs.push((client.upgraded().1, server));
        }
        pairs
    }

    /// Asserts that no request came to the far end but those that the test took.
    pub(crate) fn assert_no_arrival(&mut self) {
        if let Ok(arrived) = self.arrivals.try_recv() {
            panic!("{arrived:?} came to the far end");
        }
    }

    /// Kills the agent, as when its process is.
    pub(crate) async fn kill_agent(&mut self) {
        self.agent.shutdown().await;
        self.tunnel().agents.clear();
    }

    pub(crate) fn tunnel(&mut self) -> &mut Tunnel {
        self.tunnel.as_mut().expect("there is one in this way")
    }

    /// Waits until nothing runs any more, and asserts that nothing is left: no entry, no credit, on either side.
    pub(crate) async fn settled(&self) {
        let Some(tunnel) = &self.tunnel else { return };
        tunnel.settled().await;
        eventually(|| tunnel.gateway.credit().used() == 0).await;
        for agent in &tunnel.agents {
            if let Status::Connected(session) = &*agent.status().borrow() {
                let session = session.clone();
                poll_fn(move |cx| session.poll_idle(cx)).await;
            }
            eventually(|| agent.credit().used() == 0).await;
        }
    }
}

/// Sends a frame, and asserts that it comes out as it went in.
pub(crate) async fn carry(from: &mut Peer, to: &mut Peer, frame: &Frame) {
    let ((), received) = tokio::join!(from.send(frame), to.recv());
    if received != *frame {
        let about = |frame: &Frame| (frame.fin, frame.reserved, frame.opcode, frame.payload.len());
        assert_eq!(about(&received), about(frame));
        panic!("the payload is another one");
    }
}

/// The same in both directions.
pub(crate) async fn carry_both(client: &mut Peer, server: &mut Peer, frame: &Frame) {
    carry(client, server, frame).await;
    carry(server, client, frame).await;
}
