use std::{
    any::type_name,
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use arc_swap::ArcSwap;
use tower_service::Service;

use super::future::ResponseFuture;

/// A service in the place of which another one can be put; see the [module](super). Clones are the same one.
pub struct Swap<S> {
    newest: Arc<ArcSwap<S>>,
    /// Whether this clone has called before: it is one that stays.
    has_called: bool,
    mine: Option<Mine<S>>,
}

/// A clone of the service that this clone of the [`Swap`] has called last, so that not every call needs one of its own.
struct Mine<S> {
    of: Arc<S>,
    service: S,
}

/// By this the service of a [`Swap`] is replaced. Clones are the same one.
pub struct SwapHandle<S>(Arc<ArcSwap<S>>);

impl<S> Swap<S> {
    /// This service, until it is replaced.
    pub fn new(service: S) -> (Self, SwapHandle<S>) {
        let newest = Arc::new(ArcSwap::from_pointee(service));
        (Self::of(newest.clone()), SwapHandle(newest))
    }

    const fn of(newest: Arc<ArcSwap<S>>) -> Self {
        Self {
            newest,
            has_called: false,
            mine: None,
        }
    }
}

impl<S: Clone> Swap<S> {
    /// The newest service. One that is asked once, as a clone for each request is, keeps nothing for a second time: its service stands in
    /// `once`.
    fn service<'a>(&'a mut self, once: &'a mut Option<S>) -> &'a mut S {
        let newest = self.newest.load();
        if !mem::replace(&mut self.has_called, true) {
            return once.insert(S::clone(&newest));
        }
        self.mine.take_if(|mine| !Arc::ptr_eq(&mine.of, &newest));
        let mine = self.mine.get_or_insert_with(|| Mine {
            of: newest.clone(),
            service: S::clone(&newest),
        });
        &mut mine.service
    }
}

impl<S> SwapHandle<S> {
    /// Puts another service in the place of the one that is there. Calls that come after it has returned reach the new one.
    pub fn replace(&self, service: S) {
        self.0.store(Arc::new(service));
    }

    /// The service of this moment.
    #[must_use]
    pub fn current(&self) -> Arc<S> {
        self.0.load_full()
    }
}

impl<S, R> Service<R> for Swap<S>
where
    S: Service<R> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, R>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let mut once = None;
        ResponseFuture::new(self.service(&mut once), request)
    }
}

impl<S> Clone for Swap<S> {
    fn clone(&self) -> Self {
        Self::of(self.newest.clone())
    }
}

impl<S> Clone for SwapHandle<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> fmt::Debug for Swap<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Swap").field(&type_name::<S>()).finish()
    }
}

impl<S> fmt::Debug for SwapHandle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SwapHandle").field(&type_name::<S>()).finish()
    }
}
