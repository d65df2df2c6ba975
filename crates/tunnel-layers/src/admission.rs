//! What each of our layers does first.

use std::mem;

use http::{Request, request::Parts};
use tunnel_core::{
    TunnelError,
    admit::{self, Canonical},
};

use crate::reject::Caller;

/// What our layers know of a request that was admitted, in its extensions, so that it is found out once and not by each of them.
#[derive(Clone, Copy, Default)]
struct Met {
    /// What [`meet`] says. Who changes what it says of a request takes it away.
    caller: Option<Caller>,
    /// When it was admitted, unless an [`Arrival`](tunnel_core::route::Arrival) says when it came.
    #[cfg(feature = "deadline")]
    at: Option<tokio::time::Instant>,
}

/// Has the layers further in find how the sender of this request, which was admitted, has to be answered.
#[cfg(feature = "trace-id")]
pub(crate) fn introduce<B>(request: &mut Request<B>) {
    let caller = Some(Caller::of(request));
    let extensions = request.extensions_mut();
    match extensions.get_mut::<Met>() {
        Some(met) => met.caller = caller,
        None => {
            extensions.insert(Met {
                caller,
                ..Met::default()
            });
        }
    }
}

/// What was found out about the sender holds no more.
#[cfg(feature = "grpc-web")]
pub(crate) fn forget<B>(request: &mut Request<B>) {
    if let Some(met) = request.extensions_mut().get_mut::<Met>() {
        met.caller = None;
    }
}

/// Admits the request, unless a layer further out has. An error is the reason to refuse it.
pub(crate) fn admit<B>(mut request: Request<B>) -> Result<Request<B>, TunnelError> {
    ensure(&mut request).map(|()| request)
}

/// The same in place; a request that is refused is as it was. Nothing is moved where a layer further out has admitted it.
pub(crate) fn ensure<B>(request: &mut Request<B>) -> Result<(), TunnelError> {
    if admit::is_admitted(request.extensions()) {
        return Ok(());
    }
    let (mut parts, ()) = Request::new(()).into_parts();
    swap(request, &mut parts);
    let admitted = admit_new(&mut parts);
    swap(request, &mut parts);
    admitted
}

/// The same, for a layer that may have to answer: with how the sender of the request has to be answered, whatever comes of it.
pub(crate) fn meet<B>(request: &mut Request<B>) -> (Caller, Result<(), TunnelError>) {
    if let Some(&Met {
        caller: Some(caller), ..
    }) = request.extensions().get()
    {
        return (caller, Ok(()));
    }
    if let Some(canonical) = request.extensions().get::<Canonical>() {
        return (Caller::admitted(request, Some(canonical)), Ok(()));
    }
    (Caller::admitted(request, None), ensure(request))
}

fn swap<B>(request: &mut Request<B>, parts: &mut Parts) {
    mem::swap(request.method_mut(), &mut parts.method);
    mem::swap(request.uri_mut(), &mut parts.uri);
    mem::swap(request.version_mut(), &mut parts.version);
    mem::swap(request.headers_mut(), &mut parts.headers);
    mem::swap(request.extensions_mut(), &mut parts.extensions);
}

fn admit_new(parts: &mut Parts) -> Result<(), TunnelError> {
    #[cfg(feature = "axum")]
    find_peer(&mut parts.extensions);
    #[cfg(feature = "upgrade")]
    if parts.method == http::Method::CONNECT {
        find_protocol(&mut parts.extensions);
    }
    admit::ensure(parts)?;
    #[cfg(feature = "deadline")]
    parts.extensions.insert(Met {
        caller: None,
        at: Some(crate::clock::now()),
    });
    Ok(())
}

/// Behind `axum::serve` the peer is known from `ConnectInfo`, if the app asked for it.
#[cfg(feature = "axum")]
fn find_peer(extensions: &mut http::Extensions) {
    use axum::extract::ConnectInfo;
    use tunnel_core::PeerInfo;

    if extensions.get::<PeerInfo>().is_none()
        && let Some(ConnectInfo(addr)) = extensions.get().copied()
    {
        extensions.insert(PeerInfo::plaintext(addr));
    }
}

/// When the request came, which times are counted from, so that what the layers outside `DeadlineLayer` wait for is not given away:
/// when somebody [says](tunnel_core::route::Arrival) that it did, or else when it was admitted, if that was by a layer.
#[cfg(feature = "deadline")]
pub(crate) fn arrival(extensions: &http::Extensions) -> Option<tokio::time::Instant> {
    use tunnel_core::route::Arrival;

    match extensions.get() {
        Some(&Arrival(at)) => Some(at.into()),
        None => extensions.get::<Met>()?.at,
    }
}

/// Behind a server of hyper, such as `axum::serve`, an extended CONNECT is known by hyper's `Protocol`.
#[cfg(feature = "upgrade")]
fn find_protocol(extensions: &mut http::Extensions) {
    use tunnel_core::admit::ExtendedConnect;

    if extensions.get::<ExtendedConnect>().is_none()
        && let Some(protocol) = extensions.get::<hyper::ext::Protocol>()
        // What is no header value names no protocol that anybody serves, and the CONNECT is then refused.
        && let Ok(protocol) = http::HeaderValue::from_bytes(protocol.as_ref())
    {
        extensions.insert(ExtendedConnect { protocol });
    }
}

#[cfg(all(test, feature = "full"))]
mod tests {
    use std::net::SocketAddr;

    use axum::extract::ConnectInfo;
    use tunnel_core::{Cause, PeerInfo};

    use super::*;
    use crate::test_util::request;

    #[test]
    fn the_peer_is_ours_or_axums() {
        let axums: SocketAddr = "192.0.2.1:1".parse().unwrap();
        let ours: SocketAddr = "192.0.2.2:2".parse().unwrap();
        let forwarded = |peer: Option<PeerInfo>| {
            let mut request = request("/");
            request.extensions_mut().insert(ConnectInfo(axums));
            peer.map(|peer| request.extensions_mut().insert(peer));
            admit(request).unwrap().headers()["x-forwarded-for"].clone()
        };
        assert_eq!(forwarded(None), "192.0.2.1");
        assert_eq!(forwarded(Some(PeerInfo::plaintext(ours))), "192.0.2.2");
    }

    #[test]
    fn a_request_is_admitted_once() {
        let mut admitted = admit(request("/")).unwrap();
        // What a layer in between adds is not from outside, and stays.
        admitted
            .headers_mut()
            .insert("x-forwarded-for", http::HeaderValue::from_static("mine"));
        assert_eq!(admit(admitted).unwrap().headers()["x-forwarded-for"], "mine");

        let mut twice = request("/a");
        twice
            .headers_mut()
            .append("host", http::HeaderValue::from_static("other"));
        let refused = ensure(&mut twice).err().map(|error| error.cause());
        assert_eq!(refused, Some(Cause::Malformed));
        assert_eq!(
            (twice.uri().path(), twice.headers().len()),
            ("/a", 2),
            "as it was"
        );
    }
}
