use tower_layer::Layer;

use super::Correlate;

/// Adds request ids and the pending table; see the [module](super).
#[derive(Clone, Copy, Debug, Default)]
pub struct CorrelateLayer {
    _private: (),
}

impl CorrelateLayer {
    /// The layer.
    #[must_use]
    pub const fn new() -> Self {
        Self { _private: () }
    }
}

impl<S> Layer<S> for CorrelateLayer {
    type Service = Correlate<S>;

    fn layer(&self, inner: S) -> Correlate<S> {
        Correlate::new(inner)
    }
}
