//! One way to write a path, for rules and auth to match on.
//!
//! What goes to the upstream is the path as it came, byte for byte. Two readings of one path are how deny rules are passed
//! by, so the form for matching takes every reading that common servers have:
//!
//! * escapes of characters that need none are decoded, all others are written in upper case, and what should have been
//!   escaped is, so that each path has one spelling (RFC 3986, section 6.2.2);
//! * several slashes in a row count as one, as most servers serve them;
//! * path parameters (`/a;v=1/b`) are left out, as servlet containers do before they match;
//! * dot segments, encoded ones too, are refused unless the policy lets them pass: no form can be right for servers that
//!   resolve them and for servers that do not. Encoded slashes and backslashes match as what they are;
//! * escapes that are broken or stand for a control character are refused, and so is a path that climbs above its root.

use std::borrow::Cow;

use http::{Method, Version, request, uri::PathAndQuery};

use super::{canonical::CanonicalPath, fault::Fault, policy::Policy};
use crate::error::TunnelError;

/// What the target of a request turned out to be.
pub(super) struct Target {
    /// What travels.
    pub(super) path_and_query: PathAndQuery,
    /// What is matched.
    pub(super) canonical: CanonicalPath,
}

/// The path and query of `parts`, in both forms.
pub(super) fn check(parts: &request::Parts, policy: &Policy) -> Result<Target, Fault> {
    let Some(path_and_query) = parts.uri.path_and_query() else {
        return Err(Fault::malformed(
            "the request target is an authority: send a path that starts with `/`",
        ));
    };
    let absolute_h1 = parts.version <= Version::HTTP_11 && parts.uri.scheme().is_some();
    let path_and_query = match path_and_query.as_str().as_bytes()[0] {
        // The absolute form may leave an empty path out (RFC 9112, section 3.2.1).
        b'?' if absolute_h1 => with_slash(path_and_query)?,
        _ => path_and_query.clone(),
    };
    let canonical = canonical(&parts.method, &path_and_query, policy)?;
    Ok(Target {
        path_and_query,
        canonical,
    })
}

fn with_slash(path_and_query: &PathAndQuery) -> Result<PathAndQuery, Fault> {
    let text = format!("/{}", path_and_query.as_str());
    PathAndQuery::try_from(text)
        .map_err(|_| Fault::new(crate::error::Cause::UriTooLong, "the request target is too long"))
}

/// The form for matching of a path that came with this method.
pub(crate) fn canonical(
    method: &Method,
    path_and_query: &PathAndQuery,
    policy: &Policy,
) -> Result<CanonicalPath, Fault> {
    // `path()` would show a missing path as `/`.
    match path_and_query.as_str().as_bytes()[0] {
        b'*' if method == Method::OPTIONS => return Ok(CanonicalPath::Same(path_and_query.clone())),
        b'*' => {
            return Err(Fault::malformed(
                "the request target is `*`, which only OPTIONS has: send a path",
            ));
        }
        b'/' => {}
        _ => return Err(Fault::malformed("the path does not start with `/`")),
    }
    Ok(match normalise(path_and_query.path(), policy)? {
        Cow::Borrowed(_) => CanonicalPath::Same(path_and_query.clone()),
        Cow::Owned(path) => CanonicalPath::Changed(path.into()),
    })
}

/// The form of `path` for matching: the same that [`Canonical::path`](super::Canonical::path) has. For whoever reads paths
/// from a configuration and compares them with those of requests.
///
/// ```
/// use tunnel_core::admit::{Policy, canonical_path};
///
/// assert_eq!(canonical_path("/a//%62;v=1/%c3%a9", &Policy::new())?, "/a/b/%C3%A9");
/// # Ok::<(), tunnel_core::TunnelError>(())
/// ```
///
/// # Errors
///
/// A path that [`admit`](super::admit()) would refuse under this policy.
pub fn canonical_path<'a>(path: &'a str, policy: &Policy) -> Result<Cow<'a, str>, TunnelError> {
    if !path.starts_with('/') {
        return Err(Fault::malformed("the path does not start with `/`").by_caller());
    }
    normalise(path, policy).map_err(Fault::by_caller)
}

