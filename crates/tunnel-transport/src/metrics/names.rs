//! What the metrics are called, and mean.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram};

pub(super) const GATEWAY: &str = "gateway";
pub(super) const AGENT: &str = "agent";

pub(super) const SESSIONS: &str = "tunnel_sessions";
pub(super) const STARTED: &str = "tunnel_sessions_started_total";
pub(super) const ENDED: &str = "tunnel_sessions_ended_total";
pub(super) const RECONNECTS: &str = "tunnel_reconnects_total";
pub(super) const CONNECTS_FAILED: &str = "tunnel_connects_failed_total";
pub(super) const LANES: &str = "tunnel_lanes";
pub(super) const QUEUE: &str = "tunnel_queue_bytes";
pub(super) const PENDING: &str = "tunnel_pending_exchanges";
pub(super) const OPENED: &str = "tunnel_session_exchanges_total";
pub(super) const REFUSED: &str = "tunnel_refused_exchanges_total";
pub(super) const ROUND_TRIP: &str = "tunnel_heartbeat_round_trip_seconds";
pub(super) const CREDIT: &str = "tunnel_credit_granted_bytes";
pub(super) const BUDGET: &str = "tunnel_credit_budget_bytes";
pub(super) const GRANTED: &str = "tunnel_credit_granted_bytes_total";
pub(super) const STARVED: &str = "tunnel_credit_starved_seconds_total";
pub(super) const STARVED_NOW: &str = "tunnel_credit_starved_exchanges";
pub(super) const LATE: &str = "tunnel_late_messages_total";
pub(super) const RESETS: &str = "tunnel_resets_total";
pub(super) const BLOCKED: &str = "tunnel_reader_blocked";
pub(super) const GROUP_SESSIONS: &str = "tunnel_group_sessions";
pub(super) const GATEWAYS: &str = "tunnel_gateways";
pub(super) const READY: &str = "tunnel_ready";
pub(super) const CONFIG_VERSION: &str = "tunnel_config_version";
pub(super) const CONFIG_AGENTS: &str = "tunnel_config_agents";
pub(super) const CONFIG_REFUSALS: &str = "tunnel_config_refusals_total";
pub(super) const EJECTIONS: &str = "tunnel_ejections_total";
pub(super) const ENDPOINTS: &str = "tunnel_upstream_endpoints";
pub(super) const CONNECTIONS: &str = "tunnel_upstream_connections";
pub(super) const UPSTREAM_PENDING: &str = "tunnel_upstream_pending_exchanges";

/// Tells the recorder of this moment what the metrics of this module mean. A [`Reporter`](super::Reporter) does so when it is made.
pub fn describe() {
    of_sessions();
    of_credit();
    of_fleets();
}

fn of_sessions() {
    describe_gauge!(SESSIONS, "Sessions by their state.");
    describe_counter!(STARTED, "Sessions that were opened.");
    describe_counter!(ENDED, "Sessions that have ended.");
    describe_counter!(
        RECONNECTS,
        "Sessions that an agent opened where it had had one before."
    );
    describe_counter!(
        CONNECTS_FAILED,
        "An agent's attempts to connect that came to nothing."
    );
    describe_gauge!(LANES, "Lanes that are open.");
    describe_gauge!(QUEUE, Unit::Bytes, "Bytes that wait in lanes to be written.");
    describe_gauge!(PENDING, "Entries of the pending tables.");
    describe_counter!(OPENED, "Exchanges that were opened, by us or by them.");
    describe_counter!(
        REFUSED,
        "Exchanges that were refused for lack of room, or because this end is stopping."
    );
    describe_histogram!(ROUND_TRIP, Unit::Seconds, "Round trips of pings.");
    describe_counter!(LATE, "Messages for exchanges that were over.");
    describe_counter!(RESETS, "Resets that were sent and received, by reason.");
    describe_gauge!(
        BLOCKED,
        "Lanes whose reader waits for an exchange: always 0, since no reader ever does."
    );
}

fn of_credit() {
    describe_gauge!(
        CREDIT,
        Unit::Bytes,
        "Credit that the other ends have, or have used for what is not read."
    );
    describe_gauge!(
        BUDGET,
        Unit::Bytes,
        "The most credit that may be granted at a time."
    );
    describe_counter!(GRANTED, Unit::Bytes, "Credit that was granted in all.");
    describe_counter!(
        STARVED,
        Unit::Seconds,
        "Time that senders were without credit, all of them together."
    );
    describe_gauge!(STARVED_NOW, "Senders that are without credit.");
}

fn of_fleets() {
    describe_gauge!(GROUP_SESSIONS, "Sessions of a group.");
    describe_gauge!(GATEWAYS, "An agent's gateways by their state.");
    describe_gauge!(READY, "1 while a request could be carried.");
    describe_gauge!(
        CONFIG_VERSION,
        "The version of the configuration that is pushed to a group, or runs at an agent."
    );
    describe_gauge!(
        CONFIG_AGENTS,
        "Agents by what they have made of the configurations that were pushed."
    );
    describe_counter!(CONFIG_REFUSALS, "Configurations that agents have refused.");
    describe_counter!(
        EJECTIONS,
        "How often an agent or an endpoint got nothing for a while because it failed."
    );
    describe_gauge!(ENDPOINTS, "Endpoints of an upstream by their state.");
    describe_gauge!(CONNECTIONS, "Connections of an upstream that are open.");
    describe_gauge!(
        UPSTREAM_PENDING,
        "Exchanges of an upstream that are open, where they are counted."
    );
}

/// Counters of what may never happen, so that they are 0 and not absent.
pub(super) fn begin(role: &'static str) {
    for name in [STARTED, ENDED, CONFIG_REFUSALS] {
        counter!(name, "role" => role).increment(0);
    }
    if role == AGENT {
        for name in [RECONNECTS, CONNECTS_FAILED] {
            counter!(name, "role" => role).increment(0);
        }
    }
    for of in ["agent", "endpoint"] {
        counter!(EJECTIONS, "of" => of).increment(0);
    }
}
