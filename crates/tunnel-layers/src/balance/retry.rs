//! What is kept of a request to send it once more.

use std::{sync::Arc, time::Instant};

use http::{Extensions, Request, Response, StatusCode, request::Parts};
use tunnel_core::{
    Agents, Cause, Initiator, Member, Protocol, RetryPolicy, Routed, Sent, SessionId, TunnelError,
    admit::UpgradeRequest, balance::Pick, route::Deadline,
};

use super::{
    Lent, MAX_REPLAY_BYTES, MAX_RETRIES,
    balancing::Shared,
    body::Loan,
    choose::{choose, members, routed},
    watch::{UNAVAILABLE, Watch, grpc_status},
};
use crate::reject;

/// A request that may be sent to somebody else.
pub(super) struct Retry<A, P, B> {
    parts: Parts,
    loan: Loan<B>,
    agents: A,
    shared: Arc<Shared<P>>,
    tried: Vec<SessionId>,
    policy: Option<Policy>,
}

/// What the request's rule allows, if it is for this request.
pub(super) struct Policy {
    rule: Arc<RetryPolicy>,
    is_grpc: bool,
}

impl Policy {
    /// The policy for this request. A request for an upgrade has none: what was switched cannot be played again.
    pub(super) fn of<B>(request: &Request<B>) -> Option<Self> {
        let rule = request.extensions().get::<Routed>()?.retry.as_ref()?;
        if request.extensions().get::<UpgradeRequest>().is_some() {
            return None;
        }
        let is_grpc = Protocol::of(request.headers()) == Protocol::Grpc;
        rule.allows(request.method(), is_grpc).then(|| Self {
            rule: rule.clone(),
            is_grpc,
        })
    }

    fn wants_answer<B>(&self, response: &Response<B>) -> bool {
        if !self.is_grpc {
            return self.rule.wants_status(response.status());
        }
        // Without a status of its own, the code is that of "HTTP to gRPC Status Code Mapping".
        let code = match response.status() {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Some(UNAVAILABLE),
            _ => None,
        };
        let code = grpc_status(response).or(code);
        code.is_some_and(|code| self.rule.wants_grpc(code))
    }

    fn wants_error(&self, error: &TunnelError) -> bool {
        let is_far = match error.cause() {
            Cause::AgentLost | Cause::Upstream => true,
            Cause::Protocol => error.initiator() == Initiator::Peer,
            _ => false,
        };
        is_far
            && if self.is_grpc {
                self.rule.wants_grpc(reject::grpc_code(error.cause()))
            } else {
                self.rule.wants_status(reject::status(error.cause()))
            }
    }
}

/// The next attempt: the request, who observes it, and what is kept for one more.
pub(super) type Next<A, P, B> = (Request<Lent<B>>, Option<Watch>, Option<Retry<A, P, B>>);

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
                policy.rule.retry_budget().note(member.session.runtime().now());
                policy.rule.body_limit().max(MAX_REPLAY_BYTES)
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
    pub(super) fn after_answer<RB>(self, response: &Response<RB>) -> Option<Next<A, P, B>> {
        let policy = self.policy.as_ref()?;
        if policy.wants_answer(response) {
            self.by_policy()
        } else {
            None
        }
    }

    /// Another attempt after this failure: where nothing had been sent always, else if the rule wants one.
    pub(super) fn after_error(self, error: &TunnelError) -> Option<Next<A, P, B>> {
        if error.sent() != Sent::Yes
            && self.tried.len() <= MAX_RETRIES
            && let Some(member) = self.choose(&self.tried)
        {
            return self.go(&member);
        }
        let policy = self.policy.as_ref()?;
        if policy.wants_error(error) {
            self.by_policy()
        } else {
            None
        }
    }

    fn by_policy(self) -> Option<Next<A, P, B>> {
        let Policy { rule, .. } = self.policy.as_ref()?;
        if self.tried.len() >= rule.attempts() as usize || !self.loan.can_renew(rule.body_limit()) {
            return None;
        }
        // Somebody else, or, if there is nobody, the same once more.
        let member = self.choose(&self.tried).or_else(|| self.choose(&[]))?;
        let now = member.session.runtime().now();
        if self.deadline().is_some_and(|deadline| deadline <= now) || !rule.retry_budget().take(now) {
            return None;
        }
        self.go(&member)
    }

    fn deadline(&self) -> Option<Instant> {
        self.parts.extensions.get().map(|deadline: &Deadline| deadline.0)
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
        let most = self
            .policy
            .as_ref()
            .map_or(0, |policy| policy.rule.attempts() as usize);
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