fn normalise<'a>(path: &'a str, policy: &Policy) -> Result<Cow<'a, str>, Fault> {
    if is_plain(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    let mut out = String::with_capacity(path.len() + 16);
    let mut segments = path[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        let start = out.len();
        out.push('/');
        write_segment(segment, &mut out, policy)?;
        match &out[start + 1..] {
            "" if is_last => {}
            "" | "." => out.truncate(start),
            ".." => climb(&mut out, start)?,
            _ => continue,
        }
        if is_last && !out.ends_with('/') {
            out.push('/');
        }
    }
    Ok(Cow::Owned(out))
}

/// Whether a path is in the form for matching already: almost every path is.
fn is_plain(path: &[u8]) -> bool {
    let mut before = b' ';
    path.iter().all(|&byte| {
        let fine = match byte {
            b'/' | b'.' => before != b'/',
            _ => is_literal(byte),
        };
        before = byte;
        fine
    })
}

/// What stands for itself in a segment of the form for matching: `pchar` of RFC 3986, section 3.3, but for `;`.
fn is_literal(byte: u8) -> bool {
    LITERALS[usize::from(byte)]
}

const LITERALS: [bool; 256] = {
    let mut literals = [false; 256];
    let mut byte = 0;
    while byte < literals.len() {
        literals[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"-._~!$&'()*+,=:@";
    let mut place = 0;
    while place < others.len() {
        literals[others[place] as usize] = true;
        place += 1;
    }
    literals
};

/// Drops the segment at `start`, and the one before it.
fn climb(out: &mut String, start: usize) -> Result<(), Fault> {
    out.truncate(start);
    let Some(parent) = out.rfind('/') else {
        return Err(Fault::malformed("the path climbs above its root with `..`"));
    };
    out.truncate(parent);
    Ok(())
}

/// Writes one segment without its parameters.
fn write_segment(segment: &str, out: &mut String, policy: &Policy) -> Result<(), Fault> {
    let start = out.len();
    let mut parameters = None;
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let byte = unescape(&mut bytes)?;
                write_byte(byte, out, policy)?;
            }
            b';' => {
                parameters.get_or_insert(out.len());
                out.push(';');
            }
            _ => write_byte(byte, out, policy)?,
        }
    }
    if !policy.dot_segments && has_dots(&out[start..]) {
        return Err(Fault::malformed(
            "the path has a dot segment, plain or encoded: send the path that it leads to",
        ));
    }
    if let Some(parameters) = parameters {
        out.truncate(parameters);
    }
    Ok(())
}

fn write_byte(byte: u8, out: &mut String, policy: &Policy) -> Result<(), Fault> {
    match byte {
        b'/' | b'\\' if !policy.encoded_slashes => Err(Fault::malformed(
            "the path has an encoded slash or a backslash, which servers read differently: send `/`",
        )),
        _ if is_literal(byte) => {
            out.push(char::from(byte));
            Ok(())
        }
        _ => {
            const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 0xf)]));
            Ok(())
        }
    }
}

/// The byte that the two digits behind a `%` stand for.
fn unescape(bytes: &mut std::str::Bytes<'_>) -> Result<u8, Fault> {
    let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
    let (Some(high), Some(low)) = (digit(), digit()) else {
        return Err(Fault::malformed(
            "the path has a `%` without two hexadecimal digits: write `%25`",
        ));
    };
    // Two hexadecimal digits fit into a byte.
    match (high * 16 + low) as u8 {
        0x00..=0x1f | 0x7f => Err(Fault::malformed("the path has an encoded control character")),
        byte => Ok(byte),
    }
}

/// Whether some server might see a dot segment here: one that takes `%2F` or a backslash for a slash, or that cuts
/// parameters off.
fn has_dots(segment: &str) -> bool {
    let is_dots = |piece: &str| matches!(piece, "." | "..");
    if !segment.contains(['%', ';']) {
        return is_dots(segment);
    }
    segment
        .split("%2F")
        .flat_map(|piece| piece.split("%5C"))
        .flat_map(|piece| piece.split("%3B"))
        .flat_map(|piece| piece.split(';'))
        .any(is_dots)
}
