//! Header lists.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Fault, Limits};
use crate::generated as pb;

/// One allocation for the many small byte strings of a head.
///
/// On the way in it also keeps a head from holding on to the whole receive buffer, which a slice of that would do for
/// as long as the head lives.
pub(super) struct Block(BytesMut);

impl Block {
    /// Room for the values of `headers` and `more` bytes.
    pub(super) fn for_map(headers: &HeaderMap, more: usize) -> Self {
        Self::new(headers.values().map(HeaderValue::len).sum::<usize>() + more)
    }

    /// Room for the values of `headers` and `more` bytes.
    pub(super) fn for_list(headers: &[pb::Header], more: usize) -> Self {
        Self::new(headers.iter().map(|header| header.value.len()).sum::<usize>() + more)
    }

    fn new(capacity: usize) -> Self {
        Self(BytesMut::with_capacity(capacity))
    }

    /// A copy of `bytes` in the block.
    pub(super) fn copy(&mut self, bytes: &[u8]) -> Bytes {
        if bytes.is_empty() {
            return Bytes::new();
        }
        self.0.extend_from_slice(bytes);
        self.0.split().freeze()
    }
}

/// The list for a map. (`http` gives a value's bytes away only by reference, hence the copy.)
pub(super) fn to_list(headers: &HeaderMap, block: &mut Block) -> Vec<pb::Header> {
    headers
        .iter()
        .map(|(name, value)| pb::Header {
            name: name.as_str().to_owned(),
            value: block.copy(value.as_bytes()),
        })
        .collect()
}

/// The map for a list that [`check`] let through.
pub(super) fn to_map(list: &[pb::Header], block: &mut Block) -> Result<HeaderMap, Fault> {
    let mut headers = HeaderMap::with_capacity(list.len());
    for header in list {
        let value = HeaderValue::from_maybe_shared(block.copy(&header.value))
            .map_err(|_| Fault::protocol("a header value has a control character"))?;
        headers
            .try_append(name(&header.name)?, value)
            .map_err(|_| Fault::too_large("there are more fields than a map of headers holds"))?;
    }
    Ok(headers)
}

fn name(name: &str) -> Result<HeaderName, Fault> {
    if name.starts_with(':') {
        return Err(Fault::protocol("a pseudo header stands among the headers"));
    }
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(Fault::protocol("a header name is not in lower case"));
    }
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| Fault::protocol("a header name is no token"))
}

/// Whether `list` and `more` bytes beside it stay within the limits; looked at before anything is copied.
pub(super) fn check(list: &[pb::Header], more: usize, limits: &Limits) -> Result<(), Fault> {
    if list.len() > limits.fields {
        return Err(Fault::too_large("there are more fields than the settings allow"));
    }
    let cost = |header: &pb::Header| header.name.len() + header.value.len() + Limits::PER_FIELD;
    if list.iter().map(cost).sum::<usize>() + more > limits.head_bytes {
        return Err(Fault::too_large(
            "the head or the trailers are larger than the settings allow",
        ));
    }
    Ok(())
}
