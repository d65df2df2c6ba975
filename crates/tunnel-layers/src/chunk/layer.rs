use tower_layer::Layer;

use super::Chunk;

/// Turns requests into exchanges; see the [module](super).
#[derive(Clone, Copy, Debug, Default)]
pub struct ChunkLayer {
    _private: (),
}

impl ChunkLayer {
    /// The layer.
    #[must_use]
    pub const fn new() -> Self {
        Self { _private: () }
    }
}

impl<S> Layer<S> for ChunkLayer {
    type Service = Chunk<S>;

    fn layer(&self, inner: S) -> Chunk<S> {
        Chunk::new(inner)
    }
}
