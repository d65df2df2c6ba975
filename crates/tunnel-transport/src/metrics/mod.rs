//! What gateways, agents and upstreams tell a recorder of the crate `metrics` (cargo feature `metrics`).
//!
//! Nothing is measured for single messages. What the sessions count is a [`Tally`](tunnel_core::Tally) of relaxed atomics, which is there
//! with this feature or without; a [`Reporter`] puts it, and what it finds in the registry, in lanes and in budgets, into the recorder
//! whenever it is told to: before each scrape. What is rare (round trips, connections, refusals, ejections) is told when it happens.
//!
//! | metric | kind | labels | what |
//! | --- | --- | --- | --- |
//! | `tunnel_sessions` | gauge | role, state | sessions: `serving`, `draining`, `suspect`, or `no-lane` |
//! | `tunnel_sessions_started_total` | counter | role | sessions that were opened |
//! | `tunnel_sessions_ended_total` | counter | role | sessions that have ended |
//! | `tunnel_reconnects_total` | counter | role | sessions that an agent opened with a gateway that it had had one with |
//! | `tunnel_connects_failed_total` | counter | role | an agent's attempts that came to nothing |
//! | `tunnel_lanes` | gauge | role | lanes that are open |
//! | `tunnel_queue_bytes` | gauge | role | bytes that wait in lanes to be written |
//! | `tunnel_pending_exchanges` | gauge | role | entries of the pending tables |
//! | `tunnel_session_exchanges_total` | counter | role, by | exchanges that were opened by `us` or by `them` |
//! | `tunnel_refused_exchanges_total` | counter | role | exchanges that were refused for lack of room, or because this end is stopping |
//! | `tunnel_heartbeat_round_trip_seconds` | histogram | role, stream | round trips of pings, on `control` streams and on `lane`s |
//! | `tunnel_credit_granted_bytes` | gauge | role | credit that the other ends have, or have used for what is not read |
//! | `tunnel_credit_budget_bytes` | gauge | role | the most of it |
//! | `tunnel_credit_granted_bytes_total` | counter | role | credit that was granted in all |
//! | `tunnel_credit_starved_seconds_total` | counter | role | time that senders were without credit, all of them together |
//! | `tunnel_credit_starved_exchanges` | gauge | role | senders that are without credit |
//! | `tunnel_late_messages_total` | counter | role | messages for exchanges that were over |
//! | `tunnel_resets_total` | counter | role, way, reason | resets that were `sent` and `received` |
//! | `tunnel_reader_blocked` | gauge | role | lanes whose reader waits for an exchange: always 0, since no reader ever does |
//! | `tunnel_group_sessions` | gauge | group | a gateway's sessions of a group |
//! | `tunnel_gateways` | gauge | state | an agent's gateways: `connected`, `connecting`, `waiting` |
//! | `tunnel_ready` | gauge | role | 1 while a request could be carried; of a gateway, where its admin interface has `/metrics` |
//! | `tunnel_config_version` | gauge | role, group | the version of the configuration that is pushed to a group, or runs at an agent |
//! | `tunnel_config_agents` | gauge | state | a gateway's agents that are `current`, `behind`, or have `refused` |
//! | `tunnel_config_refusals_total` | counter | role | configurations that were refused: by agents, or by this one |
//! | `tunnel_ejections_total` | counter | of | how often an upstream's `endpoint` (or an `agent`) got nothing because it failed |
//! | `tunnel_upstream_endpoints` | gauge | upstream, state | endpoints: `healthy`, `unhealthy`, `ejected`, `unreachable`, `draining` |
//! | `tunnel_upstream_connections` | gauge | upstream | connections that are open |
//! | `tunnel_upstream_pending_exchanges` | gauge | upstream | exchanges that are open, where they are counted |
//!
//! `role` is `gateway` or `agent`. Groups come from agents, within what their credentials allow; at most [`MAX_GROUPS`] are labels, and
//! the others are `other`.
//!
//! Counters that come from the tally are set as absolute values. Two gateways, or two agents, in one process would overwrite each
//! other.

