//! The dialect of plain HTTP.

use std::{fmt::Write, time::Duration};

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use tunnel_core::TunnelError;

use super::{CAUSE_HEADER, ResponseBody, detail, table};
use crate::trace_context::TraceId;

/// What `Retry-After` says when the error does not know: short, since most such conditions pass quickly, and long enough
/// that a client does not come back at once.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);

/// What `WWW-Authenticate` says unless an authenticating layer replaces it; a 401 must have one (RFC 9110, section 15.5.2).
const DEFAULT_CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"tunnel\"");

pub(super) fn response<B>(
    error: &TunnelError,
    trace_id: Option<TraceId>,
    head_only: bool,
) -> Response<ResponseBody<B>> {
    let status = table::status(error.cause());
    let document = document(status, error, trace_id);
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    headers.insert(header::CONTENT_LENGTH, document.len().into());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CAUSE_HEADER, HeaderValue::from_static(error.cause().word()));
    put_advice(headers, status, error);
    if !head_only {
        *response.body_mut() = ResponseBody::reply(document);
    }
    response
}

/// What the caller can do about it.
fn put_advice(headers: &mut HeaderMap, status: StatusCode, error: &TunnelError) {
    let busy = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    );
    if let Some(after) = error.retry_after().or(busy.then_some(DEFAULT_RETRY_AFTER)) {
        headers.insert(header::RETRY_AFTER, whole_seconds(after).into());
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, DEFAULT_CHALLENGE);
    }
}

/// Rounded up: coming back too early is useless.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}

/// The problem document (RFC 9457). Its type is `about:blank`, so that its title is the phrase of the status.
fn document(status: StatusCode, error: &TunnelError, trace_id: Option<TraceId>) -> String {
    let title = status.canonical_reason().unwrap_or("Error");
    let mut json = String::with_capacity(192);
    json.push_str("{\"type\":\"about:blank\",\"title\":");
    push_json(&mut json, title);
    let _ = write!(json, ",\"status\":{},\"detail\":", status.as_u16());
    push_json(&mut json, detail(error));
    json.push_str(",\"cause\":");
    push_json(&mut json, error.cause().word());
    if let Some(id) = trace_id {
        let _ = write!(json, ",\"trace_id\":\"{id}\"");
    }
    json.push('}');
    json
}

/// Appends a JSON string (RFC 8259, section 7).
fn push_json(json: &mut String, text: &str) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            '\u{0}'..='\u{1f}' => {
                let _ = write!(json, "\\u{:04x}", u32::from(c));
            }
            _ => json.push(c),
        }
    }
    json.push('"');
}
