//! What the admin interface answers, as JSON.
//!
//! Names are stable: fields are added, and none is renamed. Units stand in the names: `_ms` are milliseconds, `_us` microseconds,
//! `_bytes` and `bytes_` bytes; times of the clock end in `_unix_ms`. "In" is toward whoever serves, "out" toward whoever asked.
//! What is not known is `null`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A part of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// How many there are in all, after filters.
    pub total: usize,
    /// How many of them were left out before the first one here.
    pub offset: usize,
    /// The ones here.
    pub items: Vec<T>,
}

/// `GET /readyz`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Whether a request could be carried.
    pub ready: bool,
    /// Why none could; empty if one could.
    pub reasons: Vec<String>,
}

/// `GET /api/overview`: a process at a glance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// `gateway` or `agent`.
    pub role: String,
    /// The name of the process.
    pub id: String,
    /// The version of its program.
    pub version: String,
    /// When this was written.
    pub at_unix_ms: u64,
    /// For how long it has been there.
    pub uptime_ms: u64,
    /// Whether a request could be carried, and why not.
    #[serde(flatten)]
    pub readiness: Ready,
    /// Whether it leaves, or drains.
    pub leaving: bool,
    /// How many there are of what.
    pub counts: Counts,
    /// Credit that is granted now: what peers may send, and what was received and not read.
    pub credit_granted_bytes: usize,
    /// What was counted of each rule and group, those with most requests first: at most 50 in an event.
    pub traffic: Vec<Traffic>,
    /// How many such there are.
    pub traffic_total: usize,
    /// What the configuration is.
    pub config: Config,
}

/// How many there are of what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Agents by their ids; at an agent, its gateways.
    pub agents: usize,
    /// Sessions.
    pub sessions: usize,
    /// Lanes.
    pub lanes: usize,
    /// Sessions that could carry a request now.
    pub available: usize,
    /// Sessions whose other end has fallen silent.
    pub suspect: usize,
    /// Sessions that end by themselves.
    pub draining: usize,
    /// Agents that the operator gives a rest.
    pub drained: usize,
    /// Agents that have refused a configuration.
    pub refused_config: usize,
    /// Exchanges that are open in the tunnel.
    pub exchanges: usize,
    /// Groups.
    pub groups: usize,
    /// Rules.
    pub rules: usize,
    /// Upstreams.
    pub upstreams: usize,
}

/// What was counted since the process began, of one rule and who serves it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// The rule's id; empty for what no rule matched.
    pub rule: String,
    /// The group, or the upstream as `upstream:NAME`; empty for what was answered here.
    pub target: String,
    /// Requests that came.
    pub requests: u64,
    /// Exchanges that are open.
    pub open: u64,
    /// Failures of the tunnel by their cause, in the words of `x-tunnel-error`. Causes without one are left out.
    pub failures: BTreeMap<String, u64>,
    /// Ends by the class of the status: `1xx` to `5xx`, or `none` without an answer; a call of gRPC counts as what its status means in
    /// HTTP. Classes without one are left out.
    pub statuses: BTreeMap<String, u64>,
    /// Bytes of requests' bodies, and of what clients sent on upgraded streams.
    pub bytes_in: u64,
    /// Bytes of responses' bodies, and of what was sent to clients there.
    pub bytes_out: u64,
    /// How many took how long until the response's head: the number at place `n` took at least 2^n microseconds and less than 2^(n+1),
    /// that at place 0 anything below 2. Without the zeros at the end, and without exchanges that got no answer.
    pub latency_log2_us: Vec<u64>,
    /// The sum of these times.
    pub latency_sum_us: u64,
}

/// `GET /api/agents` (a [`Page`]; `?group=`, `?offset=`, `?limit=`), and `GET /api/agents/{id}`: an agent, with all of its processes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Its id.
    pub id: String,
    /// Whether it gets nothing new because the operator drains it.
    pub drained: bool,
    /// What it is about in a word: `ok`, `suspect`, `draining`, `drained`, `no_lane` or `away`. Of several sessions, the best.
    pub state: String,
    /// The groups that it serves.
    pub groups: Vec<String>,
    /// Exchanges that it has open.
    pub in_flight: usize,
    /// Its sessions, the oldest first. None for one that is drained and not there.
    pub sessions: Vec<Session>,
}

