//! What an agent knows, as it is told.

use tunnel_core::Session;

use super::{
    gateway::{not_ready, ready},
    hooks::Hooks,
    sessions::{self, State},
    view,
};
use crate::{Agent, GatewayStatus, Status};

/// The addresses of its gateways, in the order in which they were found.
pub(super) fn gateways(agent: &Agent) -> Vec<view::Gateway> {
    let status = agent.gateways();
    status.iter().map(|gateway| view_of(agent, gateway)).collect()
}

fn view_of(agent: &Agent, gateway: &GatewayStatus) -> view::Gateway {
    let (state, error, session) = match &gateway.status {
        Status::Connecting => ("connecting", None, None),
        Status::Connected(session) => ("connected", None, Some(session)),
        Status::Waiting { error, .. } => ("waiting", Some(error.to_string()), None),
        Status::Draining => ("draining", None, None),
        Status::Stopped => ("stopped", None, None),
    };
    view::Gateway {
        gateway: gateway.gateway.to_string(),
        address: gateway.address.to_string(),
        id: gateway.gateway_id.clone(),
        state: state.to_owned(),
        error,
        session: session.map(|session| session_of(agent, session, gateway)),
    }
}

fn session_of(agent: &Agent, session: &Session, gateway: &GatewayStatus) -> view::Session {
    let (groups, services, hosts) = agent.registers();
    view::Session {
        address: Some(gateway.address.to_string()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        groups,
        services,
        hosts,
        zone: agent.zone().map(str::to_owned),
        weight: agent.weight(),
        // What the gateway opens is what flows here; what this end opens are the agent's own calls.
        in_flight: session.pending(),
        max_in_flight: session.local_settings().max_exchanges,
        config: pushed(agent),
        ..sessions::common(session, State::of(session, false))
    }
}

/// What was pushed, by whichever gateway.
fn pushed(agent: &Agent) -> view::SessionConfig {
    let (refused, why) = agent.refused_config().unzip();
    view::SessionConfig {
        running: agent.config_version().unwrap_or(0),
        refused,
        why,
        ..view::SessionConfig::default()
    }
}

/// The open exchanges, of all gateways.
pub(super) fn exchanges(agent: &Agent, page: (usize, usize)) -> view::Page<view::Exchange> {
    let gateways = agent.gateways().into_iter();
    let sessions: Vec<_> = gateways
        .filter_map(|gateway| match gateway.status {
            Status::Connected(session) => Some((session, gateway.address.to_string())),
            _ => None,
        })
        .collect();
    sessions::oldest(&sessions, None, page, false)
}

pub(super) fn is_leaving(agent: &Agent) -> bool {
    matches!(&*agent.status().borrow(), Status::Draining | Status::Stopped)
}

/// Whether a request could be carried: it is connected to a gateway, and does not drain.
pub(super) fn readiness(agent: &Agent) -> view::Ready {
    match () {
        () if is_leaving(agent) => not_ready(["the agent is stopping".to_owned()]),
        () if agent.is_ready() => ready(),
        () => {
            let gateways = gateways(agent);
            let reason = |gateway: &view::Gateway| match (&gateway.error, &gateway.session) {
                (Some(error), _) => format!("{}: {error}", gateway.gateway),
                (None, Some(session)) => format!("{}: connected, and {}", gateway.gateway, session.state),
                (None, None) => format!("{}: {}", gateway.gateway, gateway.state),
            };
            match gateways.is_empty() {
                true => not_ready(["no gateway has been found yet".to_owned()]),
                false => not_ready(gateways.iter().map(reason)),
            }
        }
    }
}

/// The configuration, with what the agent knows of it.
pub(super) fn config(agent: &Agent, hooks: &Hooks) -> view::Config {
    view::Config {
        pushed_version: agent.config_version().unwrap_or(0),
        refused: agent
            .refused_config()
            .map(|(version, why)| format!("version {version}: {why}")),
        ..hooks.config()
    }
}
