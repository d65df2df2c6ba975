//! A check by `grpc.health.v1.Health`.

use std::{sync::Weak, time::Duration};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Uri, header, uri::Scheme};
use http_body_util::{BodyExt as _, Full};
use prost::Message as _;
use tokio::time::timeout;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus};

use super::{HealthCheck, Record, Verdict, alive, tell};
use crate::upstream::{
    UpstreamBody, body::Exchange, gate::Gate, node::Node, service::finish, upload::Upload,
};

/// The flag and the length before a message (gRPC over HTTP/2, "Length-Prefixed-Message").
const PREFIX: usize = 5;

/// The answers of this service have two bytes; more than so many is none of it.
const MAX_BYTES: usize = 4 * 1024;

/// UNIMPLEMENTED of gRPC.
const UNIMPLEMENTED: &[u8] = b"12";

/// What came next of a call.
enum Event {
    Status(bool),
    Ended(Verdict),
}

/// A call, and what was read of it.
struct Call {
    body: UpstreamBody,
    read: BytesMut,
}

/// Asks once.
pub(super) async fn check(node: &Node, service: &str) -> Verdict {
    let mut call = match Call::start(node, "Check", service).await {
        Ok(call) => call,
        Err(verdict) => return verdict,
    };
    let mut verdict = Verdict::Failing;
    loop {
        match call.next().await {
            Event::Status(is_serving) => verdict = is_serving.into(),
            Event::Ended(Verdict::Well) => return verdict,
            Event::Ended(ended) => return ended,
        }
    }
}

/// Listens as long as the endpoint speaks; then that is a failure, unless it cannot be asked at all.
pub(super) async fn watch(
    node: &Weak<Node>,
    service: &str,
    check: &HealthCheck,
    record: &mut Record,
) -> Verdict {
    let call = match alive(node) {
        Some(node) => timeout(check.timeout, Call::start(&node, "Watch", service)).await,
        None => return Verdict::Unknown,
    };
    let mut call = match call {
        Ok(Ok(call)) => call,
        Ok(Err(verdict)) => return verdict,
        Err(_) => return Verdict::Failing,
    };
    loop {
        // The endpoint may be none any more; nobody else would notice while it is silent.
        let event = timeout(check.interval, call.next()).await;
        let Some(node) = alive(node) else {
            return Verdict::Unknown;
        };
        match event {
            Err(_) => {}
            Ok(Event::Status(is_serving)) => tell(&node, record.set(is_serving)),
            Ok(Event::Ended(Verdict::Unknown)) => return Verdict::Unknown,
            Ok(Event::Ended(_)) => return Verdict::Failing,
        }
    }
}

impl Call {
    async fn start(node: &Node, method: &str, service: &str) -> Result<Self, Verdict> {
        let gate = Gate::new(false);
        let request = request(node, method, service, &gate).ok_or(Verdict::Failing)?;
        let (response, on) = node.check(request).await.map_err(|_| Verdict::Failing)?;
        if let Some(verdict) = status(response.headers()).filter(|verdict| *verdict != Verdict::Well) {
            return Err(verdict);
        }
        if !response.status().is_success() {
            return Err(Verdict::Failing);
        }
        let body = finish(response, Exchange::new(gate, on, None)).into_body();
        let read = BytesMut::new();
        Ok(Self { body, read })
    }

    /// The next message, or how the call ended. Cancel safe.
    async fn next(&mut self) -> Event {
        loop {
            if let Some(message) = self.message() {
                return match HealthCheckResponse::decode(message) {
                    Ok(answer) => Event::Status(answer.status() == ServingStatus::Serving),
                    Err(_) => Event::Ended(Verdict::Failing),
                };
            }
            let Some(Ok(frame)) = self.body.frame().await else {
                return Event::Ended(Verdict::Failing);
            };
            match frame.into_data() {
                Ok(data) if self.read.len() + data.len() <= MAX_BYTES => self.read.put(data),
                Ok(_) => return Event::Ended(Verdict::Failing),
                Err(frame) => {
                    let status = frame.trailers_ref().and_then(status);
                    return Event::Ended(status.unwrap_or(Verdict::Failing));
                }
            }
        }
    }

    fn message(&mut self) -> Option<Bytes> {
        let length = self.read.get(1..PREFIX)?.get_u32() as usize;
        if self.read.len() < PREFIX + length {
            return None;
        }
        self.read.advance(PREFIX);
        Some(self.read.split_to(length).freeze())
    }
}

fn request(node: &Node, method: &str, service: &str, gate: &Gate) -> Option<Request<Upload>> {
    let scheme = if node.target.is_tls {
        Scheme::HTTPS
    } else {
        Scheme::HTTP
    };
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(node.target.authority.clone())
        .path_and_query(format!("/grpc.health.v1.Health/{method}"))
        .build()
        .ok()?;
    let message = HealthCheckRequest {
        service: service.to_owned(),
    }
    .encode_to_vec();
    let mut body = BytesMut::with_capacity(PREFIX + message.len());
    body.put_u8(0);
    body.put_u32(u32::try_from(message.len()).ok()?);
    body.put_slice(&message);
    let body = Upload::new(Full::new(body.freeze()), gate.clone(), Duration::ZERO);
    let mut request = Request::post(uri).body(body).ok()?;
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    Some(request)
}

/// How a call ended, if it says so there: well, or badly, or by not knowing the method.
fn status(headers: &HeaderMap) -> Option<Verdict> {
    let status = headers.get("grpc-status")?.as_bytes();
    Some(match status {
        b"0" => Verdict::Well,
        UNIMPLEMENTED => Verdict::Unknown,
        _ => Verdict::Failing,
    })
}
