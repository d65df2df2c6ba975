use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::ResponseBody;

/// A fixed answer, such as a redirect or a maintenance page.
///
/// ```
/// use http::{HeaderValue, StatusCode, header};
/// use tunnel_layers::reject::Direct;
///
/// let moved = Direct::new(StatusCode::PERMANENT_REDIRECT)
///     .header(header::LOCATION, HeaderValue::from_static("https://example.com/"));
/// assert_eq!(moved.status(), 308);
/// ```
///
/// A gRPC caller gets the same answer: gRPC says how its clients read an HTTP status. `Debug` shows neither header values
/// nor the body.
#[derive(Clone, PartialEq, Eq)]
pub struct Direct {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Direct {
    /// An answer with this status, and neither headers nor a body.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// Adds a header; one with the same name stays.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers.
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Whether a response with this status has content at all (RFC 9110, section 6.4.1).
    #[must_use]
    pub fn may_have_body(&self) -> bool {
        let status = self.status;
        !(status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED)
    }

    pub(super) fn response<B>(&self, head_only: bool) -> Response<ResponseBody<B>> {
        let mut response = Response::new(ResponseBody::empty());
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        if self.may_have_body() {
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, self.body.len().into());
            if !head_only {
                *response.body_mut() = ResponseBody::reply(self.body.clone());
            }
        }
        response
    }
}

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.keys().collect();
        f.debug_struct("Direct")
            .field("status", &self.status)
            .field("headers", &names)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}
