//! What a request asks for.

use std::{sync::Arc, time::Instant};

use http::{Extensions, HeaderValue, Method, Request, header};
use http_body::Body;
use hyper::upgrade::OnUpgrade;
use tunnel_core::{
    Cause, Initiator, Lifetime, Record, Runtime, Sent, Session, TunnelError,
    admit::{ExtendedConnect, UpgradeRequest},
    route::{Deadline, Expiry},
    upgrade::{DeferredBody, DeferredSlot, Stopping, StreamBody, accept_key, handshake_key},
};

use super::{UpgradeBody, io::Outside, layer::Settings};

/// What is needed to carry out an upgrade, once it is granted.
pub(super) struct Asked {
    pub(super) protocol: UpgradeRequest,
    /// The client asked by extended CONNECT.
    pub(super) is_connect: bool,
    /// The proof that a WebSocket server must give; none if the client's key cannot have one.
    pub(super) accept: Option<HeaderValue>,
    pub(super) on_upgrade: OnUpgrade,
    pub(super) slot: DeferredSlot<StreamBody<Outside>>,
    pub(super) settings: Settings,
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) lifetime: Lifetime,
    /// Where the bytes of the stream are counted, if anybody asks.
    pub(super) record: Option<Record>,
    pub(super) stopping: Option<Stopping>,
    /// As `DeadlineLayer` and `AuthLayer` say them.
    pub(super) deadline: Option<Instant>,
    pub(super) expiry: Option<Instant>,
}

/// A request as it goes on, and what is needed if its upgrade is granted.
type Going<B> = (Request<UpgradeBody<B>>, Option<Box<Asked>>);

/// Whether a request may ask for anything that [`ask`] sees to.
pub(super) fn is_upgrade<B>(request: &Request<B>) -> bool {
    request.method() == Method::CONNECT || request.extensions().get::<UpgradeRequest>().is_some()
}

/// The request as it goes on: as plain HTTP, or as an upgrade in the contract of the core.
///
/// # Errors
///
/// It asks for an upgrade in a way that nobody can grant.
pub(super) fn ask<B: Body>(mut request: Request<B>, settings: &Settings) -> Result<Going<B>, TunnelError> {
    let Some((protocol, on_upgrade)) = take_wish(&mut request) else {
        if request.method() == Method::CONNECT {
            return Err(no_connect());
        }
        return Ok((request.map(UpgradeBody::plain), None));
    };
    if !request.body().is_end_stream() && request.body().size_hint().exact() != Some(0) {
        return Err(has_body());
    }
    let extensions = request.extensions_mut();
    let lifetime = Lifetime::of(extensions);
    let runtime = runtime(extensions, settings)?;
    let (slot, body) = DeferredBody::new();
    let mut asked = Box::new(Asked {
        is_connect: extensions.remove::<ExtendedConnect>().is_some(),
        accept: None,
        on_upgrade,
        slot,
        settings: settings.clone(),
        runtime,
        lifetime,
        record: extensions.get().cloned(),
        stopping: extensions.remove(),
        deadline: extensions.get().map(|Deadline(at)| *at),
        expiry: extensions.get().map(|Expiry(at)| *at),
        protocol,
    });
    if asked.is_connect {
        *request.method_mut() = Method::GET;
    }
    if asked.protocol.is_websocket() {
        asked.accept = expected(&mut request, &asked);
    }
    let record = asked.record.clone();
    Ok((request.map(|_| UpgradeBody::stream(body, record)), Some(asked)))
}

/// The protocol that the client asks for, and its connection. What goes on as plain HTTP asks for nothing any more: an
/// upgrade by HTTP/1.1 is a wish that a server may ignore (RFC 9110, section 7.8).
fn take_wish<B>(request: &mut Request<B>) -> Option<(UpgradeRequest, OnUpgrade)> {
    let may_be_asked_by = |method: &Method, protocol: &UpgradeRequest| {
        matches!(*method, Method::GET | Method::CONNECT) || !protocol.is_websocket()
    };
    let protocol = request.extensions().get::<UpgradeRequest>()?.clone();
    let connection = if may_be_asked_by(request.method(), &protocol) {
        request.extensions_mut().remove::<OnUpgrade>()
    } else {
        None
    };
    if connection.is_none() {
        request.extensions_mut().remove::<UpgradeRequest>();
    }
    Some((protocol, connection?))
}

/// What `Sec-WebSocket-Accept` has to be. A client that came by extended CONNECT has given no key (RFC 8441, section 5.1), and
/// gets one.
fn expected<B>(request: &mut Request<B>, asked: &Asked) -> Option<HeaderValue> {
    let headers = request.headers_mut();
    if asked.is_connect {
        let key = handshake_key(asked.runtime.random());
        headers.insert(header::SEC_WEBSOCKET_KEY, key);
    }
    let mut keys = headers.get_all(header::SEC_WEBSOCKET_KEY).iter();
    match (keys.next(), keys.next()) {
        (Some(only), None) => Some(accept_key(only.as_bytes())),
        _ => None,
    }
}

fn runtime(extensions: &Extensions, settings: &Settings) -> Result<Arc<dyn Runtime>, TunnelError> {
    let of_session = || extensions.get::<Session>().map(Session::runtime);
    let found = settings.runtime.as_ref().or_else(of_session);
    found.cloned().ok_or_else(|| {
        TunnelError::internal(
            "nobody runs the task of an upgraded stream: put BalanceLayer, or a layer that inserts a Session, outside \
             UpgradeLayer, or give it UpgradeLayer::runtime",
        )
    })
}

fn no_connect() -> TunnelError {
    let text = "extended CONNECT (RFC 8441) is not served here";
    TunnelError::new(Cause::MethodNotServed, Initiator::Tunnel, text).with_sent(Sent::No)
}

/// The bytes of the body would be taken for the first ones of the stream, or the other way round.
fn has_body() -> TunnelError {
    let text = "a request that asks for an upgrade has a body";
    TunnelError::new(Cause::Malformed, Initiator::Caller, text).with_sent(Sent::No)
}