/// A session: of an agent at its gateway, or with a gateway at an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its name.
    pub id: String,
    /// The agent's process.
    pub instance: String,
    /// The address of the other end.
    pub address: Option<String>,
    /// The version of the agent's program.
    pub version: String,
    /// The name of the credentials that it showed: what `revoke` takes.
    pub credentials: String,
    /// For how long it has been there.
    pub age_ms: u64,
    /// The groups that it registered.
    pub groups: Vec<String>,
    /// The gRPC services that it registered.
    pub services: Vec<String>,
    /// The hosts that it registered.
    pub hosts: Vec<String>,
    /// Where it says that it is.
    pub zone: Option<String>,
    /// Its share of new exchanges.
    pub weight: u32,
    /// The numbers of its lanes.
    pub lanes: Vec<Lane>,
    /// As the agent's, of this session.
    pub state: String,
    /// Whether its other end has fallen silent.
    pub suspect: bool,
    /// Whether it ends by itself.
    pub draining: bool,
    /// Whether too many exchanges failed there, so that it gets fewer for a while.
    pub ejected: bool,
    /// The last round trip of a heartbeat, on a lane.
    pub round_trip_us: Option<u64>,
    /// The shortest one.
    pub round_trip_min_us: Option<u64>,
    /// Exchanges that this end has open there.
    pub in_flight: usize,
    /// Exchanges that may be open there.
    pub max_in_flight: u32,
    /// What it has made of its configuration.
    pub config: SessionConfig,
}

/// A lane of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// Its number.
    pub index: u32,
    /// Whether nothing has come on it for a heartbeat.
    pub suspect: bool,
    /// What waits there to be written.
    pub queued_bytes: usize,
}

/// What an agent has made of the configuration that its gateway pushes. Versions are numbers that grow; 0 means none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionConfig {
    /// The newest that it was sent in this session.
    pub sent: u64,
    /// The one that runs.
    pub running: u64,
    /// The one that it refused, if that is newer.
    pub refused: Option<u64>,
    /// Why, in its words.
    pub why: Option<String>,
}

/// `GET /api/exchanges` (a [`Page`], the oldest first; `?agent=`, `?rule=`, `?offset=`, `?limit=`): one that is open in the tunnel.
/// Requests for the gateway's own upstreams do not pass the tunnel; the `open` of their rules counts them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// Its `request_id`, which stands in the access logs of both ends.
    pub id: String,
    /// For how long it has been open.
    pub age_ms: u64,
    /// `http`, `grpc` or `websocket` (which any upgrade is).
    pub protocol: String,
    /// The rule that it matched; none at an agent.
    pub rule: Option<String>,
    /// The agent; at an agent, the gateway's address.
    pub agent: String,
    /// The session.
    pub session: String,
    /// The lane.
    pub lane: u32,
    /// Whether an agent asks, and not somebody outside.
    pub from_agent: bool,
    /// `waiting` for the head of the response, `answering`, or `upgraded`.
    pub state: String,
    /// Whether the request is complete.
    pub request_ended: bool,
    /// Whether the response is complete.
    pub response_ended: bool,
    /// Bytes of the request's body that have passed this end.
    pub bytes_in: u64,
    /// Bytes of the response's body.
    pub bytes_out: u64,
    /// What this end may still send before the other one has read more.
    pub credit_bytes: usize,
    /// What has come here and nobody has read yet.
    pub unread_bytes: usize,
}

/// `GET /api/groups`: agents that serve the same routes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// How many agents it has.
    pub agents: usize,
    /// Their sessions.
    pub sessions: usize,
    /// Sessions that could carry a request now and get new ones.
    pub available: usize,
    /// Sessions whose other end has fallen silent.
    pub suspect: usize,
    /// Sessions that end, or that get nothing new.
    pub draining: usize,
    /// Exchanges that its agents have open, those of their other groups included.
    pub in_flight: usize,
    /// The rules that send requests there.
    pub rules: Vec<String>,
    /// The version of the configuration that its agents are sent; 0 if there is none.
    pub config_version: u64,
}

/// `GET /api/rules`: a rule, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its id.
    pub id: String,
    /// The port that it belongs to; `agents` for what agents ask.
    pub listener: String,
    /// What it matches, for people.
    pub matches: String,
    /// `group:NAME`, `upstream:NAME`, or `direct`.
    pub target: String,
    /// Whether a request that matches could be carried now.
    pub ready: bool,
    /// What was counted; none where nobody counts.
    pub traffic: Option<Traffic>,
}

