use std::sync::Arc;

use tower_layer::Layer;

use super::{Cors, GrpcWeb};

/// Translates calls of gRPC-Web; see the [module](super).
#[derive(Clone, Debug, Default)]
pub struct GrpcWebLayer {
    cors: Option<Arc<Cors>>,
}

impl GrpcWebLayer {
    /// A layer for pages of the same site: it says nothing about other origins, and preflights go on to the wrapped service.
    #[must_use]
    pub const fn new() -> Self {
        Self { cors: None }
    }

    /// Lets pages of other sites make calls. The layer then answers their preflights.
    #[must_use]
    pub fn cors(mut self, cors: Cors) -> Self {
        self.cors = Some(Arc::new(cors));
        self
    }
}

impl<S> Layer<S> for GrpcWebLayer {
    type Service = GrpcWeb<S>;

    fn layer(&self, inner: S) -> GrpcWeb<S> {
        GrpcWeb::new(inner, self.cors.clone())
    }
}
