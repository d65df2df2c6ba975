//! The messages that come on a lane, out of the frames of HTTP/2.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use futures_core::Stream;
use http::HeaderMap;
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use tonic::{Code, Status, body::Body, codegen::StdError};

use crate::{codec::MAX_MESSAGE_BYTES, pb::Encoded};

/// What stands before a message of gRPC, in bytes: whether it is compressed, and its length.
pub(super) const PREFIX: usize = 5;

/// The messages of one direction of a `Proxy` call.
///
/// tonic's own decoder copies all bytes into a buffer of its own. Here a message that came within one frame of HTTP/2 is a slice of that
/// frame, which is how the other end sends nearly all of them; only what is spread over several frames is put together.
///
/// # Errors
///
/// What the other end ended the call with, unless that is OK; a message that is compressed, or larger than any may be; an end within a
/// message. The stream is over then.
pub(crate) struct LaneStream {
    body: Body,
    /// What of the last frame has not been read.
    frame: Bytes,
    /// The beginning of a message, whose rest is in frames that are to come.
    part: BytesMut,
    is_over: bool,
}

impl LaneStream {
    pub(crate) fn new<B>(body: B) -> Self
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<StdError>,
    {
        let body = body.map_frame(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())));
        Self {
            body: Body::new(body),
            frame: Bytes::new(),
            part: BytesMut::new(),
            is_over: false,
        }
    }

    /// The next message; `None` when the stream has ended. Cancel safe.
    pub(crate) async fn message(&mut self) -> Result<Option<Encoded>, Status> {
        let next = std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await;
        next.transpose()
    }

    /// A message that is here as a whole.
    fn take(&mut self) -> Result<Option<Encoded>, Status> {
        if self.part.is_empty() {
            match message_len(&self.frame)? {
                Some(len) if self.frame.len() >= PREFIX + len => {
                    self.frame.advance(PREFIX);
                    return Ok(Some(Encoded::take(&mut self.frame.split_to(len))));
                }
                _ if self.frame.is_empty() => return Ok(None),
                _ => {}
            }
        }
        self.add_up_to(PREFIX);
        let Some(len) = message_len(&self.part)? else {
            return Ok(None);
        };
        self.add_up_to(PREFIX + len);
        if self.part.len() < PREFIX + len {
            return Ok(None);
        }
        let mut message = std::mem::take(&mut self.part).freeze();
        message.advance(PREFIX);
        Ok(Some(Encoded::take(&mut message)))
    }

    /// Moves bytes from the frame into the part until that has `len`.
    fn add_up_to(&mut self, len: usize) {
        let missing = len.saturating_sub(self.part.len());
        self.part.reserve(missing);
        let more = self.frame.split_to(missing.min(self.frame.len()));
        self.part.extend_from_slice(&more);
    }

    /// Takes a frame. The end, if it is that of the stream.
    fn put(&mut self, frame: Option<Result<Frame<Bytes>, Status>>) -> Option<Result<(), Status>> {
        match frame.transpose() {
            Err(status) => Some(Err(status)),
            Ok(None) if self.part.is_empty() => Some(Ok(())),
            Ok(None) => Some(Err(Status::internal("the stream ended within a message"))),
            Ok(Some(frame)) => match frame.into_data() {
                Ok(data) => {
                    self.frame = data;
                    None
                }
                Err(frame) => Some(frame.into_trailers().map_or(Ok(()), |fields| outcome(&fields))),
            },
        }
    }
}

/// How long the message is that begins here; `None` when its prefix has not come.
fn message_len(bytes: &[u8]) -> Result<Option<usize>, Status> {
    let Some(&[flag, a, b, c, d]) = bytes.first_chunk() else {
        return Ok(None);
    };
    if flag != 0 {
        return Err(Status::internal("a message is compressed, which was not agreed"));
    }
    match usize::try_from(u32::from_be_bytes([a, b, c, d])) {
        Ok(len) if len <= MAX_MESSAGE_BYTES => Ok(Some(len)),
        _ => Err(Status::out_of_range(format!(
            "a message is larger than {MAX_MESSAGE_BYTES} bytes"
        ))),
    }
}

/// What a call ended with.
pub(crate) fn outcome(fields: &HeaderMap) -> Result<(), Status> {
    match Status::from_header_map(fields) {
        Some(status) if status.code() != Code::Ok => Err(status),
        _ => Ok(()),
    }
}

