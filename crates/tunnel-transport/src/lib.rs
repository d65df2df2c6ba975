//! The reverse tunnel over gRPC: everything that knows sockets, tasks and HTTP/2.
//!
//! * [`Gateway`] takes agents' connections, and gives the [`Registry`](gateway::Registry) and the [`TunnelTransport`] to a
//!   stack of layers.
//! * [`Agent`] dials a gateway and serves any `tower::Service`.
//! * [`entry::Entry`] is the hyper server for outside traffic, [`Upstream`] the pooled client behind an agent.
//! * [`tls`] has certificates, keys and CAs for all of them (cargo feature `tls`, on by default).
//! * [`Dns`] knows the servers that SRV records name (cargo feature `srv`).
//! * `testing` has a whole tunnel in one process, for tests of your own (cargo feature `testing`).
//! * `otlp` sends traces to a collector (cargo feature `otel`).
//! * [`net`] has the sockets' options and the windows of every HTTP/2 connection.

#[cfg(feature = "admin")]
pub mod admin;
mod agent;
mod codec;
mod dispatch;
pub mod entry;
pub mod files;
pub mod gateway;
mod generated;
mod heartbeat;
mod host_name;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(not(feature = "metrics"))]
#[path = "no_metrics.rs"]
mod metrics;
pub mod net;
#[cfg(feature = "otel")]
pub mod otlp;
mod pb;
mod runtime;
mod service_name;
mod srv;
#[cfg(test)]
mod test_session;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tls")]
pub mod tls;
mod transport;
pub mod upstream;

pub use crate::{
    agent::{
        Agent, AgentBuilder, AgentError, AgentService, AgentToken, AgentUplinks, Backoff, GatewayStatus,
        PushedConfig, Serve as ServeAgent, ServedRequest, Status,
    },
    gateway::{AgentTokens, AllowedGroups, Gateway},
    heartbeat::Heartbeat,
    runtime::TokioRuntime,
    srv::Dns,
    transport::TunnelTransport,
    upstream::Upstream,
};

/// The wire as it is, for scripted peers, fuzzing and tools.
///
/// No stability is promised here: these are the types that the generators make of `proto/tunnel/v1/tunnel.proto`, and
/// the functions that translate them. Programs that only use the tunnel need none of it.
#[doc(hidden)]
pub mod wire {
    pub use crate::{
        codec::{MAX_CHUNK_BYTES, MAX_FIELDS, MAX_HEAD_BYTES, MAX_MESSAGE_BYTES, TunnelCodec},
        generated::*,
        pb::{DecodeError, Encoded, Limits, Parts, Writer, decode},
    };
}
