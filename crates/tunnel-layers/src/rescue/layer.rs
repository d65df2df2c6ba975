use tower_layer::Layer;

use super::Rescue;

/// Turns failures of the wrapped service into responses; see the [module](super).
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct RescueLayer;

impl RescueLayer {
    /// A layer that rescues every error.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for RescueLayer {
    type Service = Rescue<S>;

    fn layer(&self, inner: S) -> Rescue<S> {
        Rescue::new(inner)
    }
}
