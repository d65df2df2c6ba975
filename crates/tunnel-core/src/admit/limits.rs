//! The size of a head.

use http::{HeaderMap, Uri, request};

use super::{fault::Fault, policy::Policy};
use crate::error::Cause;

/// What a field costs beside its name and value: `": "` and the end of the line.
const FIELD_OVERHEAD: usize = 4;

/// What a request line costs beside method and target: two spaces, the version, and the end of the line.
const LINE_OVERHEAD: usize = 12;

/// The bytes of these fields on the wire of HTTP/1.1.
pub(crate) fn fields_len(headers: &HeaderMap) -> usize {
    headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + FIELD_OVERHEAD)
        .sum()
}

/// The bytes of a request line with a target of this length.
pub(crate) fn line_len(method: &http::Method, target: usize) -> usize {
    method.as_str().len() + target + LINE_OVERHEAD
}

fn uri_len(uri: &Uri) -> usize {
    let scheme = uri.scheme_str().map_or(0, |scheme| scheme.len() + 3);
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    scheme + authority + path
}

/// Holds a head against the limits of `policy`; the cheapest check comes first.
pub(super) fn check(parts: &request::Parts, policy: &Policy) -> Result<(), Fault> {
    let uri = uri_len(&parts.uri);
    if uri > policy.max_uri_bytes {
        let text = format!(
            "the request target has {uri} bytes: at most {} are taken",
            policy.max_uri_bytes
        );
        return Err(Fault::new(Cause::UriTooLong, text));
    }
    let fields = parts.headers.len();
    if fields > policy.max_fields {
        let text = format!(
            "the head has {fields} fields: at most {} are taken",
            policy.max_fields
        );
        return Err(Fault::new(Cause::HeadTooLarge, text));
    }
    let bytes = line_len(&parts.method, uri) + fields_len(&parts.headers);
    if bytes > policy.max_head_bytes {
        let text = format!(
            "the head has {bytes} bytes: at most {} are taken",
            policy.max_head_bytes
        );
        return Err(Fault::new(Cause::HeadTooLarge, text));
    }
    Ok(())
}
