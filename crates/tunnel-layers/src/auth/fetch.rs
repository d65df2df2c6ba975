//! The HTTP calls that authenticators make, by a client that the user gives.

use std::{fmt, future::poll_fn, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use tower_service::Service;
use tunnel_core::BoxError;

/// A client for HTTP: any `Service` that takes `Request<Full<Bytes>>`, such as the one of hyper-util. It decides about TLS,
/// connections and proxies; redirects must not be followed.
pub trait HttpClient: Clone + Send + Sync + 'static {
    /// Sends a request, and reads the answer as a whole.
    #[doc(hidden)]
    fn fetch(
        self,
        request: Request<Full<Bytes>>,
        limits: FetchLimits,
    ) -> impl Future<Output = Result<(StatusCode, Bytes), FetchError>> + Send;
}

/// How much an answer may be.
#[derive(Clone, Copy, Debug)]
pub struct FetchLimits {
    pub(super) bytes: usize,
    pub(super) time: Duration,
}

/// Why there is no answer.
#[derive(Debug)]
pub struct FetchError {
    what: &'static str,
    source: Option<BoxError>,
}

impl FetchError {
    fn new(what: &'static str, source: impl Into<BoxError>) -> Self {
        Self {
            what,
            source: Some(source.into()),
        }
    }
}

impl<S, B> HttpClient for S
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Body + Send,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    async fn fetch(
        mut self,
        request: Request<Full<Bytes>>,
        limits: FetchLimits,
    ) -> Result<(StatusCode, Bytes), FetchError> {
        let answer = async move {
            poll_fn(|cx| self.poll_ready(cx))
                .await
                .map_err(|error| FetchError::new("the client is not ready", error))?;
            let response = self
                .call(request)
                .await
                .map_err(|error| FetchError::new("the server was not reached", error))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, limits.bytes)
                .collect()
                .await
                .map_err(|error| FetchError::new("the answer was not read", error))?;
            Ok((head.status, body.to_bytes()))
        };
        let late = |_| FetchError {
            what: "the server took too long",
            source: None,
        };
        tokio::time::timeout(limits.time, answer).await.map_err(late)?
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

impl std::error::Error for FetchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|error| error as _)
    }
}
