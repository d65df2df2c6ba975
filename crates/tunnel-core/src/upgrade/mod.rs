//! Exchanges that switch to another protocol: the contract between layers and services, and what carries it out.
//!
//! # The contract
//!
//! Wherever a request and its response travel as `http` messages, an exchange that was upgraded is an ordinary pair of them, and
//! its two **bodies are the two directions of the byte stream**, as they would be on a connection of HTTP/1.1 after the 101.
//!
//! * The request has an [`UpgradeRequest`](crate::admit::UpgradeRequest) in its extensions, and neither `Connection` nor `Upgrade`
//!   among its fields. Its body is pending until the 101 has gone to the client; then it is what the client sends. It ends
//!   where the client closes its direction, and fails where the client breaks off.
//! * A response that grants it has the status 101, the field `upgrade`, and [`Switched`] in its extensions. Its body is what the
//!   server sends. Any other response is an ordinary refusal with an ordinary body, and the request's body is dropped.
//!
//! An agent's service [claims](StreamClaim) the request's body, which is empty for everybody else.
//!
//! A 101 without [`Switched`] comes from a service that speaks another contract, and whoever gets it answers 502.
//!
//! # Who does what
//!
//! Whoever holds a connection that was upgraded makes a [`ByteStream`] of it and [splits](split) it: the [`StreamBody`] is what the
//! other end of the connection sends, and a [`Relay`] copies the opposite body to the [`StreamWriter`], until both directions
//! have ended. A [`DeferredBody`] stands for a stream that is not there yet.

mod accept;
mod claim;
mod deferred;
#[cfg(test)]
mod fixture;
mod pong;
mod relay;
mod state;
mod stopping;
mod stream;

pub use self::{
    accept::{accept_key, handshake_key},
    claim::StreamClaim,
    deferred::{DeferredBody, DeferredSlot},
    relay::{Kind, Relay},
    stopping::Stopping,
    stream::{ByteStream, StreamBody, StreamWriter, split},
};

/// Says that the body of the response with this in its extensions is the server's direction of an upgraded stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switched;

/// Says that whoever takes the connection behind the response with this in its extensions closes its direction before it drops it,
/// unless the stream broke off, as [`Relay`] does.
///
/// A server that finds it may then let a mere drop look like a failure to the client. Without it, a drop must look like an
/// end: an app that has said good-bye drops its connection as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relayed;
