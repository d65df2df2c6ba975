//! Several upstreams by their names.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Request;
use http_body::Body;
use tower_service::Service;
use tunnel_core::{BoxError, Routed, Target, TunnelError};

use crate::upstream::{ResponseFuture, Upstream, UpstreamBody};

/// Sends each request to the upstream that its rule names: for `RouteLayer::with_upstreams`. Clones share the connections.
///
/// The name stands in the [`Routed`] of the request's extensions. It is always ready, like each [`Upstream`].
#[derive(Clone, Default)]
pub struct NamedUpstreams(Arc<BTreeMap<Arc<str>, Upstream>>);

impl NamedUpstreams {
    /// None, yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an upstream, in the place of another one with this name.
    #[must_use]
    pub fn with(mut self, name: &str, upstream: Upstream) -> Self {
        Arc::make_mut(&mut self.0).insert(name.into(), upstream);
        self
    }

    /// The upstream with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Upstream> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Upstream)> {
        self.0.iter().map(|(name, upstream)| (&**name, upstream))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// [Starts](Upstream::start) all of them.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn start(&self) {
        self.0.values().for_each(Upstream::start);
    }

    /// [Drains](Upstream::drain) the upstream with this name. Whether there is one.
    pub fn drain(&self, name: &str) -> bool {
        self.get(name).map(Upstream::drain).is_some()
    }

    /// [Resumes](Upstream::resume) the upstream with this name. Whether there is one.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn resume(&self, name: &str) -> bool {
        self.get(name).map(Upstream::resume).is_some()
    }

    /// Drains what is [drained](Upstream::keep_drains) in `old`, by name: for upstreams that take the place of others.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, if something is drained here and not there.
    pub fn keep_drains(&self, old: &Self) {
        for (name, upstream) in self.iter() {
            if let Some(old) = old.get(name) {
                upstream.keep_drains(old);
            }
        }
    }

    fn choose<B>(&self, request: &Request<B>) -> Result<&Upstream, TunnelError> {
        match request.extensions().get().map(|routed: &Routed| &routed.target) {
            Some(Target::Upstream(name)) => self.get(name).ok_or_else(|| {
                let message =
                    format!("a rule goes to the upstream {name:?}, and there is none with this name");
                TunnelError::internal(message)
            }),
            Some(Target::Group(_)) | None => Err(TunnelError::internal(
                "nothing says which upstream this request is for: put RouteLayer outside of the upstreams",
            )),
        }
    }
}

impl<B> Service<Request<B>> for NamedUpstreams
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = http::Response<UpstreamBody>;
    type Error = TunnelError;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        match self.choose(&request) {
            Ok(upstream) => upstream.clone().call(request),
            Err(error) => ResponseFuture::new(std::future::ready(Err(error))),
        }
    }
}

impl fmt::Debug for NamedUpstreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
