//! What the metrics are called, and what they mean.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// A metric of this module.
#[derive(Clone, Copy)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
}

impl Metric {
    const fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help }
    }
}

pub(super) const EXCHANGES: Metric = Metric::new(
    "tunnel_exchanges_total",
    "Exchanges that have ended, by the class of their status, or by the grpc-status of a call.",
);
pub(super) const FAILURES: Metric = Metric::new(
    "tunnel_exchange_failures_total",
    "Exchanges that failed in the tunnel or were given up, by the word of x-tunnel-error.",
);
pub(super) const OPEN: Metric = Metric::new("tunnel_exchanges_open", "Exchanges that have not ended.");
pub(super) const RECEIVED: Metric = Metric::new(
    "tunnel_exchange_received_bytes_total",
    "Bytes of requests' bodies, and of what clients sent on upgraded streams.",
);
pub(super) const SENT: Metric = Metric::new(
    "tunnel_exchange_sent_bytes_total",
    "Bytes of responses' bodies, and of what was sent to clients on upgraded streams.",
);
pub(super) const DURATION: Metric = Metric::new(
    "tunnel_exchange_duration_seconds",
    "From the request's head to the end of the exchange.",
);
pub(super) const FIRST_BYTE: Metric = Metric::new(
    "tunnel_exchange_first_byte_seconds",
    "From the request's head to the response's head.",
);
pub(super) const AGENT_EXCHANGES: Metric = Metric::new(
    "tunnel_agent_exchanges_total",
    "Exchanges of an agent that have ended, by what they came to.",
);
pub(super) const AGENT_OPEN: Metric = Metric::new(
    "tunnel_agent_exchanges_open",
    "Exchanges of an agent that have not ended.",
);
pub(super) const AGENT_RECEIVED: Metric = Metric::new(
    "tunnel_agent_received_bytes_total",
    "Bytes that an agent's exchanges received from clients.",
);
pub(super) const AGENT_SENT: Metric = Metric::new(
    "tunnel_agent_sent_bytes_total",
    "Bytes that an agent's exchanges sent to clients.",
);
pub(super) const AGENT_DURATION: Metric = Metric::new(
    "tunnel_agent_exchange_duration_seconds",
    "From the request's head to the end of an agent's exchange.",
);
pub(super) const AGENT_FIRST_BYTE: Metric = Metric::new(
    "tunnel_agent_exchange_first_byte_seconds",
    "From the request's head to the head of an agent's response.",
);
pub(super) const RETRIES: Metric = Metric::new(
    "tunnel_retries_total",
    "How often requests were sent into the tunnel, or to an upstream, once more.",
);
pub(super) const LIMITS: Metric = Metric::new(
    "tunnel_limits_hit_total",
    "Exchanges that were refused or ended by a limit.",
);
const EJECTIONS: Metric = Metric::new(
    "tunnel_ejections_total",
    "How often an agent or an endpoint got nothing for a while because it failed.",
);

/// An agent gets nothing for a while. It is rare, so nothing is kept for it.
#[cfg(feature = "balance")]
pub(crate) fn ejected() {
    metrics::counter!(EJECTIONS.name, "of" => "agent").increment(1);
}

/// Tells the recorder of this moment what the metrics of this module mean. The layer does so itself before its first exchange; a
/// recorder that is installed later has to be told.
pub fn describe() {
    for Metric { name, help } in [EXCHANGES, FAILURES, RETRIES, LIMITS, EJECTIONS, AGENT_EXCHANGES] {
        describe_counter!(name, help);
    }
    for Metric { name, help } in [RECEIVED, SENT, AGENT_RECEIVED, AGENT_SENT] {
        describe_counter!(name, Unit::Bytes, help);
    }
    for Metric { name, help } in [OPEN, AGENT_OPEN] {
        describe_gauge!(name, help);
    }
    for Metric { name, help } in [DURATION, FIRST_BYTE, AGENT_DURATION, AGENT_FIRST_BYTE] {
        describe_histogram!(name, Unit::Seconds, help);
    }
}
