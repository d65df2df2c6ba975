//! What spans say, in the words of OpenTelemetry's semantic conventions for HTTP and RPC, and in ours where they have none.

use std::borrow::Cow;

use http::{HeaderMap, Method, Request, Version, uri::Scheme};
use tunnel_core::{
    Canonical, Found, PeerInfo, RequestId, Session, Target,
    admit::UpgradeRequest,
    grpc::CODES,
    trace::{SpanKind, SpanValue},
};

use super::TraceSpan;
use crate::reject::Dialect;

pub(super) const STATUS_CODE: &str = "http.response.status_code";
pub(super) const BODY_SIZE: &str = "http.response.body.size";
pub(super) const RPC_STATUS: &str = "rpc.response.status_code";
pub(super) const RESEND_COUNT: &str = "http.request.resend_count";
/// The stable word for why the tunnel answered, or failed.
pub(super) const ERROR: &str = "tunnel.error";
/// Whoever asked gave up before the exchange was over.
pub(super) const CANCELED: &str = "tunnel.canceled";
pub(super) const REQUEST_ID: &str = "tunnel.request_id";
pub(super) const AGENT: &str = "tunnel.agent";
const RULE: &str = "tunnel.rule";
const GROUP: &str = "tunnel.group";
const UPSTREAM: &str = "tunnel.upstream";
const METHOD: &str = "http.request.method";
const RPC_METHOD: &str = "rpc.method";
/// What stands for all that is not known beforehand.
pub(super) const OTHER: &str = "_OTHER";

/// The name of a step that begins with this request, before it is known where it goes: nothing that outsiders choose freely.
pub(super) fn name<B>(request: &Request<B>) -> &'static str {
    match Dialect::of(request.headers()) {
        Dialect::Grpc => "grpc",
        Dialect::Http => http_name(method(request.method())),
    }
}

/// What stands for a method in a name.
fn http_name(method: &str) -> &str {
    if method == OTHER { "HTTP" } else { method }
}

/// What every request says.
pub(super) fn describe<B>(span: &TraceSpan, request: &Request<B>) {
    let extensions = request.extensions();
    span.set(METHOD, method(request.method()));
    if Dialect::of(request.headers()) == Dialect::Grpc {
        span.set("rpc.system.name", "grpc");
        span.set(
            RPC_METHOD,
            rpc_method(request.uri().path()).unwrap_or(OTHER).to_owned(),
        );
    }
    if span.tells_paths() {
        span.set("url.path", request.uri().path().to_owned());
    }
    if let Some(asked) = extensions.get::<UpgradeRequest>() {
        let is_websocket = asked.is_websocket();
        span.set("tunnel.upgrade", if is_websocket { "websocket" } else { OTHER });
    }
    if let Some(host) = extensions.get().map(Canonical::host)
        && span.kind() == SpanKind::Server
        && !host.is_empty()
    {
        span.set("server.address", host.to_owned());
    }
    if let Some(id) = extensions.get::<RequestId>() {
        span.set(REQUEST_ID, id.to_string());
    }
}

/// What is known of the connection by which a request came.
pub(super) fn describe_connection<B>(span: &TraceSpan, request: &Request<B>) {
    let peer: Option<&PeerInfo> = request.extensions().get();
    let scheme = peer.map_or(&Scheme::HTTP, |peer| &peer.scheme);
    span.set("url.scheme", scheme.as_str().to_owned());
    let version = match request.version() {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        _ => None,
    };
    if let Some(version) = version {
        span.set("network.protocol.version", version);
    }
    if let Some(addr) = peer.and_then(|peer| peer.addr) {
        span.set("network.peer.address", addr.ip().to_string());
        span.set("network.peer.port", addr.port());
    }
}

/// What was found out further in, about a request that was sent, or not. The name of a step of ours tells the rule.
pub(super) fn found(span: &TraceSpan, found: &Found, was_sent: bool) {
    if let Some(rule) = found.rule() {
        span.set(RULE, rule.to_string());
        if span.kind() == SpanKind::Server {
            span.rename(span.text(RPC_METHOD).unwrap_or_else(|| {
                let method = span.text(METHOD).unwrap_or_default();
                format!("{} {rule}", http_name(&method))
            }));
        }
    }
    match found.target() {
        Some(Target::Group(group)) => span.set(GROUP, group.as_str().to_owned()),
        Some(Target::Upstream(name)) => span.set(UPSTREAM, name.to_string()),
        None => {}
    }
    if let Some(endpoint) = &found.upstream {
        span.set("tunnel.endpoint", endpoint.to_string());
    }
    if !was_sent {
        return;
    }
    if let Some(agent) = &found.agent {
        span.set(AGENT, agent.as_str().to_owned());
    }
    if let Some(id) = found.request_id {
        span.set(REQUEST_ID, id.to_string());
    }
}

/// The agent that a step goes to.
pub(super) fn describe_session<B>(span: &TraceSpan, request: &Request<B>) {
    if let Some(session) = request.extensions().get::<Session>() {
        span.set(AGENT, session.agent().as_str().to_owned());
    }
}

/// The method of a call; it is the name of the step that makes or serves it.
pub(super) fn rpc_name<B>(request: &Request<B>) -> Option<Cow<'static, str>> {
    let is_grpc = Dialect::of(request.headers()) == Dialect::Grpc;
    let method = is_grpc.then(|| rpc_method(request.uri().path())).flatten()?;
    Some(Cow::Owned(method.to_owned()))
}

/// `package.Service/Method`.
fn rpc_method(path: &str) -> Option<&str> {
    let method = path.strip_prefix('/')?;
    let (service, name) = method.split_once('/')?;
    let is_one = !service.is_empty() && !name.is_empty() && !name.contains('/');
    is_one.then_some(method)
}

/// One of those that are known, or [`OTHER`].
fn method(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
    ];
    let known = KNOWN.iter().find(|known| **known == method.as_str());
    known.copied().unwrap_or(OTHER)
}

/// A status of gRPC.
#[derive(Clone, Copy)]
pub(super) struct GrpcStatus(usize);

/// The status in the trailers of a call, or in a head that is all of the answer. What is no known number is UNKNOWN.
pub(super) fn grpc_status(fields: &HeaderMap) -> Option<GrpcStatus> {
    const UNKNOWN: usize = 2;
    let value = fields.get("grpc-status")?;
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    Some(GrpcStatus(number.filter(|n| *n < CODES.len()).unwrap_or(UNKNOWN)))
}

impl GrpcStatus {
    pub(super) const fn name(self) -> &'static str {
        CODES[self.0]
    }

    pub(super) const fn is_error(self) -> bool {
        self.0 != 0
    }

    /// Those that a server's span shows as an error (semantic conventions for gRPC).
    pub(super) const fn is_fault_of_server(self) -> bool {
        matches!(self.0, 2 | 4 | 12 | 13 | 14 | 15)
    }
}

/// Attributes that are the same for every span of a layer.
pub(super) type Fixed = Vec<(&'static str, SpanValue)>;
