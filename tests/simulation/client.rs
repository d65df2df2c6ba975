//! The clients outside.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    sync::Mutex,
    task::JoinSet,
    time::{sleep, timeout},
};
use tunnel_core::BoxError;

use crate::{
    body::{Check, Upload},
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

/// A connection for all requests of a client, and when it was made.
type Shared = (http2::SendRequest<Upload>, Duration);

#[derive(Clone)]
pub(crate) struct Client {
    name: Arc<str>,
    ledger: Ledger,
    is_http2: bool,
    /// That of HTTP/2.
    shared: Arc<Mutex<Option<Shared>>>,
}

impl Client {
    pub(crate) fn new(name: &str, ledger: Ledger, is_http2: bool) -> Self {
        Self {
            name: name.into(),
            ledger,
            is_http2,
            shared: Arc::default(),
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

    async fn exchange(&self, path: &str, request: &Request) -> Outcome {
        let mut since = now();
        let bound = request.cancel.unwrap_or(BOUND);
        match timeout(bound, self.attempt(path, request, &mut since)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Outcome::Broken(error.to_string()),
            Err(_) if request.cancel.is_some() => Outcome::Canceled,
            Err(_) => {
                *self.shared.lock().await = None;
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
        if self.is_http2 {
            let mut sender = self.http2(since).await?;
            let asked = builder.uri(format!("http://gateway{path}/{kind}")).body(body)?;
            return self.read(request, sender.send_request(asked).await?).await;
        }
        let (mut sender, connection) = http1::handshake(TokioIo::new(connect().await?)).await?;
        tokio::spawn(connection);
        let asked = builder
            .uri(format!("{path}/{kind}"))
            .header("host", "gateway")
            .body(body)?;
        self.read(request, sender.send_request(asked).await?).await
    }

    async fn http2(&self, since: &mut Duration) -> Result<http2::SendRequest<Upload>, BoxError> {
        let mut shared = self.shared.lock().await;
        if let Some((sender, made)) = shared.as_ref().filter(|(sender, _)| !sender.is_closed()) {
            *since = *made;
            return Ok(sender.clone());
        }
        let io = TokioIo::new(connect().await?);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        *shared = Some((sender.clone(), *since));
        Ok(sender)
    }

    async fn read(&self, request: &Request, response: Response<Incoming>) -> Result<Outcome, BoxError> {
        let (head, mut body) = response.into_parts();
        let len = if request.kind == Kind::Get {
            700
        } else {
            request.len
        };
        let mut check = Check {
            what: "the answer to request",
            id: request.id,
            len,
            at: 0,
            ledger: self.ledger.clone(),
        };
        if head.status != StatusCode::OK || head.headers.contains_key("grpc-status") {
            return Ok(self.refused(request, head.status, &head.headers));
        }
        let mut trailers = None;
        while let Some(frame) = body.frame().await {
            match frame?.into_data() {
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

async fn connect() -> Result<Stream, BoxError> {
    Ok(timeout(CONNECT, Stream::connect("gateway", 80)).await??)
}

fn now() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}
