//! What a rule's [`RetryPolicy`] means for a request: whoever sends it again asks here.

use std::{sync::Arc, time::Instant};

use http::{Extensions, Request, Response, StatusCode};
use tunnel_core::{
    BoxTask, Cause, Initiator, Protocol, RetryPolicy, Routed, Runtime, TunnelError, admit::UpgradeRequest,
    route::Deadline,
};

use crate::{
    lent::{Loan, MAX_REPLAY_BYTES},
    reject,
};

/// The code of gRPC for a server that cannot (`google.rpc.Code`).
pub(crate) const UNAVAILABLE: u32 = 14;

/// What the request's rule allows, if it is for this request.
pub(crate) struct Policy {
    rule: Arc<RetryPolicy>,
    is_grpc: bool,
}

impl Policy {
    /// The policy for this request. A request for an upgrade has none: what was switched cannot be played again.
    pub(crate) fn of<B>(request: &Request<B>) -> Option<Self> {
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

    pub(crate) fn wants_answer<B>(&self, response: &Response<B>) -> bool {
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

    pub(crate) fn wants_error(&self, error: &TunnelError) -> bool {
        let is_far = match error.cause() {
            Cause::AgentLost | Cause::Upstream | Cause::NoEndpoint => true,
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

    /// How much of a body is kept.
    pub(crate) fn replay_limit(&self) -> usize {
        self.rule.body_limit().max(MAX_REPLAY_BYTES)
    }

    /// The most attempts.
    pub(crate) fn attempts(&self) -> usize {
        self.rule.attempts() as usize
    }

    /// Counts a request that may be sent again.
    pub(crate) fn note(&self, now: Instant) {
        self.rule.retry_budget().note(now);
    }

    /// Whether a request that was tried so often can be tried once more.
    pub(crate) fn can<B>(&self, tried: usize, loan: &Loan<B>) -> bool {
        tried < self.attempts() && loan.can_renew(self.rule.body_limit())
    }

    /// Takes one more attempt, after so many, from the budget, if there is one left and the deadline leaves time for it; with what
    /// ends when its time has come, if it has to wait for that.
    pub(crate) fn take(
        &self,
        tried: usize,
        extensions: &Extensions,
        runtime: &dyn Runtime,
    ) -> Option<Option<BoxTask>> {
        let now = runtime.now();
        let pause = self.rule.has_backoff().then(|| {
            let [a, b, c, d, ..] = runtime.random();
            let retry = u32::try_from(tried).unwrap_or(u32::MAX);
            now + self.rule.pause(retry, u32::from_be_bytes([a, b, c, d]))
        });
        let deadline = extensions.get().map(|deadline: &Deadline| deadline.0);
        if deadline.is_some_and(|deadline| deadline <= pause.unwrap_or(now)) {
            return None;
        }
        let taken = self.rule.retry_budget().take(now);
        taken.then(|| pause.map(|until| runtime.sleep_until(until)))
    }
}

/// The status of a call that ended with its head.
pub(crate) fn grpc_status<B>(response: &Response<B>) -> Option<u32> {
    response.headers().get("grpc-status")?.to_str().ok()?.parse().ok()
}
