//! Those who ask: clients outside, and programs beside agents.

use std::{pin::pin, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt as _;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::Mutex,
    task::JoinSet,
    time::{sleep, timeout},
};
use tower::ServiceExt as _;
use tunnel_core::BoxError;
use tunnel_layers::target::ClientExt as _;
use tunnel_transport::Agent;

use crate::{
    app::PROTOCOL,
    body::{Check, Upload},
    hosts::Site,
    ledger::{Ledger, Outcome},
    net::Stream,
    plan::{self, Kind, LONGEST, REPAIRED, Request},
    run::WHOLE,
};

/// In this time a request is over, unless its own client was cut off: its deadline, what the link may be held before and after, and
/// what the way takes.
const BOUND: Duration = Duration::from_millis(WHOLE.as_millis() as u64 + 2 * LONGEST + 1_000);

/// How long a connection is waited for.
const CONNECT: Duration = Duration::from_millis(LONGEST + 500);

/// Once all is repaired, everything works again in this time.
const BACK: Duration = Duration::from_secs(30);

/// The answers of a gateway whose agents or upstreams are in trouble.
const IN_TROUBLE: [StatusCode; 4] = [
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
    StatusCode::REQUEST_TIMEOUT,
];

/// A connection for all requests of a client, when it was made, and to which gateway.
type Shared = (http2::SendRequest<Upload>, Duration, usize);

#[derive(Clone)]
pub(crate) struct Client {
    name: Arc<str>,
    ledger: Ledger,
    way: Way,
}

/// How a client reaches gateways.
#[derive(Clone)]
enum Way {
    /// By a connection for each request.
    Http1(Outside),
    /// By one for as many as go.
    Http2(Outside, Arc<Mutex<Option<Shared>>>),
    /// By the session of an agent.
    Agent(Agent),
}

/// From where gateways are seen as balancers see them.
#[derive(Clone)]
pub(crate) struct Outside {
    pub(crate) site: Site,
    /// The gateway that is asked.
    pub(crate) gateway: usize,
    /// Whether others are asked while that one is not ready.
    pub(crate) follows: bool,
    pub(crate) gateways: usize,
}

impl Outside {
    /// The gateway for the next request.
    fn choose(&self) -> usize {
        let others = (0..self.gateways).map(|other| (self.gateway + other) % self.gateways);
        let mut ready = others.filter(|gateway| self.site.is_ready(*gateway));
        match self.follows {
            true => ready.next().unwrap_or(self.gateway),
            false => self.gateway,
        }
    }
}

impl Client {
    pub(crate) fn new(name: &str, ledger: Ledger, is_http2: bool, outside: Outside) -> Self {
        let way = match is_http2 {
            true => Way::Http2(outside, Arc::default()),
            false => Way::Http1(outside),
        };
        Self {
            name: name.into(),
            ledger,
            way,
        }
    }

    /// Whoever is with an agent.
    pub(crate) fn of_agent(agent: &Agent, ledger: Ledger) -> Self {
        Self {
            name: agent.id().as_str().into(),
            ledger,
            way: Way::Agent(agent.clone()),
        }
    }

    /// Asks what was planned, and waits until each of these paths is served again.
    pub(crate) async fn run(self, plan: plan::Client, paths: Vec<String>, ids: u64) -> turmoil::Result {
        let mut requests = JoinSet::new();
        for request in plan.requests {
            let client = self.clone();
            requests.spawn(async move {
                sleep(request.at).await;
                let outcome = client.exchange("", &request).await;
                client.ledger.ended(request.id, outcome);
            });
        }
        sleep(REPAIRED).await;
        for (index, path) in (0..).zip(&paths) {
            self.wait_for(path, ids + index * 1_000).await;
        }
        while let Some(ended) = requests.join_next().await {
            ended?;
        }
        Ok(())
    }