mod agent;
mod gateway;
mod names;
mod sessions;
mod upstreams;

use std::{collections::BTreeSet, fmt, sync::Mutex};

use metrics::counter;
use tunnel_core::Direction;

#[cfg(feature = "admin")]
pub(crate) use self::gateway::ready;
pub use self::names::describe;
use crate::{Agent, Gateway, Upstream};

/// The most groups that have a label of their own.
pub const MAX_GROUPS: usize = 1_024;

/// The names of upstreams, and themselves.
pub type Upstreams = Vec<(String, Upstream)>;

/// Tells the recorder how things stand. Make it once the recorder is installed, and call [`report`](Self::report) before each scrape.
pub struct Reporter {
    of: Of,
    upstreams: Option<Box<dyn Fn() -> Upstreams + Send + Sync>>,
    /// Labels that were told, which have to be told when they become 0.
    seen: Mutex<Seen>,
}

enum Of {
    Gateway(Gateway),
    Agent(Agent),
}

#[derive(Default)]
struct Seen {
    groups: BTreeSet<String>,
    configs: BTreeSet<String>,
    upstreams: BTreeSet<String>,
}

impl Reporter {
    /// One for a gateway.
    #[must_use]
    pub fn gateway(gateway: Gateway) -> Self {
        Self::new(Of::Gateway(gateway))
    }

    /// One for an agent.
    #[must_use]
    pub fn agent(agent: Agent) -> Self {
        Self::new(Of::Agent(agent))
    }

    fn new(of: Of) -> Self {
        describe();
        names::begin(match of {
            Of::Gateway(_) => names::GATEWAY,
            Of::Agent(_) => names::AGENT,
        });
        Self {
            of,
            upstreams: None,
            seen: Mutex::default(),
        }
    }

    /// Tells of these upstreams as well: those of the moment, since a file that is read again may have others. Names come from
    /// the configuration.
    #[must_use]
    pub fn upstreams(mut self, upstreams: impl Fn() -> Upstreams + Send + Sync + 'static) -> Self {
        self.upstreams = Some(Box::new(upstreams));
        self
    }

    /// Tells how things stand now. It visits every session and every lane, and waits for nothing.
    pub fn report(&self) {
        let mut seen = self
            .seen
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match &self.of {
            Of::Gateway(gateway) => gateway::report(gateway, &mut seen),
            Of::Agent(agent) => agent::report(agent),
        }
        if let Some(upstreams) = &self.upstreams {
            upstreams::report(&upstreams(), &mut seen);
        }
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter").finish_non_exhaustive()
    }
}

const fn role(opens: Direction) -> &'static str {
    match opens {
        Direction::ServerToClient => names::GATEWAY,
        Direction::ClientToServer => names::AGENT,
    }
}

/// A ping was answered.
pub(crate) fn round_trip(opens: Direction, stream: &'static str, time: std::time::Duration) {
    metrics::histogram!(names::ROUND_TRIP, "role" => role(opens), "stream" => stream)
        .record(time.as_secs_f64());
}

/// A session was opened.
pub(crate) fn started(opens: Direction) {
    counter!(names::STARTED, "role" => role(opens)).increment(1);
}

/// A session has ended.
pub(crate) fn ended(opens: Direction) {
    counter!(names::ENDED, "role" => role(opens)).increment(1);
}

/// An agent has a session again.
pub(crate) fn reconnected() {
    counter!(names::RECONNECTS, "role" => names::AGENT).increment(1);
}

/// An agent has tried in vain.
pub(crate) fn failed_to_connect() {
    counter!(names::CONNECTS_FAILED, "role" => names::AGENT).increment(1);
}

/// An agent has refused a configuration, seen from one end.
pub(crate) fn config_refused(opens: Direction) {
    counter!(names::CONFIG_REFUSALS, "role" => role(opens)).increment(1);
}

/// An endpoint was ejected.
pub(crate) fn ejected() {
    counter!(names::EJECTIONS, "of" => "endpoint").increment(1);
}
