//! Upstreams that the process reaches itself.

use super::view;
use crate::{Upstream, upstream::EndpointState};

/// Whether it has an endpoint that takes requests. Before its names are looked up it has none, and nobody knows better than to try.
pub(super) fn is_available(upstream: &Upstream) -> bool {
    let endpoints = upstream.endpoints();
    endpoints.is_empty() || endpoints.iter().any(|endpoint| state(endpoint) == OK)
}

const OK: &str = "ok";

fn state(endpoint: &EndpointState) -> &'static str {
    match () {
        () if endpoint.is_draining => "drained",
        () if !endpoint.is_healthy => "unhealthy",
        () if endpoint.is_ejected => "ejected",
        () if endpoint.is_backing_off => "backing_off",
        () => OK,
    }
}

pub(super) fn list(upstreams: &[(String, Upstream)]) -> Vec<view::Upstream> {
    let view = |(name, upstream): &(String, Upstream)| view::Upstream {
        name: name.clone(),
        available: is_available(upstream),
        drained: upstream.is_draining(),
        connections: upstream.connections(),
        endpoints: upstream.endpoints().iter().map(endpoint).collect(),
    };
    upstreams.iter().map(view).collect()
}

fn endpoint(state_of: &EndpointState) -> view::Endpoint {
    view::Endpoint {
        name: state_of.name.clone(),
        state: state(state_of).to_owned(),
        in_flight: state_of.pending,
        configured: state_of.configured.clone(),
        weight: state_of.weight,
        zone: state_of.zone.clone(),
        connections: state_of.connections,
        latency_us: state_of.latency.map(super::sessions::micros),
    }
}
