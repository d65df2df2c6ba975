//! Protocol and vocabulary of the reverse tunnel.
//!
//! An **agent** behind NAT dials a **gateway**; one agent connection is a [`Session`], and every `Proxy` stream of it
//! is a [`Lane`]. One HTTP request and its response is an **exchange**, named by a [`RequestId`]. Its two directions end
//! each by itself, and each is limited by **credit**: the bytes that the receiver has allowed.
//!
//! This crate does no I/O: it knows no runtime, no gRPC and no tower layers. Time, random bits and the spawning of tasks
//! come in through [`Runtime`].

pub mod admit;
pub mod error;
pub mod head;
pub mod id;
pub mod lifetime;
pub mod message;
pub mod peer;
pub mod reason;
pub mod route;
pub mod runtime;

pub use crate::{
    admit::Canonical,
    error::{BoxError, Cause, Initiator, Sent, TunnelError},
    head::{Protocol, RequestHead, ResponseHead},
    id::{AgentId, GroupName, InstanceId, LaneKey, RequestId, SessionId},
    lifetime::Lifetime,
    message::{Direction, End, Payload, TunnelMessage},
    peer::PeerInfo,
    reason::ResetReason,
    route::{Routed, Target, Timeouts},
    runtime::{BoxTask, Runtime},
};
