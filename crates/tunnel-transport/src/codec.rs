//! How messages become bytes on a gRPC stream, and how large they may be.

use std::{fmt, marker::PhantomData};

use prost::Message;
use tonic::{
    Status,
    codec::{BufferSettings, Codec, EncodeBuf, Encoder},
};
use tonic_prost::ProstDecoder;

/// The most body bytes that a peer may ask for in one message. Larger pieces gain nothing (their buffers grow while they
/// are read), and a small message waits behind each.
pub const MAX_CHUNK_BYTES: usize = 64 * 1024;

/// The highest limit for a head, and for trailers, that a peer may ask for. HTTP/2 peers seldom take more.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;

/// The highest limit for the fields of a head, and of trailers, that a peer may ask for.
pub const MAX_FIELDS: usize = 512;

/// What a message may need beside body bytes, head and trailers: its other fields, and what framing each header costs
/// above the 4 bytes that are counted for it (8 more at most, for every field of head and trailers).
const ENVELOPE_BYTES: usize = 16 * 1024;

/// The most bytes that a message may have on the wire: the largest head, chunk and trailers, and an envelope. A decoder
/// refuses more, and tonic then ends the stream; so everything that the limits allow must fit.
pub const MAX_MESSAGE_BYTES: usize = MAX_CHUNK_BYTES + 2 * MAX_HEAD_BYTES + ENVELOPE_BYTES;

/// How many encoded bytes are handed to HTTP/2 at once: up to here, small messages that are ready together share one
/// DATA frame. (One frame per message makes a quarter of the messages per second, and h2 ends connections that carry
/// too many small frames.)
const YIELD_THRESHOLD: usize = 32 * 1024;

/// The buffer of each direction of a stream: a largest chunk behind an almost full batch, and the envelopes, so that it
/// does not grow. Pages of it that are never used cost no memory.
const BUFFER_BYTES: usize = YIELD_THRESHOLD + MAX_CHUNK_BYTES + ENVELOPE_BYTES;

/// The codec of the tunnel's streams: protobuf, with buffers for chunks of a body.
pub struct TunnelCodec<T, U>(PhantomData<fn(T) -> U>);

impl<T, U> Default for TunnelCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Clone for TunnelCodec<T, U> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<T, U> fmt::Debug for TunnelCodec<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TunnelCodec")
    }
}

impl<T, U> Codec for TunnelCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = TunnelEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        TunnelEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(buffers())
    }
}

/// The encoding half of a [`TunnelCodec`].
pub struct TunnelEncoder<T>(PhantomData<fn(T)>);

impl<T> fmt::Debug for TunnelEncoder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TunnelEncoder")
    }
}

impl<T: Message> Encoder for TunnelEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        // Room once, instead of growing field by field.
        buf.reserve(item.encoded_len());
        item.encode(buf)
            .map_err(|_| Status::internal("no room in the buffer for an encoded message"))
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}

fn buffers() -> BufferSettings {
    BufferSettings::new(BUFFER_BYTES, YIELD_THRESHOLD)
}
