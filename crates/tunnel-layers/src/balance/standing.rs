//! A request that waits for room.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Request;
use http_body::Body;
use tower_service::Service;
use tunnel_core::{Agents, BoxTask, Cause, Member, TunnelError, balance::Pick};

use super::{
    Lent,
    balancing::Shared,
    choose::{choose, members, no_room, routed},
    future::Again,
    line::Turn,
    retry::Retry,
};
use crate::repeat::Policy;

/// What a request in line holds: its place, and the end of its patience.
pub(super) struct Wait {
    pub(super) turn: Turn,
    pub(super) timer: BoxTask,
}

/// A request on its way, and what is kept to send it once more.
pub(super) type Sent<S, A, P, B> = (<S as Service<Request<Lent<B>>>>::Future, Again<S, A, P, B>);

/// A request in line, and what sends it when its turn has come. Dropping it leaves the line.
pub(super) struct Standing<S, A, P, B> {
    request: Option<Request<B>>,
    /// Ready.
    inner: S,
    agents: A,
    shared: Arc<Shared<P>>,
    wait: Wait,
}

impl<S, A, P, B> Standing<S, A, P, B>
where
    S: Service<Request<Lent<B>>>,
    A: Agents,
    P: Pick<Member>,
    B: Body<Data = Bytes>,
{
    pub(super) const fn new(
        request: Request<B>,
        inner: S,
        agents: A,
        shared: Arc<Shared<P>>,
        wait: Wait,
    ) -> Self {
        Self {
            request: Some(request),
            inner,
            agents,
            shared,
            wait,
        }
    }

    /// Ready when there is a place for the request, or it has waited for long enough.
    pub(super) fn poll_place(&mut self, cx: &mut Context<'_>) -> Poll<Result<Member, TunnelError>> {
        if self.wait.turn.poll_first(cx).is_ready() {
            match self.look(cx) {
                Err(error) if error.cause() == Cause::Overloaded => {}
                found => return Poll::Ready(found),
            }
        }
        self.wait.timer.as_mut().poll(cx).map(|()| Err(no_room()))
    }

    fn look(&self, cx: &Context<'_>) -> Result<Member, TunnelError> {
        // It is taken when this was ready, and nobody polls any more then.
        let request = self.request.as_ref().ok_or_else(no_room)?;
        let extensions = request.extensions();
        let members = members(&self.agents, extensions)?;
        for member in &*members {
            member.session.watch_room(cx.waker());
        }
        let balancing = self.shared.of(routed(extensions)?);
        let head = (request.headers(), extensions);
        choose(&self.agents, &members, balancing, head, &[]).cloned()
    }

    /// Sends the request to `member`. The place in line is held until that has taken it, so that nobody comes in between.
    pub(super) fn send(mut self, member: &Member) -> Option<Sent<S, A, P, B>> {
        let request = self.request.take()?;
        let policy = Policy::of(&request);
        let (request, watch, retry) = Retry::first(request, member, policy, self.agents, self.shared);
        let future = self.inner.call(request);
        Some((future, Again::new(self.inner, watch, retry)))
    }
}
