use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use http::Extensions;

/// Makes the body of a request the client's direction of an upgraded stream, where it would be empty otherwise.
///
/// An agent does not know whether its service speaks this contract or another, so it puts this into the extensions of requests
/// that ask for an upgrade. A service that carries the upgrade out [makes the claim](Self::make) before it polls the body; for one
/// that ignores the wish, or speaks another contract, the body is that of any GET.
#[derive(Clone)]
pub struct StreamClaim(Arc<AtomicBool>);

impl StreamClaim {
    pub(crate) const fn new(claimed: Arc<AtomicBool>) -> Self {
        Self(claimed)
    }

    /// Claims the body of the request with these extensions. Does nothing where the body is the stream anyway.
    pub fn make(extensions: &mut Extensions) {
        if let Some(Self(claimed)) = extensions.remove() {
            claimed.store(true, Ordering::Release);
        }
    }
}

impl fmt::Debug for StreamClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamClaim")
    }
}
