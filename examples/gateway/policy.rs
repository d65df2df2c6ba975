//! By which policy the layers of a stack admit requests.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::Request;
use tower::{Layer, Service};
use tunnel_core::admit::Policy;

/// Says the policy to the layers further in, in the extensions of each request. They know the default by themselves.
pub(super) struct PolicyLayer(Option<Arc<Policy>>);

impl PolicyLayer {
    pub(super) fn new(policy: &Policy) -> Self {
        let is_default = *policy == Policy::new();
        Self((!is_default).then(|| Arc::new(policy.clone())))
    }
}

impl<S> Layer<S> for PolicyLayer {
    type Service = ByPolicy<S>;

    fn layer(&self, inner: S) -> ByPolicy<S> {
        let policy = self.0.clone();
        ByPolicy { inner, policy }
    }
}

/// The service of [`PolicyLayer`].
#[derive(Clone)]
pub(super) struct ByPolicy<S> {
    inner: S,
    policy: Option<Arc<Policy>>,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for ByPolicy<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Request<B>) -> S::Future {
        if let Some(policy) = &self.policy {
            request.extensions_mut().insert(policy.clone());
        }
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::ready};

    use tower::{ServiceExt, service_fn};

    use super::*;

    #[tokio::test]
    async fn what_is_not_the_default_is_said() {
        let other = Policy::new().max_hops(3);
        for (policy, expected) in [(Policy::new(), None), (other.clone(), Some(other))] {
            let service = PolicyLayer::new(&policy).layer(service_fn(|request: Request<()>| {
                ready(Ok::<Option<Arc<Policy>>, Infallible>(
                    request.extensions().get().cloned(),
                ))
            }));
            let said = service.oneshot(Request::new(())).await.unwrap();
            assert_eq!(said.as_deref(), expected.as_ref());
        }
    }
}
