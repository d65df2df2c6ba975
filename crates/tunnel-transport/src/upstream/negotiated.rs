use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use http::{Request, Response};
use tokio::sync::Mutex;
use tunnel_core::{Sent, TunnelError};

use crate::upstream::{
    body::{Content, On},
    builder::Settings,
    dial::Connector,
    failed::Failed,
    h1::Http1Pool,
    h2c::H2cPool,
    node::Node,
    tasks::Tasks,
    upload::Upload,
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
    pub(super) fn new(connector: Connector, settings: &Settings, tasks: &Arc<Tasks>) -> Self {
        Self {
            http1: Http1Pool::new(connector.clone(), settings, Arc::clone(tasks)),
            http2: H2cPool::new(connector.clone().http2(), settings, Arc::clone(tasks)),
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
        node: &Node,
        request: Request<Upload>,
    ) -> Result<(Response<Content>, On), Failed> {
        let sent = match self.choose().await {
            Ok(HTTP2) => node.http2(&self.http2, request).await,
            Ok(_) => node.http1(&self.http1, request).await,
            Err(error) => return Err(Failed::unsent(error, request)),
        };
        if sent.as_ref().is_err_and(|failed| failed.error.sent() == Sent::No) {
            self.chosen.store(UNKNOWN, Ordering::Release);
        }
        sent
    }

    pub(super) fn has_room(&self) -> bool {
        match self.chosen.load(Ordering::Acquire) {
            HTTP2 => self.http2.has_room(),
            _ => self.http1.has_room(),
        }
    }

    pub(super) async fn prepare(&self, connections: usize) {
        match self.choose().await {
            Ok(HTTP2) => self.http2.prepare(connections).await,
            Ok(_) => self.http1.prepare(connections).await,
            Err(_) => {}
        }
    }

    pub(super) fn close(&self) {
        self.http1.close();
        self.http2.close();
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
