//! Scripted peers over real sockets and real gRPC.
//!
//! A [`RawAgent`] dials a real gateway, a [`RawGateway`] is dialled by a real agent. Both give each stream as a
//! [`RawStream`], which sends whatever the script says, made with the functions of [`message`], and whose `expect_`
//! functions wait for the next message and fail the test when it is another one.

mod agent;
mod gateway;
pub mod message;
mod stream;

pub use self::{
    agent::{RawAgent, RawSession, hello},
    gateway::{RawCall, RawConnection, RawGateway, RawGatewaySession, consent},
    stream::{Ended, Pace, RawStream, ReceivedRequest},
};
