//! Who may serve a request, and who of them does.

use std::sync::Arc;

use http::{Extensions, HeaderMap, Request};
use tunnel_core::{
    Agents, Cause, GroupName, Initiator, Member, Routed, Sent, SessionId, Target, TunnelError,
    admit::Canonical,
    balance::{Choice, Pick},
};

use super::{Balancing, balancing::Shared, standing::Wait};

/// Where an admitted request goes.
pub(super) fn routed(extensions: &Extensions) -> Result<(&Routed, &GroupName), TunnelError> {
    let routed: &Routed = extensions.get().ok_or_else(|| {
        TunnelError::internal(
            "nobody has said which group the request goes to: put RouteLayer, or a layer that inserts Routed, outside \
             BalanceLayer",
        )
    })?;
    match &routed.target {
        Target::Group(group) => Ok((routed, group)),
        Target::Upstream(_) => Err(TunnelError::internal(
            "the request goes to an upstream, not to a group: put the split for upstreams outside BalanceLayer",
        )),
    }
}

/// The host that the agents must have registered, if they must.
fn registered_host<'a>(routed: &Routed, extensions: &'a Extensions) -> Option<&'a str> {
    let host = || extensions.get().map_or("", Canonical::host);
    routed.registered_host.then(host)
}

/// Who may serve an admitted request.
pub(super) fn members(agents: &impl Agents, extensions: &Extensions) -> Result<Arc<[Member]>, TunnelError> {
    let (routed, group) = routed(extensions)?;
    Ok(match registered_host(routed, extensions) {
        Some(host) => agents.members_with_host(group, host),
        None => agents.members(group),
    })
}

/// What happens to a request that has just come.
pub(super) enum Placed {
    /// It goes there; whether there is nobody else.
    At(Member, bool),
    /// It waits for room.
    InLine(Wait),
}

/// Finds a place for an admitted request, behind those that wait for one.
pub(super) fn place<P: Pick<Member>, B>(
    agents: &impl Agents,
    shared: &Shared<P>,
    request: &Request<B>,
) -> Result<Placed, TunnelError> {
    let extensions = request.extensions();
    let (routed, group) = routed(extensions)?;
    let host = registered_host(routed, extensions);
    let members = match host {
        Some(host) => agents.members_with_host(group, host),
        None => agents.members(group),
    };
    let balancing = shared.of((routed, group));
    let waits = !balancing.wait.is_zero();
    let key = || (group.clone(), host.map(Box::from));
    if !(waits && shared.lines.is_waited_for(key)) {
        match choose(agents, &members, balancing, (request.headers(), extensions), &[]) {
            Ok(member) => return Ok(Placed::At(member.clone(), members.len() == 1)),
            Err(error) if waits && error.cause() == Cause::Overloaded => {}
            Err(error) => return Err(error),
        }
    }
    let runtime = members.first().ok_or_else(|| agents.nobody())?.session.runtime();
    let turn = shared.lines.join(key(), balancing.max_waiting);
    Ok(Placed::InLine(Wait {
        turn: turn.ok_or_else(no_room)?,
        timer: runtime.sleep_until(runtime.now() + balancing.wait),
    }))
}

/// One that can take a request and has not been tried. Suspects get nothing while somebody else can take it.
pub(super) fn choose<'m, P: Pick<Member>>(
    agents: &impl Agents,
    members: &'m [Member],
    balancing: &Balancing<P>,
    (headers, extensions): (&HeaderMap, &Extensions),
    tried: &[SessionId],
) -> Result<&'m Member, TunnelError> {
    let can = |member: &Member| member.session.has_room() && !tried.contains(&member.session.id());
    let found = match members {
        [] => None,
        [only] => can(only).then_some(only),
        [first, ..] => {
            let key = balancing
                .key
                .as_ref()
                .and_then(|key| key.hash(headers, extensions));
            let now = first.session.runtime().now();
            let choice = Choice { now, key };
            let is_trusted = |member: &Member| !member.session.is_suspect() && can(member);
            let balancer = &balancing.balancer;
            let trusted = balancer.choose(members.iter(), is_trusted, &choice);
            trusted.or_else(|| balancer.choose(members.iter(), can, &choice))
        }
    };
    found.ok_or_else(|| {
        if members.iter().any(|member| member.session.is_available()) {
            no_room()
        } else {
            agents.nobody()
        }
    })
}

pub(super) fn no_room() -> TunnelError {
    let text = "every agent of the group has as many exchanges as it takes";
    TunnelError::new(Cause::Overloaded, Initiator::Tunnel, text).with_sent(Sent::No)
}