impl Stream for LaneStream {
    type Item = Result<Encoded, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        while !this.is_over {
            let end = match this.take() {
                Ok(Some(message)) => return Poll::Ready(Some(Ok(message))),
                Ok(None) => {
                    let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
                    this.put(frame)
                }
                Err(status) => Some(Err(status)),
            };
            if let Some(end) = end {
                this.is_over = true;
                return Poll::Ready(end.err().map(Err));
            }
        }
        Poll::Ready(None)
    }
}

impl fmt::Debug for LaneStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneStream")
            .field("frame_len", &self.frame.len())
            .field("part_len", &self.part.len())
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use futures_util::stream;
    use http_body_util::StreamBody;

    use super::*;

    /// A message as it travels.
    pub(in crate::dispatch) fn framed(message: Vec<u8>) -> Vec<u8> {
        let len = u32::try_from(message.len()).unwrap();
        [vec![0], len.to_be_bytes().to_vec(), message].concat()
    }

    /// One whose bytes count up.
    fn counting(len: usize) -> Vec<u8> {
        framed((0..len).map(|at| at as u8).collect())
    }

    fn stream_of(frames: Vec<Result<Frame<Bytes>, Status>>) -> LaneStream {
        LaneStream::new(StreamBody::new(stream::iter(frames)))
    }

    fn cut(bytes: &[u8], size: usize) -> Vec<Result<Frame<Bytes>, Status>> {
        let pieces = bytes.chunks(size).map(Bytes::copy_from_slice);
        pieces.map(|piece| Ok(Frame::data(piece))).collect()
    }

    #[tokio::test]
    async fn messages_come_out_however_they_were_cut() {
        let lens = [0, 1, 70_000, 3, 0, 20_000, MAX_MESSAGE_BYTES];
        let bytes: Vec<u8> = lens.iter().flat_map(|len| counting(*len)).collect();
        for size in [1, 4, 5, 6, 1_000, 65_536, bytes.len()] {
            let mut stream = stream_of(cut(&bytes, size));
            for len in lens {
                let message = stream.message().await.unwrap().unwrap();
                assert_eq!(message.bytes()[..], counting(len)[PREFIX..], "{len} in {size}");
            }
            assert!(stream.message().await.unwrap().is_none());
        }
    }

    #[tokio::test]
    async fn a_large_message_of_one_frame_is_not_copied() {
        let bytes = Bytes::from(counting(40_000));
        let at = bytes[PREFIX..].as_ptr();
        let mut stream = stream_of(vec![Ok(Frame::data(bytes))]);
        let message = stream.message().await.unwrap().unwrap();
        assert_eq!(message.bytes().as_ptr(), at);
    }

    #[tokio::test]
    async fn what_is_no_message_ends_the_stream() {
        let compressed = vec![1, 0, 0, 0, 0];
        let mut too_large = vec![0];
        too_large.extend_from_slice(&u32::MAX.to_be_bytes());
        let broken = counting(10)[..12].to_vec();
        for (bytes, code) in [
            (compressed, Code::Internal),
            (too_large, Code::OutOfRange),
            (broken, Code::Internal),
        ] {
            for size in [1, bytes.len()] {
                let mut stream = stream_of(cut(&bytes, size));
                assert_eq!(stream.message().await.unwrap_err().code(), code);
                assert!(stream.message().await.unwrap().is_none());
            }
        }
    }

    #[tokio::test]
    async fn trailers_and_errors_say_how_it_ended() {
        for (number, code) in [("7", Some(Code::PermissionDenied)), ("0", None)] {
            let mut fields = HeaderMap::new();
            fields.insert("grpc-status", http::HeaderValue::from_static(number));
            let mut stream = stream_of(vec![
                Ok(Frame::data(counting(1).into())),
                Ok(Frame::trailers(fields)),
            ]);
            assert!(stream.message().await.unwrap().is_some());
            let end = stream.message().await.map(|message| message.is_some());
            match code {
                Some(code) => assert_eq!(end.unwrap_err().code(), code),
                None => assert!(!end.unwrap()),
            }
        }
        let mut stream = stream_of(vec![Err(Status::unavailable("gone"))]);
        assert_eq!(stream.message().await.unwrap_err().code(), Code::Unavailable);
    }
}
