//! What an agent tells.

use metrics::gauge;

use super::{
    names,
    sessions::{self, set},
};
use crate::{Agent, Status};

pub(super) fn report(agent: &Agent) {
    sessions::report(names::AGENT, &agent.sessions(), agent.tally(), &agent.credit());
    set(names::READY, names::AGENT, usize::from(agent.is_ready()));
    let mut states = [("connected", 0_usize), ("connecting", 0), ("waiting", 0)];
    for gateway in agent.gateways() {
        let place = match gateway.status {
            Status::Connected(_) => 0,
            Status::Waiting { .. } => 2,
            _ => 1,
        };
        states[place].1 += 1;
    }
    for (state, count) in states {
        gauge!(names::GATEWAYS, "state" => state).set(count as f64);
    }
    if let Some(version) = agent.config_version() {
        gauge!(names::CONFIG_VERSION, "role" => names::AGENT, "group" => "").set(version as f64);
    }
}