    /// Asks this path again and again until it is served.
    async fn wait_for(&self, path: &str, ids: u64) {
        for id in ids.. {
            let request = Request {
                id,
                at: Duration::ZERO,
                kind: Kind::Get,
                len: 0,
                frame: 1,
                pause: Duration::ZERO,
                wait: Duration::ZERO,
                cancel: None,
            };
            let outcome = self.exchange(path, &request).await;
            if matches!(outcome, Outcome::Answered) {
                return;
            }
            if now() > REPAIRED + BACK {
                let text = format!("{path}/get is not served {BACK:?} after all was repaired: {outcome:?}");
                return self.ledger.violation(text);
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    pub(crate) async fn exchange(&self, path: &str, request: &Request) -> Outcome {
        let mut since = now();
        let bound = request.cancel.unwrap_or(BOUND);
        match timeout(bound, self.attempt(path, request, &mut since)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Outcome::Broken(error.to_string()),
            Err(_) if request.cancel.is_some() => Outcome::Canceled,
            Err(_) => {
                if let Way::Http2(_, shared) = &self.way {
                    *shared.lock().await = None;
                }
                if !self.ledger.is_cut(&self.name, since, now()) {
                    self.ledger.violation(format!(
                        "request {} has no answer after {BOUND:?}, and its client was not cut off",
                        request.id
                    ));
                }
                Outcome::CutOff
            }
        }
    }

    async fn attempt(
        &self,
        path: &str,
        request: &Request,
        since: &mut Duration,
    ) -> Result<Outcome, BoxError> {
        let (kind, method) = match request.kind {
            Kind::Get => ("get", "GET"),
            Kind::Echo => ("echo", "POST"),
            Kind::Stream => ("stream", "POST"),
            Kind::Call => ("call", "POST"),
            Kind::Upgrade => ("upgrade", "GET"),
        };
        let mut builder = http::Request::builder()
            .method(method)
            .header("x-id", request.id)
            .header("x-len", request.len)
            .header("x-wait", request.wait.as_millis() as u64);
        if request.kind == Kind::Call {
            builder = builder
                .header("content-type", "application/grpc")
                .header("te", "trailers");
        }
        let body = Upload::new(request.id, request.len, request.frame, request.pause);
        let whole = format!("http://gateway{path}/{kind}");
        let outside = match &self.way {
            Way::Agent(agent) => {
                let asked = builder.uri(whole).body(body)?;
                let answer = agent.client().oneshot(asked).await?;
                return self.read(request, answer).await;
            }
            Way::Http2(outside, shared) if request.kind != Kind::Upgrade => {
                let mut sender = self.http2(outside, shared, since).await?;
                let asked = builder.uri(whole).body(body)?;
                return self.read(request, sender.send_request(asked).await?).await;
            }
            Way::Http2(outside, _) | Way::Http1(outside) => outside,
        };
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(connect(outside.choose()).await?)).await?;
        tokio::spawn(connection.with_upgrades());
        let builder = builder.uri(format!("{path}/{kind}")).header("host", "gateway");
        if request.kind != Kind::Upgrade {
            let asked = builder.body(body)?;
            return self.read(request, sender.send_request(asked).await?).await;
        }
        let builder = builder
            .header("connection", "upgrade")
            .header("upgrade", PROTOCOL);
        let asked = builder.body(Upload::new(request.id, 0, 1, Duration::ZERO))?;
        let answer = sender.send_request(asked).await?;
        match answer.status() {
            StatusCode::SWITCHING_PROTOCOLS => self.talk(request, answer).await,
            _ => self.read(request, answer).await,
        }
    }

    /// Sends and reads what flows after a switch.
    async fn talk(&self, request: &Request, answer: Response<Incoming>) -> Result<Outcome, BoxError> {
        let stream = TokioIo::new(hyper::upgrade::on(answer).await?);
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut body = Upload::new(request.id, request.len, request.frame, request.pause);
        let write = async {
            while let Some(frame) = body.frame().await {
                if let Ok(mut data) = frame?.into_data() {
                    writer.write_all_buf(&mut data).await?;
                    writer.flush().await?;
                }
            }
            writer.shutdown().await?;
            Ok::<_, BoxError>(())
        };
        let mut check = self.check(request, request.len);
        let read = async {
            let mut buffer = BytesMut::new();
            while reader.read_buf(&mut buffer).await? > 0 {
                check.data(&buffer.split().freeze());
            }
            Ok::<_, BoxError>(check.at)
        };
        let (_, came) = tokio::try_join!(write, read)?;
        match came == request.len {
            true => Ok(Outcome::Answered),
            // The end of a stream that breaks off looks like any other one in this network.
            false => Ok(Outcome::Broken(format!("it ended after {came} bytes"))),
        }
    }

    async fn http2(
        &self,
        outside: &Outside,
        shared: &Mutex<Option<Shared>>,
        since: &mut Duration,
    ) -> Result<http2::SendRequest<Upload>, BoxError> {
        let gateway = outside.choose();
        let mut shared = shared.lock().await;
        let usable = |(sender, _, to): &&Shared| !sender.is_closed() && *to == gateway;
        if let Some((sender, made, _)) = shared.as_ref().filter(usable) {
            *since = *made;
            return Ok(sender.clone());
        }
        let io = TokioIo::new(connect(gateway).await?);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        *shared = Some((sender.clone(), *since, gateway));
        Ok(sender)
    }

    fn check(&self, request: &Request, len: u64) -> Check {
        Check {
            what: "the answer to request",
            id: request.id,
            len,
            at: 0,
            ledger: self.ledger.clone(),
        }
    }

    async fn read<B>(&self, request: &Request, response: Response<B>) -> Result<Outcome, BoxError>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let (head, body) = response.into_parts();
        let mut body = pin!(body);
        let len = if request.kind == Kind::Get {
            700
        } else {
            request.len
        };
        let mut check = self.check(request, len);
        if head.status != StatusCode::OK || head.headers.contains_key("grpc-status") {
            return Ok(self.refused(request, head.status, &head.headers));
        }
        let mut trailers = None;
        while let Some(frame) = body.frame().await {
            match frame.map_err(Into::into)?.into_data() {
                Ok(data) => check.data(&data),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        if request.kind == Kind::Call {
            let trailers = trailers.unwrap_or_default();
            if trailers.get("grpc-status").is_none_or(|status| status != "0") {
                return Ok(self.refused(request, head.status, &trailers));
            }
            if trailers.get("x-bytes") != Some(&len.into()) {
                let text = format!("the trailers of request {} are {trailers:?}", request.id);
                self.ledger.violation(text);
            }
        }
        check.end();
        Ok(Outcome::Answered)
    }

    /// An answer that says what went wrong; anything else is wrong itself.
    fn refused(&self, request: &Request, status: StatusCode, headers: &HeaderMap) -> Outcome {
        let text = |name| {
            headers
                .get(name)
                .map(|value| String::from_utf8_lossy(value.as_bytes()))
        };
        let (cause, code) = (text("x-tunnel-error"), text("grpc-status"));
        let is_clear = if request.kind == Kind::Call {
            matches!(code.as_deref(), Some("4" | "14"))
        } else {
            headers.contains_key("x-app") || IN_TROUBLE.contains(&status) && cause.is_some()
        };
        let outcome = format!(
            "{status} {} {}",
            cause.unwrap_or_default(),
            code.unwrap_or_default()
        );
        if !is_clear {
            self.ledger
                .violation(format!("request {} was answered with {outcome}", request.id));
        }
        Outcome::Refused(outcome)
    }
}

async fn connect(gateway: usize) -> Result<Stream, BoxError> {
    let host = format!("gateway-{gateway}");
    Ok(timeout(CONNECT, Stream::connect(&host, 80)).await??)
}

pub(crate) fn now() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}
