//! What is kept of a request to send it once more.

use std::sync::Arc;

use http::{Extensions, Request, Response, request::Parts};
use tunnel_core::{Agents, BoxTask, Member, Sent, SessionId, TunnelError, balance::Pick};

use super::{
    Lent, MAX_REPLAY_BYTES, MAX_RETRIES,
    balancing::Shared,
    choose::{choose, members, routed},
    watch::Watch,
};
use crate::{lent::Loan, repeat::Policy};

/// A request that may be sent to somebody else.
pub(super) struct Retry<A, P, B> {
    parts: Parts,
    loan: Loan<B>,
    agents: A,
    shared: Arc<Shared<P>>,
    tried: Vec<SessionId>,
    policy: Option<Policy>,
}

/// The next attempt: the request, who observes it, and what is kept for one more.
pub(super) type Next<A, P, B> = (Request<Lent<B>>, Option<Watch>, Option<Retry<A, P, B>>);

/// One that may have to wait for its time.
pub(super) type Later<A, P, B> = (Option<BoxTask>, Next<A, P, B>);

impl<A: Agents, P: Pick<Member>, B> Retry<A, P, B> {
    /// The first attempt, at `member`.
    pub(super) fn first(
        request: Request<B>,
        member: &Member,
        policy: Option<Policy>,
        agents: A,
        shared: Arc<Shared<P>>,
    ) -> Next<A, P, B> {
        let watch = watch(&shared, request.extensions(), member);
        let limit = match &policy {
            Some(policy) => {
                policy.note(member.session.runtime().now());
                policy.replay_limit()
            }
            None => MAX_REPLAY_BYTES,
        };
        let (parts, body) = request.into_parts();
        let (body, loan) = Lent::lend(body, limit);
        let mut request = Request::from_parts(parts.clone(), body);
        request.extensions_mut().insert(member.session.clone());
        let retry = Self {
            parts,
            loan,
            agents,
            shared,
            tried: vec![member.session.id()],
            policy,
        };
        (request, watch, Some(retry))
    }

    /// Another attempt after this answer, if the rule wants one and it can be made.
    pub(super) fn after_answer<RB>(self, response: &Response<RB>) -> Option<Later<A, P, B>> {
        let policy = self.policy.as_ref()?;
        if policy.wants_answer(response) {
            self.by_policy()
        } else {
            None
        }
    }

    /// Another attempt after this failure: where nothing had been sent always, else if the rule wants one.
    pub(super) fn after_error(self, error: &TunnelError) -> Option<Later<A, P, B>> {
        if error.sent() != Sent::Yes
            && self.tried.len() <= MAX_RETRIES
            && let Some(member) = self.choose(&self.tried)
        {
            return Some((None, self.go(&member)?));
        }
        let policy = self.policy.as_ref()?;
        if policy.wants_error(error) {
            self.by_policy()
        } else {
            None
        }
    }

    fn by_policy(self) -> Option<Later<A, P, B>> {
        let policy = self.policy.as_ref()?;
        if !policy.can(self.tried.len(), &self.loan) {
            return None;
        }
        // Somebody else, or, if there is nobody, the same once more.
        let member = self.choose(&self.tried).or_else(|| self.choose(&[]))?;
        let runtime = member.session.runtime();
        let pause = policy.take(self.tried.len(), &self.parts.extensions, &**runtime)?;
        Some((pause, self.go(&member)?))
    }

    fn choose(&self, tried: &[SessionId]) -> Option<Member> {
        let extensions = &self.parts.extensions;
        let members = members(&self.agents, extensions).ok()?;
        let routed = routed(extensions).ok()?;
        let head = (&self.parts.headers, extensions);
        choose(&self.agents, &members, self.shared.of(routed), head, tried)
            .ok()
            .cloned()
    }

    fn go(mut self, member: &Member) -> Option<Next<A, P, B>> {
        let (body, loan) = self.loan.renew()?;
        let watch = watch(&self.shared, &self.parts.extensions, member);
        self.tried.push(member.session.id());
        let most = self.policy.as_ref().map_or(0, Policy::attempts);
        let is_last = self.tried.len() > MAX_RETRIES && self.tried.len() >= most;
        let (parts, retry) = if is_last {
            (self.parts, None)
        } else {
            (self.parts.clone(), Some(Self { loan, ..self }))
        };
        let mut request = Request::from_parts(parts, body);
        request.extensions_mut().insert(member.session.clone());
        Some((request, watch, retry))
    }
}

/// Who takes note of how an attempt goes, if anybody wants to know.
fn watch<P: Pick<Member>>(shared: &Shared<P>, extensions: &Extensions, member: &Member) -> Option<Watch> {
    let balancer = &shared.of(routed(extensions).ok()?).balancer;
    Watch::new(member, balancer.policy().wants_latency(), balancer.when_ejected())
}