/// `GET /api/upstreams`: one that this process reaches itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// Its name.
    pub name: String,
    /// Whether it could take a request now.
    pub available: bool,
    /// Whether it gets nothing new as a whole because the operator drains it.
    pub drained: bool,
    /// Its open connections, those of health checks included.
    pub connections: usize,
    /// Its servers.
    pub endpoints: Vec<Endpoint>,
}

/// A server of an upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its address.
    pub name: String,
    /// In a word: `ok`, `unhealthy`, `ejected`, `backing_off` or `drained`.
    pub state: String,
    /// Exchanges that it has open.
    pub in_flight: usize,
    /// Its address as the file has it: a name, where `name` is one of that name's addresses.
    pub configured: String,
    /// Its share beside the others.
    pub weight: u32,
    /// Where it is.
    pub zone: Option<String>,
    /// Its open connections, without those of health checks.
    pub connections: usize,
    /// The time to the head of a response to expect, where it is measured.
    pub latency_us: Option<u64>,
}

/// `GET /api/config`: what runs, and what came of the last look at the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The file; none without one.
    pub file: Option<String>,
    /// When what runs was read.
    pub loaded_unix_ms: Option<u64>,
    /// What came of the last look at it since then, if there was one.
    pub last_reload: Option<Reload>,
    /// The newest version of what is pushed to agents (at an agent: of what runs there); 0 if there is none.
    pub pushed_version: u64,
    /// Why the newest was refused, at an agent.
    pub refused: Option<String>,
    /// Names of credentials that were revoked since the process began.
    pub revoked: Vec<String>,
}

/// `POST /api/reload`: what came of looking at the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reload {
    /// `changed`, `same` or `refused`. With `refused` nothing has changed.
    pub outcome: String,
    /// What has changed, or what is wrong.
    pub detail: String,
    /// When.
    pub at_unix_ms: u64,
}

/// `POST /api/agents/{id}/drain|resume|disconnect`, `POST /api/upstreams/{name}/drain|resume`, `POST /api/tokens/{name}/revoke`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// What was done, for people.
    pub done: String,
    /// Whether that was news.
    pub changed: bool,
    /// The sessions that it is about.
    pub sessions: usize,
    /// The exchanges that are open there.
    pub in_flight: usize,
}

/// The body of `POST /api/agents/{id}/drain`, which may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    /// After this time what is still open is cut. Without it nothing is.
    pub within_ms: Option<u64>,
}

/// `GET` and `PUT /api/log`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// What is logged: the text of a filter such as `info,tunnel_transport=debug`.
    pub filter: String,
}

/// The body of `POST /api/login`, for browsers: the answer sets a cookie.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The token.
    pub token: String,
}

/// `GET /api/gateways`, at an agent: one address of one of its gateways.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// The gateway, as the file names it.
    pub gateway: String,
    /// The address that is dialled.
    pub address: String,
    /// The process that answered there last.
    pub id: String,
    /// `connecting`, `connected`, `waiting`, `draining` or `stopped`.
    pub state: String,
    /// What went wrong last, while it waits.
    pub error: Option<String>,
    /// The session there.
    pub session: Option<Session>,
}

/// The data of each `snapshot` event of `GET /api/events`: below 100 KB, however many agents there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The process at a glance.
    pub overview: Overview,
    /// At most 50 groups, by name.
    pub groups: Vec<Group>,
    /// How many there are.
    pub groups_total: usize,
    /// At most 150 agents: first those that need a look, then those with most exchanges.
    pub agents: Vec<AgentRow>,
    /// How many there are.
    pub agents_total: usize,
    /// The 20 oldest exchanges.
    pub exchanges: Vec<Exchange>,
    /// How many there are.
    pub exchanges_total: usize,
    /// At most 50 upstreams, by name.
    pub upstreams: Vec<Upstream>,
    /// How many there are.
    pub upstreams_total: usize,
    /// The gateways, at an agent.
    pub gateways: Vec<Gateway>,
}

/// An agent in few words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRow {
    /// Its id.
    pub id: String,
    /// As [`Agent::state`].
    pub state: String,
    /// At most 8 of its groups.
    pub groups: Vec<String>,
    /// Its sessions.
    pub sessions: usize,
    /// Their lanes.
    pub lanes: usize,
    /// Exchanges that it has open.
    pub in_flight: usize,
    /// The shortest of its last round trips.
    pub round_trip_us: Option<u64>,
    /// The version of its configuration; 0 if there is none.
    pub config: u64,
    /// Whether it has refused a newer one.
    pub refused: bool,
}

/// Every answer that is an error: why, and what to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The text.
    pub error: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}
