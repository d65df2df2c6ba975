//! What upstreams tell.

use metrics::gauge;

use super::{Seen, Upstreams, names};
use crate::upstream::EndpointState;

const STATES: [&str; 5] = ["healthy", "unhealthy", "ejected", "unreachable", "draining"];

pub(super) fn report(upstreams: &Upstreams, seen: &mut Seen) {
    seen.upstreams
        .extend(upstreams.iter().map(|(name, _)| name.clone()));
    for name in &seen.upstreams {
        let upstream = upstreams.iter().find(|(other, _)| other == name);
        let endpoints = upstream.map_or_else(Vec::new, |(_, upstream)| upstream.endpoints());
        let connections = upstream.map_or(0, |(_, upstream)| upstream.connections());
        for (place, state) in STATES.into_iter().enumerate() {
            let count = endpoints
                .iter()
                .filter(|endpoint| state_of(endpoint) == place)
                .count();
            let name = name.clone();
            gauge!(names::ENDPOINTS, "upstream" => name, "state" => state).set(count as f64);
        }
        let pending: usize = endpoints.iter().map(|endpoint| endpoint.pending).sum();
        gauge!(names::CONNECTIONS, "upstream" => name.clone()).set(connections as f64);
        gauge!(names::UPSTREAM_PENDING, "upstream" => name.clone()).set(pending as f64);
    }
}

/// The place of an endpoint's state among them all.
const fn state_of(endpoint: &EndpointState) -> usize {
    if endpoint.is_draining {
        4
    } else if !endpoint.is_healthy {
        1
    } else if endpoint.is_ejected {
        2
    } else if endpoint.is_backing_off {
        3
    } else {
        0
    }
}
