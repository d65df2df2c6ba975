//! Protocol and vocabulary of the reverse tunnel.
//!
//! An **agent** behind NAT dials a **gateway**; one agent connection is a [`Session`], and every `Proxy` stream of it
//! is a [`Lane`]. One HTTP request and its response is an **exchange**, named by a [`RequestId`]. Its two directions end
//! each by itself, and each is limited by **credit**: the bytes that the receiver has allowed.
//!
//! This crate does no I/O: it knows no runtime, no gRPC and no tower layers. Time, random bits and the spawning of tasks
//! come in through [`Runtime`].

pub mod admit;
pub mod agents;
pub mod auth;
pub mod balance;
pub mod body;
pub mod client_address;
pub mod error;
pub mod exchange;
pub mod exchange_io;
mod fifo;
pub mod flow;
pub mod grpc;
pub mod head;
pub mod id;
mod id_map;
pub mod lane;
pub mod lifetime;
pub mod limits;
pub mod message;
pub mod outgoing;
pub mod peer;
pub mod pump;
pub mod reason;
pub mod record;
pub mod retry;
pub mod route;
pub mod runtime;
pub mod session;
pub mod settings;
mod sync;
pub mod tally;
pub mod trace;
pub mod turn;
pub mod upgrade;
pub mod ws;

pub use crate::{
    admit::Canonical,
    agents::{Agents, Hosts, Hub, Member, Services, Uplinks},
    auth::{AgentCaller, Authenticator, Principal, TlsIdentity},
    body::{BodyLoan, Chunked, TunnelBody},
    client_address::ClientAddress,
    error::{AsTunnelError, BoxError, Cause, Initiator, Sent, TunnelError},
    exchange::{ExchangePhase, ExchangeStatus, RecvHalf, SendClosed, SendHalf},
    exchange_io::{ExchangeRequest, ExchangeResponse},
    flow::CreditBudget,
    head::{Protocol, RequestHead, ResponseHead},
    id::{AgentId, GroupName, InstanceId, LaneKey, RequestId, SessionId, TraceId},
    lane::Lane,
    lifetime::Lifetime,
    limits::{Limit, Limits, Rate},
    message::{Direction, End, Payload, TunnelMessage},
    outgoing::{Enqueue, Outgoing},
    peer::PeerInfo,
    pump::{Pump, Start},
    reason::ResetReason,
    record::{Brief, Found, Notes, Record, Recorded},
    retry::{RetryBudget, RetryPolicy},
    route::{Access, MatchedRule, Routed, Target, Timeouts},
    runtime::{BoxTask, Runtime},
    session::{Accepted, LaneGuard, Session, SessionConfig},
    settings::{Features, Settings},
    tally::{Tallied, Tally},
    ws::WsFrame,
};
