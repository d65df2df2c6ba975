//! The head of the response to a call.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};

use super::{Cors, format::Encoding};

/// How the response to a call is to be.
pub(super) struct Answering {
    encoding: Encoding,
    /// With what `access-control-allow-origin` is to be.
    cors: Option<(Arc<Cors>, Option<HeaderValue>)>,
}

impl Answering {
    /// To a request with these headers.
    pub(super) fn new(encoding: Encoding, cors: Option<&Arc<Cors>>, request: &HeaderMap) -> Self {
        let cors = cors.map(|cors| (cors.clone(), cors.allowed(request)));
        Self { encoding, cors }
    }

    pub(super) const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// For a translated response: its length is not the one that the wrapped service knew.
    pub(super) fn translated(&self, headers: &mut HeaderMap, content_type: HeaderValue) {
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, content_type);
        self.plain(headers);
    }

    /// For a response that was not translated.
    pub(super) fn plain(&self, headers: &mut HeaderMap) {
        if let Some((cors, origin)) = &self.cors {
            cors.on_response(origin.clone(), headers);
        }
    }
}
