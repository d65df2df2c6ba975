use tower_layer::Layer;

use super::Upgrade;

/// Handles requests for another protocol; see the [module](super).
#[derive(Clone, Copy, Debug, Default)]
pub struct UpgradeLayer {
    _private: (),
}

impl UpgradeLayer {
    /// The layer.
    #[must_use]
    pub const fn new() -> Self {
        Self { _private: () }
    }
}

impl<S> Layer<S> for UpgradeLayer {
    type Service = Upgrade<S>;

    fn layer(&self, inner: S) -> Upgrade<S> {
        Upgrade::new(inner)
    }
}
