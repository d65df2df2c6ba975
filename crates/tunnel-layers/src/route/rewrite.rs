//! What changes on the way.

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Uri, header,
    uri::{Authority, PathAndQuery},
};
use tunnel_core::{
    Cause, Initiator, Sent, TunnelError,
    admit::{Canonical, Policy, canonical_path},
};

use super::{compiled::Path, error::Fault, rule::Edits};

/// What a rule changes in request and response.
pub(super) struct Rewrite {
    /// What stands in the place of the prefix, without a slash at its end.
    pub(super) prefix: Option<Box<str>>,
    pub(super) host: Option<Authority>,
    pub(super) request: Edits,
    pub(super) response: Edits,
}

impl Rewrite {
    /// Changes an admitted request that matched `path`; its [`Canonical`] stays, since it tells what was asked for.
    ///
    /// # Errors
    ///
    /// A target that became longer than a URI can be.
    pub(super) fn on_request<B>(&self, request: &mut Request<B>, path: &Path) -> Result<(), TunnelError> {
        self.request.apply(request.headers_mut());
        let canonical = match request.extensions().get::<Canonical>() {
            Some(canonical) if self.prefix.is_some() || self.host.is_some() => canonical.clone(),
            _ => return Ok(()),
        };
        let mut uri = request.uri().clone().into_parts();
        if let (Some(to), Path::Prefix(from)) = (&self.prefix, path) {
            uri.path_and_query = Some(replace_prefix(request.uri(), &canonical, from, to)?);
        }
        if let Some(host) = &self.host {
            uri.scheme = Some(canonical.scheme().clone());
            uri.authority = Some(host.clone());
            let value = HeaderValue::from_str(host.as_str()).map_err(|_| too_long())?;
            request.headers_mut().insert(header::HOST, value);
        }
        *request.uri_mut() = Uri::from_parts(uri).map_err(|_| too_long())?;
        Ok(())
    }

    /// Changes the head of the response.
    pub(super) fn on_response(&self, headers: &mut HeaderMap) {
        self.response.apply(headers);
    }
}

/// The target with `to` in the place of `from`, and all else as it came.
fn replace_prefix(
    uri: &Uri,
    canonical: &Canonical,
    from: &str,
    to: &str,
) -> Result<PathAndQuery, TunnelError> {
    let rest = rest_as_it_came(uri.path(), canonical.path(), from);
    let slash = if to.is_empty() && rest.is_empty() { "/" } else { "" };
    let mut target = format!("{to}{slash}{rest}");
    if let Some(query) = uri.query() {
        target.push('?');
        target.push_str(query);
    }
    PathAndQuery::try_from(target).map_err(|_| too_long())
}

/// What follows the prefix, byte for byte. Where the two forms of the path cannot be brought together it is the canonical
/// one, so that nobody is served a path that no rule has seen.
fn rest_as_it_came<'a>(raw: &'a str, canonical: &'a str, prefix: &str) -> &'a str {
    let rest = &canonical[prefix.len()..];
    let cut = after_segments(raw, prefix.matches('/').count());
    let permissive = Policy::new().allow_dot_segments(true).allow_encoded_slashes(true);
    match &raw[cut..] {
        "" if rest.is_empty() => "",
        found if canonical_path(found, &permissive).is_ok_and(|path| path == rest) => found,
        _ => rest,
    }
}

/// Where so many segments of `path` end; empty ones do not count.
fn after_segments(path: &str, count: usize) -> usize {
    let bytes = path.as_bytes();
    let ends_segment = |at: usize| bytes[at] != b'/' && bytes.get(at + 1).is_none_or(|&next| next == b'/');
    match count.checked_sub(1) {
        None => 0,
        Some(last) => (0..bytes.len())
            .filter(|&at| ends_segment(at))
            .nth(last)
            .map_or(bytes.len(), |at| at + 1),
    }
}

fn too_long() -> TunnelError {
    TunnelError::new(
        Cause::UriTooLong,
        Initiator::Caller,
        "the request target is too long for this route",
    )
    .with_sent(Sent::No)
}

impl Edits {
    fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name, value.clone());
        }
    }
}

/// Fields that belong to one hop, or say where a message ends or goes: a rule has no say in them.
static RESERVED: [HeaderName; 11] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

pub(super) fn check_edits(edits: Edits) -> Result<Edits, Fault> {
    let mut names = edits.remove.iter().chain(edits.set.iter().map(|(name, _)| name));
    match names.find(|name| RESERVED.contains(name)) {
        None => Ok(edits),
        Some(name) if name == header::HOST => Err(Fault::new(
            "rewrite",
            "`host` is not changed as a header: rewrite the host",
        )),
        Some(name) => Err(Fault::new(
            "rewrite",
            format!("`{name}` belongs to the connection: a rule cannot change it"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_the_prefix_stays_as_it_came() {
        for (raw, canonical, prefix, rest) in [
            ("/api/x", "/api/x", "/api", "/x"),
            ("/api", "/api", "/api", ""),
            ("/api/", "/api/", "/api", "/"),
            ("/a%70i/%62//c", "/api/b/c", "/api", "/%62//c"),
            ("//api//x", "/api/x", "/api", "//x"),
            ("/a/b/c", "/a/b/c", "/a/b", "/c"),
            ("/x", "/x", "", "/x"),
            ("/api;v=1/x;y", "/api/x", "/api", "/x;y"),
        ] {
            assert_eq!(rest_as_it_came(raw, canonical, prefix), rest, "{raw}");
        }
    }

    #[test]
    fn where_the_forms_differ_the_matched_one_wins() {
        // Such paths come only under a policy that lets dot segments pass.
        assert_eq!(rest_as_it_came("/pub/../pub/a", "/pub/a", "/pub"), "/a");
        assert_eq!(rest_as_it_came("/x/../pub/a", "/pub/a", "/pub"), "/a");
        assert_eq!(rest_as_it_came("/x/../y/pub/a", "/y/pub/a", "/y"), "/pub/a");
    }
}
