use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::Mutex;
use tunnel_core::{Sent, TunnelError};

use crate::upstream::{
    body::On, builder::Settings, dial::Connector, h1::Http1Pool, h2c::H2cPool, service::Inner, upload::Upload,
};

/// A pool of either version; which one is used, the upstream chooses in a handshake that is made before the first request, and
/// again after a connection could not be made: the upstream may be another one then.
pub(super) struct Negotiated {
    connector: Connector,
    http1: Arc<Http1Pool>,
    http2: Arc<H2cPool>,
    chosen: AtomicU8,
    /// One request asks, and the others wait for what it learns.
    asking: Mutex<()>,
}

const UNKNOWN: u8 = 0;
const HTTP1: u8 = 1;
const HTTP2: u8 = 2;

impl Negotiated {
    pub(super) fn new(connector: Connector, settings: &Settings) -> Self {
        Self {
            http1: Http1Pool::new(connector.clone(), settings),
            http2: H2cPool::new(connector.clone().http2(), settings),
            connector: connector.either(),
            chosen: AtomicU8::new(UNKNOWN),
            asking: Mutex::new(()),
        }
    }

    /// The pool of HTTP/1.1 alone, for what needs that.
    pub(super) fn http1(&self) -> &Http1Pool {
        &self.http1
    }

    pub(super) async fn send(
        &self,
        upstream: &Inner,
        request: Request<Upload>,
    ) -> Result<(Response<Incoming>, On), TunnelError> {
        let sent = match self.choose().await? {
            HTTP2 => upstream.http2(&self.http2, request).await,
            _ => upstream.http1(&self.http1, request).await,
        };
        if sent.as_ref().is_err_and(|error| error.sent() == Sent::No) {
            self.chosen.store(UNKNOWN, Ordering::Release);
        }
        sent
    }

    async fn choose(&self) -> Result<u8, TunnelError> {
        let known = || Some(self.chosen.load(Ordering::Acquire)).filter(|chosen| *chosen != UNKNOWN);
        if let Some(chosen) = known() {
            return Ok(chosen);
        }
        let _turn = self.asking.lock().await;
        if let Some(chosen) = known() {
            return Ok(chosen);
        }
        let chosen = match self.connector.connect().await?.is_http2() {
            true => HTTP2,
            false => HTTP1,
        };
        self.chosen.store(chosen, Ordering::Release);
        Ok(chosen)
    }
}
