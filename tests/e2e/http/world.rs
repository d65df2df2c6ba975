//! One outside client, one tunnel, one app.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body};
use http::{Request, Response};
use hyper::body::Incoming;
use tunnel_tests::{
    client::{Client, RawClient, Version},
    origin::Origin,
    tunnel::Tunnel,
};
use tunnel_transport::{Upstream, upstream::UpstreamProtocol};

/// An upstream of HTTP/2 sends no 100, so that each such request waits that long.
const CONTINUE_TIMEOUT: Duration = Duration::from_millis(50);

/// Where the app is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Far {
    /// In the agent's process.
    Process,
    /// Behind an upstream of HTTP/1.1.
    Http1,
    /// Behind an upstream of HTTP/2.
    H2c,
}

/// Which way requests go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) client: Version,
    pub(super) far: Far,
}

/// One outside client, one tunnel, one app.
pub(super) struct World {
    pub(super) tunnel: Tunnel,
    pub(super) client: Client,
    pub(super) way: Way,
    _origin: Option<Origin>,
}

impl World {
    pub(super) async fn new(way: Way, app: Router) -> Self {
        let (tunnel, origin) = tunnel(way.far, app).await;
        let client = Client::connect(way.client, tunnel.addr).await;
        Self {
            tunnel,
            client,
            way,
            _origin: origin,
        }
    }

    /// Sends a request and waits for the head of its response.
    pub(super) async fn send(&mut self, request: Request<Body>) -> Response<Incoming> {
        self.client.send(request).await.expect("a response")
    }

    /// Connects anew.
    pub(super) async fn reconnect(&mut self) {
        self.client = Client::connect(self.way.client, self.tunnel.addr).await;
    }

    /// Another connection, for what hyper would not send.
    pub(super) async fn raw(&self) -> RawClient {
        RawClient::connect(self.tunnel.addr).await
    }

    /// Asserts that nothing is left of any exchange.
    pub(super) async fn settled(self) {
        self.tunnel.settled().await;
    }
}

async fn tunnel(far: Far, app: Router) -> (Tunnel, Option<Origin>) {
    let (origin, protocol) = match far {
        Far::Process => return (Tunnel::serve(app).await, None),
        Far::Http1 => (Origin::http1(app).await, UpstreamProtocol::Http1),
        Far::H2c => (Origin::h2c(app).await, UpstreamProtocol::H2c),
    };
    let mut upstream = Upstream::builder(origin.uri()).protocol(protocol);
    if far == Far::H2c {
        upstream = upstream.continue_timeout(CONTINUE_TIMEOUT);
    }
    (
        Tunnel::serve(upstream.build().expect("a URI")).await,
        Some(origin),
    )
}

/// A request with this target and no body.
pub(super) fn get(target: &str) -> Request<Body> {
    Request::get(target).body(Body::empty()).expect("a request")
}

/// A POST with this body.
pub(super) fn post(body: impl Into<Body>) -> Request<Body> {
    Request::post("/").body(body.into()).expect("a request")
}

/// A value that an app's function takes once.
#[derive(Debug)]
pub(super) struct Single<T>(Arc<Mutex<Option<T>>>);

/// Makes one.
pub(super) fn single<T>(value: T) -> Single<T> {
    Single(Arc::new(Mutex::new(Some(value))))
}

impl<T> Single<T> {
    pub(super) fn take(&self) -> T {
        self.0.lock().unwrap().take().expect("the app is called once")
    }
}

impl<T> Clone for Single<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
