//! What the metrics are called.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

pub(super) const EXCHANGES: &str = "tunnel_exchanges_total";
pub(super) const FAILURES: &str = "tunnel_exchange_failures_total";
pub(super) const OPEN: &str = "tunnel_exchanges_open";
pub(super) const RECEIVED: &str = "tunnel_exchange_received_bytes_total";
pub(super) const SENT: &str = "tunnel_exchange_sent_bytes_total";
pub(super) const DURATION: &str = "tunnel_exchange_duration_seconds";
pub(super) const FIRST_BYTE: &str = "tunnel_exchange_first_byte_seconds";
pub(super) const AGENT_EXCHANGES: &str = "tunnel_agent_exchanges_total";
pub(super) const AGENT_OPEN: &str = "tunnel_agent_exchanges_open";
pub(super) const AGENT_RECEIVED: &str = "tunnel_agent_received_bytes_total";
pub(super) const AGENT_SENT: &str = "tunnel_agent_sent_bytes_total";
pub(super) const AGENT_DURATION: &str = "tunnel_agent_exchange_duration_seconds";
pub(super) const AGENT_FIRST_BYTE: &str = "tunnel_agent_exchange_first_byte_seconds";

pub(super) const RETRIES: &str = "tunnel_retries_total";
pub(super) const LIMITS: &str = "tunnel_limits_hit_total";
const EJECTIONS: &str = "tunnel_ejections_total";

/// An agent gets nothing for a while. It is rare, so nothing is kept for it.
#[cfg(feature = "balance")]
pub(crate) fn ejected() {
    metrics::counter!(EJECTIONS, "of" => "agent").increment(1);
}

/// Tells the recorder of this moment what the metrics of this module mean. The layer does so itself before its first exchange; a
/// recorder that is installed later has to be told.
pub fn describe() {
    describe_counter!(
        EXCHANGES,
        "Exchanges that have ended, by the class of their status, or by the grpc-status of a call."
    );
    describe_counter!(
        FAILURES,
        "Exchanges that failed in the tunnel or were given up, by the word of x-tunnel-error."
    );
    describe_gauge!(OPEN, "Exchanges that have not ended.");
    describe_counter!(
        RECEIVED,
        Unit::Bytes,
        "Bytes of requests' bodies, and of what clients sent on upgraded streams."
    );
    describe_counter!(
        SENT,
        Unit::Bytes,
        "Bytes of responses' bodies, and of what was sent to clients on upgraded streams."
    );
    describe_histogram!(
        DURATION,
        Unit::Seconds,
        "From the request's head to the end of the exchange."
    );
    describe_histogram!(
        FIRST_BYTE,
        Unit::Seconds,
        "From the request's head to the response's head."
    );
    describe_counter!(
        RETRIES,
        "How often requests were sent into the tunnel, or to an upstream, once more."
    );
    describe_counter!(LIMITS, "Exchanges that were refused or ended by a limit.");
    describe_counter!(
        EJECTIONS,
        "How often an agent or an endpoint got nothing for a while because it failed."
    );
    describe_counter!(
        AGENT_EXCHANGES,
        "Exchanges of an agent that have ended, by what they came to."
    );
    describe_gauge!(AGENT_OPEN, "Exchanges of an agent that have not ended.");
    describe_counter!(
        AGENT_RECEIVED,
        Unit::Bytes,
        "Bytes that an agent's exchanges received from clients."
    );
    describe_counter!(
        AGENT_SENT,
        Unit::Bytes,
        "Bytes that an agent's exchanges sent to clients."
    );
    describe_histogram!(
        AGENT_DURATION,
        Unit::Seconds,
        "From the request's head to the end of an agent's exchange."
    );
    describe_histogram!(
        AGENT_FIRST_BYTE,
        Unit::Seconds,
        "From the request's head to the head of an agent's response."
    );
}
