//! An exchange that failed, and what may be done about it.

use http::Request;
use tunnel_core::TunnelError;

use crate::upstream::upload::Upload;

/// Why there is no response, and the request if none of it was written: somebody else may have it.
pub(super) struct Failed {
    pub(super) error: TunnelError,
    pub(super) request: Option<Box<Request<Upload>>>,
}

impl Failed {
    pub(super) fn unsent(error: TunnelError, request: Request<Upload>) -> Self {
        Self {
            error,
            request: Some(Box::new(request)),
        }
    }
}

impl From<TunnelError> for Failed {
    fn from(error: TunnelError) -> Self {
        Self { error, request: None }
    }
}
