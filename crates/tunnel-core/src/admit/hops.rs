//! How often a request has been here: what ends a circle of agents, gateways and upstreams.
//!
//! An agent's request may come back to the agent: by a rule that sends it to the agent's own group, and by an upstream of it that is
//! the agent's own listener. Nobody on the way can see that but by what the request says of itself, so it says how often it has been
//! admitted since it first came from an agent. `Via` (RFC 9110, section 7.6.3) would say it too, but servers change their answers
//! because of it, and it would grow by an entry at each hop.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{fault::Fault, found::Found, policy::Policy};
use crate::error::Cause;

/// The field that says how often a request has been admitted, this time included, since it first came from an agent. Others
/// have none. It goes on to upstreams; what passes it on is then known again when it comes back.
pub const HOPS_HEADER: HeaderName = HeaderName::from_static("x-tunnel-hops");

/// The most times that a request may be admitted that came from an agent, unless a policy says otherwise: more than any chain that
/// somebody has built on purpose, and few enough that a circle costs nothing.
pub const DEFAULT_MAX_HOPS: u32 = 8;

/// What the field has to say from here on; none for a request that is neither an agent's nor was one.
pub(super) fn check(
    headers: &HeaderMap,
    found: Found,
    is_agents: bool,
    policy: &Policy,
) -> Result<Option<u32>, Fault> {
    if !is_agents && !found.has(Found::HOPS) {
        return Ok(None);
    }
    let hops = before(headers)?.saturating_add(1);
    if hops > policy.max_hops {
        return Err(Fault::new(
            Cause::Loop,
            "the request goes round in a circle: it has come from an agent to a gateway, or by a listener, too often",
        ));
    }
    Ok(Some(hops))
}

/// Writes what [`check`] has found.
pub(super) fn apply(headers: &mut HeaderMap, hops: Option<u32>) {
    if let Some(hops) = hops {
        headers.insert(HOPS_HEADER, HeaderValue::from(hops));
    }
}

fn before(headers: &HeaderMap) -> Result<u32, Fault> {
    let mut values = headers.get_all(HOPS_HEADER).iter();
    let Some(value) = values.next() else { return Ok(0) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    match (number, values.next()) {
        (Some(number), None) => Ok(number),
        _ => Err(Fault::malformed("`x-tunnel-hops` is not one number")),
    }
}
