//! The reverse tunnel over gRPC: everything that knows sockets, tasks and HTTP/2.
//!
//! * [`Gateway`] takes agents' connections, and gives the [`Registry`](gateway::Registry) and the [`TunnelTransport`] to a
//!   stack of layers.
//! * [`Agent`] dials a gateway and serves any `tower::Service`.
//! * [`entry::Entry`] is the hyper server for outside traffic, [`Upstream`] the pooled client behind an agent.
//! * [`tls`] has certificates, keys and CAs for all of them (cargo feature `tls`, on by default).
//! * `otlp` sends traces to a collector (cargo feature `otel`).
