//! Clients that ask without a pause, and count what they get.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::body::Body;
use http::{Request, header};
use http_body_util::BodyExt as _;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, sync::watch, task::JoinSet};
use tonic_health::pb::health_check_response::ServingStatus;
use tunnel_tests::client::Version;

use crate::frozen::health;

/// What every request is answered with.
pub(crate) const ANSWER: &str = "answer";

/// Clients at work. They end when the value is dropped.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
    followers: JoinSet<()>,
}

struct Shared {
    /// The gateways that say that they are ready.
    ready: watch::Sender<Vec<SocketAddr>>,
    answered: watch::Sender<u64>,
    lost: Mutex<Vec<String>>,
    stop: watch::Sender<bool>,
    turn: AtomicUsize,
}

impl Load {
    /// Starts so many clients of HTTP/1.1, and of HTTP/2. They ask the gateways that are [`ready`](Self::ready), in turn.
    pub(crate) fn start(http1: usize, http2: usize) -> Self {
        let shared = Arc::new(Shared {
            ready: watch::Sender::new(Vec::new()),
            answered: watch::Sender::new(0),
            lost: Mutex::default(),
            stop: watch::Sender::new(false),
            turn: AtomicUsize::new(0),
        });
        let mut clients = JoinSet::new();
        for number in 0..http1 + http2 {
            let version = match number < http1 {
                true => Version::Http1,
                false => Version::Http2,
            };
            clients.spawn(client(version, shared.clone()));
        }
        Self {
            shared,
            clients,
            followers: JoinSet::new(),
        }
    }

    /// This gateway takes requests.
    pub(crate) fn ready(&self, gateway: SocketAddr) {
        self.shared.ready.send_modify(|ready| ready.push(gateway));
    }

    /// Asks `gateway` while its port for agents says that it is ready, as a balancer does; gives back when it first did.
    pub(crate) async fn follow(&mut self, gateway: SocketAddr, agents: SocketAddr) {
        let mut answers = health(agents).await;
        let shared = self.shared.clone();
        let mut ready = self.shared.ready.subscribe();
        self.followers.spawn(async move {
            while let Ok(Some(answer)) = answers.message().await {
                let is_ready = answer.status() == ServingStatus::Serving;
                shared.ready.send_modify(|ready| {
                    ready.retain(|other| *other != gateway);
                    ready.extend(is_ready.then_some(gateway));
                });
            }
            shared
                .ready
                .send_modify(|ready| ready.retain(|other| *other != gateway));
        });
        ready
            .wait_for(|ready| ready.contains(&gateway))
            .await
            .expect("it is ready");
    }

    /// Waits until so many more were answered.
    pub(crate) async fn more(&self, count: u64) {
        let mut answered = self.shared.answered.subscribe();
        let so_far = *answered.borrow_and_update();
        answered
            .wait_for(|now| *now >= so_far + count)
            .await
            .expect("clients ask");
    }

    /// Stops the clients: how many requests were answered, and what became of the others.
    pub(crate) async fn finish(mut self) -> (u64, Vec<String>) {
        self.shared.stop.send_replace(true);
        while let Some(ended) = self.clients.join_next().await {
            ended.expect("no client panics");
        }
        let lost = std::mem::take(&mut *self.shared.lost.lock().expect("nobody panics with it"));
        (*self.shared.answered.borrow(), lost)
    }
}

enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

/// What became of a request.
enum Outcome {
    Answered {
        keep: bool,
    },
    /// It was never sent: the connection was closed before.
    NotSent,
    Lost(String),
}

async fn client(version: Version, shared: Arc<Shared>) {
    let mut connections = HashMap::new();
    let mut ready = shared.ready.subscribe();
    while !*shared.stop.borrow() {
        let gateway = {
            let list = ready
                .wait_for(|ready| !ready.is_empty())
                .await
                .expect("a test runs");
            list[shared.turn.fetch_add(1, Ordering::Relaxed) % list.len()]
        };
        let mut sender = match connections.remove(&gateway) {
            Some(sender) => sender,
            None => match connect(version, gateway).await {
                Ok(sender) => sender,
                Err(error) => {
                    shared.lose(format!("no connection: {error}"));
                    continue;
                }
            },
        };
        match sender.ask(gateway).await {
            Outcome::Answered { keep } => {
                shared.answered.send_modify(|answered| *answered += 1);
                if keep {
                    connections.insert(gateway, sender);
                }
            }
            Outcome::NotSent => {}
            Outcome::Lost(why) => shared.lose(format!("{version:?}: {why}")),
        }
    }
}

async fn connect(version: Version, gateway: SocketAddr) -> Result<Sender, String> {
    let socket = TcpStream::connect(gateway)
        .await
        .map_err(|error| error.to_string())?;
    let io = TokioIo::new(socket);
    match version {
        Version::Http1 => {
            let (sender, connection) = http1::handshake(io).await.map_err(|error| error.to_string())?;
            tokio::spawn(connection);
            Ok(Sender::Http1(sender))
        }
        Version::Http2 => {
            let connected = http2::handshake(TokioExecutor::new(), io).await;
            let (sender, connection) = connected.map_err(|error| error.to_string())?;
            tokio::spawn(connection);
            Ok(Sender::Http2(sender))
        }
    }
}

impl Sender {
    async fn ask(&mut self, gateway: SocketAddr) -> Outcome {
        let request = |uri: String| {
            let request = Request::post(uri).header(header::HOST, gateway.to_string());
            request.body(Body::from("question")).expect("a request")
        };
        let ready = match self {
            Self::Http1(sender) => sender.ready().await,
            Self::Http2(sender) => sender.ready().await,
        };
        if ready.is_err() {
            return Outcome::NotSent;
        }
        let sent = match self {
            Self::Http1(sender) => sender.send_request(request("/".to_owned())).await,
            Self::Http2(sender) => sender.send_request(request(format!("http://{gateway}/"))).await,
        };
        let answer = match sent {
            Ok(answer) => answer,
            Err(error) if error.is_canceled() => return Outcome::NotSent,
            Err(error) => return Outcome::Lost(format!("{error:?}")),
        };
        let (head, body) = answer.into_parts();
        let keep = head
            .headers
            .get(header::CONNECTION)
            .is_none_or(|value| value != "close");
        match body.collect().await.map(|body| body.to_bytes()) {
            Ok(body) if head.status == 200 && body == ANSWER => Outcome::Answered { keep },
            Ok(body) => Outcome::Lost(format!("{}: {body:?}", head.status)),
            Err(error) => Outcome::Lost(format!("{}, then {error:?}", head.status)),
        }
    }
}

impl Shared {
    fn lose(&self, why: String) {
        self.lost.lock().expect("nobody panics with it").push(why);
    }
}
