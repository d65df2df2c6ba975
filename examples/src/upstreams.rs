//! Several upstreams behind one agent.

use std::{
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::future::Either;
use http::{Request, Response};
use http_body::Body;
use tower::Service;
use tunnel_core::{
    BoxError, Cause, Initiator, Sent, TunnelError,
    admit::{Canonical, Policy, canonical_path},
};
use tunnel_transport::{
    Upstream,
    upstream::{ResponseFuture, UpstreamBody},
};

/// A default upstream, if there is one, and others for some hosts and paths. Clones share the connections.
///
/// What no route matches, and for which there is no default, is an error, 502 to the caller. The first route that matches is taken; what
/// it is matched with is what [admission](tunnel_core::admit) found, so a request that was not admitted matches none. It is always ready,
/// like each [`Upstream`].
#[derive(Clone, Debug, Default)]
pub struct Upstreams(Arc<Inner>);

#[derive(Clone, Debug, Default)]
struct Inner {
    default: Option<Upstream>,
    routes: Vec<Route>,
}

#[derive(Clone, Debug)]
struct Route {
    host: Option<Box<str>>,
    /// Without a slash at its end; empty for every path.
    prefix: Box<str>,
    upstream: Upstream,
}

impl Upstreams {
    /// Everything goes to this one.
    #[must_use]
    pub fn new(default: Upstream) -> Self {
        Self(Arc::new(Inner {
            default: Some(default),
            routes: Vec::new(),
        }))
    }

    /// These, and behind them `others`: their routes, and their default if there is none here.
    #[must_use]
    pub fn over(&self, others: &Self) -> Self {
        let routes = self.0.routes.iter().chain(&others.0.routes);
        Self(Arc::new(Inner {
            default: self.0.default.as_ref().or(others.0.default.as_ref()).cloned(),
            routes: routes.cloned().collect(),
        }))
    }

    /// Sends what comes for `host` (without a port) and below the path `prefix` to `upstream`.
    ///
    /// # Errors
    ///
    /// Neither is given, or one of them cannot match; the text says what would be right.
    pub fn route(
        mut self,
        host: Option<&str>,
        prefix: Option<&str>,
        upstream: Upstream,
    ) -> Result<Self, String> {
        if host.is_none() && prefix.is_none() {
            return Err(
                "a route needs `host` or `path`: without both it is the default `upstream`".to_owned(),
            );
        }
        let route = Route {
            host: host.map(check_host).transpose()?,
            prefix: prefix.map(check_prefix).transpose()?.unwrap_or_default(),
            upstream,
        };
        Arc::make_mut(&mut self.0).routes.push(route);
        Ok(self)
    }

    /// How many upstreams there are, with the default one.
    #[must_use]
    pub fn count(&self) -> usize {
        self.all().count()
    }

    /// All of them, by what they are asked for: `default`, or the host and the path of their route.
    pub(crate) fn named(&self) -> Vec<(String, Upstream)> {
        let default = self
            .0
            .default
            .iter()
            .map(|upstream| ("default".to_owned(), upstream.clone()));
        let routes = self.0.routes.iter().map(|route| {
            let host = route.host.as_deref().unwrap_or_default();
            (format!("{host}{}", route.prefix), route.upstream.clone())
        });
        default.chain(routes).collect()
    }

    /// Takes those of `old` of which the same was said: both with what was said of each, the default first.
    pub(crate) fn keep<T: PartialEq>(&mut self, said: &[T], old: &Self, old_said: &[T]) {
        let known: Vec<_> = old_said.iter().zip(old.all()).collect();
        for (said, upstream) in said.iter().zip(self.all_mut()) {
            if let Some((_, kept)) = known.iter().find(|(old, _)| *old == said) {
                *upstream = (*kept).clone();
            }
        }
    }

    /// The default upstream, then those of the routes in their order.
    fn all(&self) -> impl Iterator<Item = &Upstream> {
        let routes = self.0.routes.iter();
        self.0.default.iter().chain(routes.map(|route| &route.upstream))
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Upstream> {
        let Inner { default, routes } = Arc::make_mut(&mut self.0);
        let routes = routes.iter_mut();
        default.iter_mut().chain(routes.map(|route| &mut route.upstream))
    }

    fn choose<B>(&self, request: &Request<B>) -> Option<&Upstream> {
        if self.0.routes.is_empty() {
            return self.0.default.as_ref();
        }
        // Every request that comes through the tunnel was admitted.
        let canonical = request.extensions().get::<Canonical>();
        let found = canonical.and_then(|canonical| {
            let (host, path) = (canonical.host(), canonical.path());
            self.0.routes.iter().find(|route| route.matches(host, path))
        });
        found.map(|route| &route.upstream).or(self.0.default.as_ref())
    }
}

impl Route {
    fn matches(&self, host: &str, path: &str) -> bool {
        let host = self.host.as_deref().is_none_or(|wanted| wanted == host);
        host && path
            .strip_prefix(&*self.prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl<B> Service<Request<B>> for Upstreams
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<UpstreamBody>;
    type Error = TunnelError;
    type Future = Either<ResponseFuture, Ready<Result<Self::Response, TunnelError>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.choose(&request) {
            Some(upstream) => Either::Left(upstream.clone().call(request)),
            None => Either::Right(ready(Err(nowhere()))),
        }
    }
}

fn nowhere() -> TunnelError {
    let text = "the agent has no upstream for this host and path";
    TunnelError::new(Cause::Upstream, Initiator::Peer, text).with_sent(Sent::No)
}

fn check_host(host: &str) -> Result<Box<str>, String> {
    let is_name = !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if is_name {
        return Ok(host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase().into());
    }
    Err(format!(
        "`{host}` is no host: write a name such as www.example.com, without a port"
    ))
}

fn check_prefix(prefix: &str) -> Result<Box<str>, String> {
    match canonical_path(prefix, &Policy::new()) {
        Ok(path) if !prefix.contains(['?', '#']) => Ok(path.trim_end_matches('/').into()),
        _ => Err(format!("`{prefix}` is no path: write one such as /api")),
    }
}

#[cfg(test)]
mod tests {
    use tunnel_core::{PeerInfo, admit::admit};

    use super::*;

    fn upstream(name: &str) -> Upstream {
        Upstream::http1(format!("http://{name}")).unwrap()
    }

    fn chosen(upstreams: &Upstreams, host: &str, path: &str) -> String {
        let request = Request::builder().uri(path).header("host", host);
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        // As the policy of an agent: what a gateway lets pass is matched as that matches it.
        let policy = Policy::new().allow_dot_segments(true).allow_encoded_slashes(true);
        admit(&mut parts, &PeerInfo::unknown(), &policy).unwrap();
        let request = Request::from_parts(parts, ());
        let text = format!("{:?}", upstreams.choose(&request).unwrap());
        ["api", "admin", "default"]
            .into_iter()
            .find(|name| text.contains(name))
            .unwrap()
            .to_owned()
    }

    #[test]
    fn the_first_route_that_matches_is_taken() {
        let upstreams = Upstreams::new(upstream("default"))
            .route(Some("Admin.example"), None, upstream("admin"))
            .unwrap()
            .route(None, Some("/api/"), upstream("api"))
            .unwrap();
        assert_eq!(upstreams.count(), 3);
        for (host, path, expected) in [
            ("a.example", "/", "default"),
            ("a.example", "/api", "api"),
            ("a.example", "/api/x", "api"),
            ("a.example", "/%61pi/x", "api"),
            ("a.example", "/apix", "default"),
            ("a.example", "/api/../x", "default"),
            ("a.example", "/x/../api", "api"),
            ("admin.example:8080", "/api", "admin"),
            ("ADMIN.example.", "/", "admin"),
            ("[::1]:80", "/", "default"),
        ] {
            assert_eq!(chosen(&upstreams, host, path), expected, "{host} {path}");
        }
    }

    #[test]
    fn a_route_that_cannot_match_is_refused() {
        let add = |host, path| {
            Upstreams::new(upstream("default"))
                .route(host, path, upstream("api"))
                .map(drop)
                .unwrap_err()
        };
        assert!(add(None, None).contains("needs `host` or `path`"));
        assert!(add(Some("a:80"), None).contains("without a port"));
        assert!(add(None, Some("api")).contains("such as /api"));
        assert!(add(None, Some("/api?x")).contains("such as /api"));
    }
}
