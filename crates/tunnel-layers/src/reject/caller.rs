use http::{HeaderMap, HeaderValue, Method, Request, Response, Version, header};
use tunnel_core::{
    Protocol, TunnelError,
    admit::{Canonical, UpgradeRequest},
    auth::Rejection,
};

use super::{Direct, ResponseBody, grpc, problem};
use crate::trace_context::{TraceContext, TraceId};

/// The language in which a caller understands errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// A status and a problem document.
    Http,
    /// A `grpc-status` and a `grpc-message`.
    Grpc,
}

impl Dialect {
    /// The dialect of a message with these headers: gRPC by its content type, else HTTP.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        match Protocol::of(headers) {
            Protocol::Grpc => Self::Grpc,
            Protocol::Http | Protocol::WebSocket => Self::Http,
        }
    }
}

/// How the sender of a request has to be answered. Made from the request before it goes on.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    dialect: Dialect,
    /// The method was HEAD: the answer has no body (RFC 9110, section 9.3.2).
    head_only: bool,
    /// The request asked for an upgrade: what stands behind it on the connection may be no HTTP.
    closes: bool,
    trace_id: Option<TraceId>,
}

impl Caller {
    /// The sender of this request.
    #[must_use]
    pub fn of<B>(request: &Request<B>) -> Self {
        Self::admitted(request, request.extensions().get())
    }

    /// The same, for whoever has what admission found out, if the request was admitted.
    pub(crate) fn admitted<B>(request: &Request<B>, canonical: Option<&Canonical>) -> Self {
        // Whether a connection of HTTP/1.1 was asked to switch to another protocol. Admission takes that out of the headers.
        let closes = request.version() == Version::HTTP_11
            && canonical.map_or_else(
                || {
                    request.extensions().get::<UpgradeRequest>().is_some()
                        || request.headers().contains_key(header::UPGRADE)
                },
                Canonical::asks_upgrade,
            );
        Self {
            dialect: Dialect::of(request.headers()),
            head_only: request.method() == Method::HEAD,
            closes,
            trace_id: request.extensions().get().map(TraceContext::trace_id),
        }
    }

    /// The language of the caller.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The trace of the request, if it has one.
    #[must_use]
    pub const fn trace_id(&self) -> Option<TraceId> {
        self.trace_id
    }

    /// The answer that says what failed.
    #[must_use]
    pub fn reject<B>(&self, error: &TunnelError) -> Response<ResponseBody<B>> {
        let mut response = match self.dialect {
            Dialect::Http => problem::response(error, self.trace_id, self.head_only),
            Dialect::Grpc => grpc::response(error),
        };
        self.put_fields(response.headers_mut());
        response.extensions_mut().insert(error.clone());
        response
    }

    /// The answer that says why a caller was not taken, and, in plain HTTP, what would be taken: each challenge is a value of
    /// `WWW-Authenticate`. A 401 without any has the one that [`reject`](Self::reject) puts there.
    #[must_use]
    pub fn refuse<B>(&self, rejection: &Rejection) -> Response<ResponseBody<B>> {
        let mut response = self.reject(&rejection.to_error());
        let challenges = rejection.challenges();
        if self.dialect == Dialect::Http && !challenges.is_empty() {
            response.headers_mut().remove(header::WWW_AUTHENTICATE);
            for challenge in challenges {
                response
                    .headers_mut()
                    .append(header::WWW_AUTHENTICATE, challenge.clone());
            }
        }
        response
    }

    /// The answer that a rule gives itself.
    #[must_use]
    pub fn direct<B>(&self, direct: &Direct) -> Response<ResponseBody<B>> {
        let mut response = direct.response(self.head_only);
        self.put_fields(response.headers_mut());
        response
    }

    /// Whether a failure after the head of a response with these headers is told to the caller by
    /// [`trailers`](Self::trailers). For any other response the body has to fail, so that the transfer breaks.
    #[must_use]
    pub fn takes_trailers(&self, response: &HeaderMap) -> bool {
        self.dialect == Dialect::Grpc && Dialect::of(response) == Dialect::Grpc
    }

    /// The trailers that end a gRPC response whose head was out when this happened.
    #[must_use]
    pub fn trailers(error: &TunnelError) -> HeaderMap {
        let mut trailers = HeaderMap::with_capacity(4);
        grpc::put_status(&mut trailers, error);
        trailers
    }

    fn put_fields(&self, headers: &mut HeaderMap) {
        if let Some(id) = self.trace_id {
            headers.insert(super::TRACE_ID_HEADER, id.to_header());
        }
        if self.closes {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
}
