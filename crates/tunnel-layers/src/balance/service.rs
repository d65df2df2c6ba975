use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;
use tunnel_core::{
    Agents, AsTunnelError, Cause, Initiator, Member, Routed, Sent, Session, SessionId, Target, TunnelError,
    admit::Canonical,
};

use super::{Lent, Pick, ResponseFuture, future::Retry};
use crate::{admission, reject::ResponseBody};

/// Chooses a session for each request; see the [module](super).
#[derive(Clone, Debug)]
pub struct Balance<S, A, P> {
    pub(super) inner: S,
    pub(super) agents: A,
    pub(super) pick: P,
}

wraps_inner!(Balance<S, A, P>);

impl<S, A, P, B, RB> Service<Request<B>> for Balance<S, A, P>
where
    S: Service<Request<Lent<B>>, Response = Response<RB>> + Clone,
    S::Error: AsTunnelError,
    A: Agents,
    P: Pick,
    B: Body<Data = Bytes>,
{
    type Response = Response<ResponseBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, P, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (caller, admitted) = admission::meet(&mut request);
        if let Err(error) = admitted {
            return ResponseFuture::rejected(caller, error);
        }
        let members = match members(&self.agents, &request) {
            Ok(members) => members,
            Err(error) => return ResponseFuture::rejected(caller, error),
        };
        let session = match choose(&members, &self.pick, &[]) {
            Ok(session) => session,
            Err(error) => return ResponseFuture::rejected(caller, error),
        };
        // Alone in its group, a session needs no copy of the head: there is nobody else to try.
        if members.len() == 1 {
            request.extensions_mut().insert(session);
            let future = self.inner.call(request.map(Lent::owned));
            return ResponseFuture::new(caller, future, None);
        }
        let (parts, body) = request.into_parts();
        let (body, loan) = Lent::lend(body);
        // The clone may not be ready; this one is.
        let spare = self.inner.clone();
        let mut ready = mem::replace(&mut self.inner, spare);
        let id = session.id();
        let mut request = Request::from_parts(parts.clone(), body);
        request.extensions_mut().insert(session);
        let future = ready.call(request);
        let retry = Retry::new(parts, loan, members, self.pick.clone(), id);
        ResponseFuture::new(caller, future, Some((ready, retry)))
    }
}

/// Who may serve an admitted request.
fn members<B>(agents: &impl Agents, request: &Request<B>) -> Result<Arc<[Member]>, TunnelError> {
    let Routed {
        target,
        registered_host,
        ..
    } = routed(request)?;
    match target {
        Target::Group(group) if *registered_host => {
            let canonical = request.extensions().get::<Canonical>();
            Ok(agents.members_with_host(group, canonical.map_or("", Canonical::host)))
        }
        Target::Group(group) => Ok(agents.members(group)),
        Target::Upstream(_) => Err(TunnelError::internal(
            "the request goes to an upstream, not to a group: put the split for upstreams outside BalanceLayer",
        )),
    }
}

fn routed<B>(request: &Request<B>) -> Result<&Routed, TunnelError> {
    request.extensions().get::<Routed>().ok_or_else(|| {
        TunnelError::internal(
            "nobody has said which group the request goes to: put RouteLayer, or a layer that inserts Routed, outside \
             BalanceLayer",
        )
    })
}

/// A session that can take a request and has not been tried.
pub(super) fn choose<P: Pick>(
    members: &Arc<[Member]>,
    pick: &P,
    tried: &[SessionId],
) -> Result<Session, TunnelError> {
    let available = || members.iter().filter(|member| member.session.is_available());
    let can_take = |member: &&Member| member.session.has_room() && !tried.contains(&member.session.id());
    let found = match &**members {
        [_] => available().find(can_take),
        _ => {
            let candidates: Vec<_> = available().filter(can_take).collect();
            let index = match candidates.len() {
                0 | 1 => 0,
                _ => pick.pick(&candidates),
            };
            candidates.get(index).or(candidates.last()).copied()
        }
    };
    match found {
        Some(member) => Ok(member.session.clone()),
        None if available().next().is_some() => Err(no_room()),
        None => Err(no_agent()),
    }
}

fn no_agent() -> TunnelError {
    TunnelError::new(Cause::NoAgent, Initiator::Tunnel, "no healthy agent").with_sent(Sent::No)
}

fn no_room() -> TunnelError {
    let text = "every agent of the group has as many exchanges as it takes";
    TunnelError::new(Cause::Overloaded, Initiator::Tunnel, text).with_sent(Sent::No)
}
