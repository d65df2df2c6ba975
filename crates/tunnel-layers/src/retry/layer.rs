use std::sync::Arc;

use tower_layer::Layer;
use tunnel_core::Runtime;

use super::Retry;

/// Sends requests again, where their rule allows it; see the [module](super).
#[derive(Clone, Debug)]
pub struct RetryLayer {
    runtime: Arc<dyn Runtime>,
}

impl RetryLayer {
    /// With the time and the chance of `runtime`.
    pub fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self { runtime }
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        Retry {
            inner,
            runtime: self.runtime.clone(),
        }
    }
}
