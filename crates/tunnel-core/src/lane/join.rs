//! Joining a piece of body to a message that has not been written yet.

use bytes::{Bytes, BytesMut};

use super::SMALL_MESSAGE;
use crate::message::{Data, End, MESSAGE_COST, Payload};

/// Moves `data` into `last` if they can be one message. The result is the credit that the joined message does not cost any
/// more.
///
/// Pieces are copied together only while the whole stays small: for larger ones the copy would cost more than the
/// envelope that it saves.
pub(super) fn join(last: &mut Payload, data: &mut Data, max_chunk: usize) -> Option<usize> {
    let (bytes, end) = match last {
        Payload::Request(start) => (&mut start.data, &mut start.end),
        Payload::Response(start) => (&mut start.data, &mut start.end),
        Payload::Data(data) => (&mut data.data, &mut data.end),
        Payload::Frame(_) | Payload::Window(_) | Payload::Reset(_) | Payload::Ping(_) | Payload::Pong(_) => {
            return None;
        }
    };
    if end.is_some() || !fits(bytes, &data.data, max_chunk) {
        return None;
    }
    Some(append(bytes, end, std::mem::take(data)))
}

fn fits(bytes: &Bytes, more: &Bytes, max_chunk: usize) -> bool {
    more.is_empty() || bytes.len() + more.len() <= SMALL_MESSAGE.min(max_chunk)
}

fn append(bytes: &mut Bytes, end: &mut Option<End>, data: Data) -> usize {
    *end = data.end;
    if data.data.is_empty() {
        return 0;
    }
    if bytes.is_empty() {
        *bytes = data.data;
        return 0;
    }
    let mut joined = std::mem::take(bytes)
        .try_into_mut()
        .unwrap_or_else(|shared| BytesMut::from(&*shared));
    joined.extend_from_slice(&data.data);
    *bytes = joined.freeze();
    MESSAGE_COST
}
