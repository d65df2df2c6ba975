//! What drives a `Proxy` stream: a task that reads, and a stream of messages that gRPC takes from.
//!
//! Either of them ending ends the lane, and the exchanges on it.

mod control;
mod reader;
mod setup;
mod writer;

pub(crate) use self::{
    control::{ControlStream, Event, channel},
    reader::{LaneReader, OnAccept},
    setup::{REVISION, control, session_settings, wire_settings},
    writer::{Control, LaneWriter, Messages, Opened},
};
