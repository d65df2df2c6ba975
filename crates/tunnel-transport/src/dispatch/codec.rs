//! The codec of lanes: the messages of exchanges are written from the core's types, and read where they are used.

use std::convert::Infallible;

use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};
use tunnel_core::{Direction, TunnelMessage};

use crate::{
    codec::{TunnelCodec, TunnelEncoder, buffers},
    generated as pb,
    pb::Writer,
};

/// What is written on a lane.
#[derive(Debug)]
pub(crate) enum ToLane {
    /// The message that opens the lane. Boxed, because it is far larger than the others, of which there are many.
    SetUp(Box<pb::TunnelMessage>),
    /// A message of an exchange, or about the lane.
    Message(TunnelMessage),
}

/// The codec of a lane, for what is written. What comes is read by a [`LaneStream`](super::LaneStream), and decoded by who knows the limits
/// of the session.
#[derive(Debug)]
pub(crate) struct LaneCodec {
    /// The direction of the exchanges that this end opens.
    opens: Direction,
}

impl LaneCodec {
    pub(crate) const fn new(opens: Direction) -> Self {
        Self { opens }
    }
}

impl Codec for LaneCodec {
    type Encode = ToLane;
    type Decode = Infallible;
    type Encoder = LaneEncoder;
    type Decoder = NoDecoder;

    fn encoder(&mut self) -> LaneEncoder {
        LaneEncoder {
            opens: self.opens,
            writer: Writer::default(),
            set_up: TunnelCodec::<_, pb::TunnelMessage>::default().encoder(),
        }
    }

    fn decoder(&mut self) -> NoDecoder {
        NoDecoder
    }
}

#[derive(Debug)]
pub(crate) struct LaneEncoder {
    opens: Direction,
    writer: Writer,
    set_up: TunnelEncoder<pb::TunnelMessage>,
}

impl Encoder for LaneEncoder {
    type Item = ToLane;
    type Error = Status;

    fn encode(&mut self, item: ToLane, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        match item {
            ToLane::SetUp(message) => self.set_up.encode(*message, buf),
            ToLane::Message(message) => {
                let parts = self.writer.encode(&message, self.opens);
                buf.reserve(parts.len());
                parts.put(buf);
                Ok(())
            }
        }
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}

/// Decodes nothing: a server's codec must have a decoder, for a request that has no body here.
#[derive(Debug)]
pub(crate) struct NoDecoder;

impl Decoder for NoDecoder {
    type Item = Infallible;
    type Error = Status;

    fn decode(&mut self, _: &mut DecodeBuf<'_>) -> Result<Option<Infallible>, Status> {
        Err(Status::internal("messages of a lane are read elsewhere"))
    }
}
