//! A client on the outside: plain HTTP/1.1 to the gateway's port.

use std::{net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client as HyperClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::time::Instant;
use tunnel_core::BoxError;

/// Sends requests to one gateway, over connections that are kept.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    inner: HyperClient<HttpConnector, Full<Bytes>>,
    gateway: SocketAddr,
}

/// A response that has come in full.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// When each piece of the body came, from the start of the request.
    pub(crate) arrivals: Vec<Duration>,
    /// When the body ended.
    pub(crate) took: Duration,
}

impl Client {
    pub(crate) fn new(gateway: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let inner = HyperClient::builder(TokioExecutor::new()).build(connector);
        Self { inner, gateway }
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, BoxError> {
        let uri: Uri = format!("http://{}{path}", self.gateway).parse()?;
        let request = Request::builder().method(method).uri(uri).body(Full::new(body))?;
        let start = Instant::now();
        let (head, mut incoming) = self.inner.request(request).await?.into_parts();
        let (mut body, mut arrivals) = (BytesMut::new(), Vec::new());
        while let Some(frame) = incoming.frame().await {
            if let Ok(data) = frame?.into_data() {
                body.extend_from_slice(&data);
                arrivals.push(start.elapsed());
            }
        }
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: body.freeze(),
            arrivals,
            took: start.elapsed(),
        })
    }
}
