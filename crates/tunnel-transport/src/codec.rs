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

pub(crate) fn buffers() -> BufferSettings {
    BufferSettings::new(BUFFER_BYTES, YIELD_THRESHOLD)
}

#[cfg(test)]
mod tests {
    use tonic::{Code, Request, Response, Streaming, codegen::tokio_stream};

    use super::*;
    use crate::generated::{
        ConfigSyncRequest, ConfigSyncResponse, HttpBodyChunk, TunnelMessage,
        tunnel_message::Payload,
        tunnel_service_client::TunnelServiceClient,
        tunnel_service_server::{TunnelService, TunnelServiceServer},
    };

    /// Sends back what it gets.
    struct Echo;

    #[tonic::async_trait]
    impl TunnelService for Echo {
        type ControlStreamStream = Streaming<TunnelMessage>;
        type ProxyStream = Streaming<TunnelMessage>;

        async fn control_stream(
            &self,
            request: Request<Streaming<TunnelMessage>>,
        ) -> Result<Response<Self::ControlStreamStream>, Status> {
            Ok(Response::new(request.into_inner()))
        }

        async fn proxy(
            &self,
            request: Request<Streaming<TunnelMessage>>,
        ) -> Result<Response<Self::ProxyStream>, Status> {
            Ok(Response::new(request.into_inner()))
        }

        async fn config_sync(
            &self,
            _: Request<ConfigSyncRequest>,
        ) -> Result<Response<ConfigSyncResponse>, Status> {
            Err(Status::unimplemented("not here"))
        }
    }

    /// A message of `len` bytes on the wire; `len` must be large enough for three bytes of each length in it.
    fn message(len: usize) -> TunnelMessage {
        let with = |data: usize| TunnelMessage {
            payload: Some(Payload::HttpChunk(HttpBodyChunk {
                data: vec![7; data].into(),
                ..Default::default()
            })),
            ..Default::default()
        };
        let framing = with(len).encoded_len() - len;
        let message = with(len - framing);
        assert_eq!(message.encoded_len(), len);
        message
    }

    async fn echo(sent: Vec<TunnelMessage>) -> Result<Vec<TunnelMessage>, Status> {
        let server = TunnelServiceServer::new(Echo).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let mut client = TunnelServiceClient::new(server).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let mut stream = client.proxy(tokio_stream::iter(sent)).await?.into_inner();
        let mut back = Vec::new();
        while let Some(message) = stream.message().await? {
            back.push(message);
        }
        Ok(back)
    }

    #[tokio::test]
    async fn messages_of_every_size_come_through_in_order() {
        let sent: Vec<_> = [20_000, MAX_MESSAGE_BYTES, 20_000, 65_600, 32_800, 20_000]
            .map(message)
            .into();
        assert_eq!(echo(sent.clone()).await.unwrap(), sent);
    }

    #[tokio::test]
    async fn a_message_that_is_too_large_ends_the_stream() {
        let status = echo(vec![message(MAX_MESSAGE_BYTES + 1)]).await.unwrap_err();
        assert_eq!(status.code(), Code::OutOfRange);
    }
}
