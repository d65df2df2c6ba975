//! A gateway with an agent, its ports, and somebody who uses it all the time.

use std::{
    future::IntoFuture as _,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    routing::any,
};
use http_body_util::BodyExt as _;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
};
use tunnel_layers::route::Rule;
use tunnel_tests::{
    client::{Client, Version},
    pki::{Ca, TlsClient},
    tunnel::{GROUP, Tunnel, address, group, listener, stack},
    wait::within_limit,
};
use tunnel_transport::{entry::Entry, tls::ServerTls};

/// The limits of the ports that are attacked: short, but long enough for a client of a machine that is busy.
fn limits(entry: Entry) -> Entry {
    let short = Duration::from_secs(1);
    entry
        .first_bytes_timeout(short)
        .preface_timeout(short)
        .handshake_timeout(2 * short)
        .head_timeout(short)
        .body_idle_timeout(Some(short))
        .send_timeout(Some(short))
        .idle_timeout(Some(short))
        .ping(short, short)
}

/// The ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    Outside,
    OutsideTls,
    Agents,
    AgentsTls,
}

pub(crate) const PORTS: [Port; 4] = [Port::Outside, Port::OutsideTls, Port::Agents, Port::AgentsTls];

impl Port {
    pub(crate) const fn is_tls(self) -> bool {
        matches!(self, Self::OutsideTls | Self::AgentsTls)
    }

    pub(crate) const fn is_outside(self) -> bool {
        matches!(self, Self::Outside | Self::OutsideTls)
    }
}

/// A connection, with TLS or without.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub(crate) type Connection = Pin<Box<dyn Io>>;

/// What this whole process, with its clients, must never hold, in bytes: it takes a small part of it, and a flood that is
/// stored takes more at once.
const MEMORY: usize = 512 << 20;

/// How often the bystander asks.
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) struct World {
    /// Its own two ports are those of the bystander and the agent.
    tunnel: Tunnel,
    ports: [SocketAddr; 4],
    client: TlsClient,
    /// Requests that the app has begun, and those that run.
    pub(crate) begun: Arc<AtomicUsize>,
    running: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let mut tunnel = Tunnel::builder().start().await;
        let (begun, running) = (Arc::default(), Arc::default());
        tunnel.add_agent(GROUP, app(&begun, &running)).await;

        let ca = Ca::new("hostile tests");
        let server = ca.server(&["localhost"]);
        let tls = ServerTls::builder().certificate(server.identity());
        let tls = tls.build().expect("a certificate");
        let mut tasks = JoinSet::new();
        let mut ports = Vec::new();
        for port in PORTS {
            let listener = listener().await;
            ports.push(address(&listener));
            let limits = |entry| match port.is_tls() {
                true => limits(entry).tls(tls.clone()),
                false => limits(entry),
            };
            if port.is_outside() {
                let app = stack(&tunnel.gateway, vec![Rule::group("all", group(GROUP))]);
                tasks.spawn(limits(Entry::new()).serve(listener, app).into_future());
            } else {
                let serve = tunnel.gateway.serve_agents(listener).limits(limits);
                tasks.spawn(serve.into_future());
            }
        }
        Self {
            tunnel,
            ports: ports.try_into().expect("four ports"),
            client: TlsClient::new(&ca),
            begun,
            running,
            _tasks: tasks,
        }
    }

    pub(crate) const fn addr(&self, port: Port) -> SocketAddr {
        self.ports[port as usize]
    }

    /// A connection that offers this by ALPN, if it has TLS.
    pub(crate) async fn connect(&self, port: Port, alpn: &'static str) -> Connection {
        let addr = self.addr(port);
        if port.is_tls() {
            let client = self.client.clone().offering(&[alpn]);
            Box::pin(client.connect(addr, "localhost").await.expect("a handshake"))
        } else {
            Box::pin(bare(addr).await)
        }
    }

    /// Runs an attack while somebody uses the gateway, and sees that nothing is left of it at the agent.
    pub(crate) async fn survives<T>(&self, attack: impl Future<Output = T>) -> T {
        let mut attack = std::pin::pin!(attack);
        within_limit(async {
            let result = loop {
                tokio::select! {
                    biased;
                    result = &mut attack => break result,
                    () = async {
                        self.is_used().await;
                        tokio::time::sleep(PAUSE).await;
                    } => {}
                }
            };
            self.is_used().await;
            while self.running.load(Ordering::Relaxed) > 0 {
                tokio::task::yield_now().await;
            }
            self.tunnel.settled().await;
            assert_eq!(self.tunnel.sessions(GROUP).len(), 1, "the agent is there");
            let resident = resident_bytes();
            assert!(resident < MEMORY, "{resident} bytes are held");
            result
        })
        .await
    }

    /// A request through both ports, on a connection of its own.
    async fn is_used(&self) {
        let mut client = Client::connect(Version::Http1, self.tunnel.addr).await;
        let answer = client.get("/fast").await;
        assert_eq!(answer.status(), 200);
        let body = answer.into_body().collect().await.expect("a body");
        assert_eq!(body.to_bytes(), "ok");
    }
}

/// What this process holds in memory; nothing where there is no way to know.
fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").ok().and_then(|text| {
        let resident = text.split(' ').nth(1)?;
        resident.parse::<usize>().ok()
    });
    pages.unwrap_or(0) * 4096
}

/// A socket whose buffer is small, so that whoever does not read is noticed soon.
pub(crate) async fn bare(addr: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4 * 1024).expect("a small buffer");
    socket.connect(addr).await.expect("the port is open")
}

struct Running(Arc<AtomicUsize>);

impl Running {
    fn new(running: &Arc<AtomicUsize>) -> Self {
        running.fetch_add(1, Ordering::Relaxed);
        Self(running.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn app(begun: &Arc<AtomicUsize>, running: &Arc<AtomicUsize>) -> Router {
    let (begun, running) = (begun.clone(), running.clone());
    let other = any(move |request: Request| {
        begun.fetch_add(1, Ordering::Relaxed);
        let running = Running::new(&running);
        async move {
            let _running = running;
            let body = request.into_body().collect().await;
            body.map_or_else(
                |error| error.to_string(),
                |body| body.to_bytes().len().to_string(),
            )
        }
    });
    let endless = any(async || {
        let pieces =
            futures_util::stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from(vec![b'x'; 16 * 1024])));
        Body::from_stream(pieces)
    });
    Router::new()
        .route("/fast", any(async || "ok"))
        .route("/endless", endless)
        .fallback_service(other)
}

/// Reads until the connection is closed, in whatever way, and gives what came.
pub(crate) async fn to_end(connection: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut all = Vec::new();
    let mut piece = [0; 16 * 1024];
    while let Ok(read @ 1..) = connection.read(&mut piece).await {
        if all.len() < 1024 * 1024 {
            all.extend_from_slice(&piece[..read]);
        }
    }
    all
}

/// Writes the pieces until there are no more or the connection is closed, while it reads, and gives what came until it is closed.
pub(crate) async fn flood(connection: Connection, pieces: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let (mut read, mut write) = tokio::io::split(connection);
    let send = async {
        for piece in pieces {
            if write.write_all(&piece).await.is_err() || write.flush().await.is_err() {
                break;
            }
        }
    };
    let (came, ()) = tokio::join!(to_end(&mut read), send);
    came
}
