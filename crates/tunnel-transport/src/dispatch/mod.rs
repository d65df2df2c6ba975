//! What drives a `Proxy` stream: a task that reads, and a stream of messages that gRPC takes from.
//!
//! Either of them ending ends the lane, and the exchanges on it.

mod codec;
mod control;
mod reader;
mod setup;
mod stream;
mod writer;

/// The path of the call that opens a lane.
pub(crate) const PROXY: &str = "/tunnel.v1.TunnelService/Proxy";

pub(crate) use self::{
    codec::{LaneCodec, ToLane},
    control::{ControlStream, Event, Replies, channel},
    reader::{LaneReader, OnAccept},
    setup::{REVISION, control, session_settings, wire_settings},
    stream::{LaneStream, outcome},
    writer::{Control, LaneWriter, Messages, Opened},
};
