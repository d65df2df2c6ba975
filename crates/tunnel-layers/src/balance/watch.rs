//! What an attempt tells about the agent that got it.

use std::{sync::Arc, time::Instant};

use http::{Response, StatusCode};
use tunnel_core::{
    Cause, Initiator, Member, Session, TunnelError,
    balance::{Outcome, Outliers, Stats},
};

use crate::repeat::{UNAVAILABLE, grpc_status};

/// One attempt, until it is known how it went. Dropping it takes note of the time that was waited in vain, if that was long.
pub(super) struct Watch {
    session: Session,
    stats: Arc<Stats>,
    outliers: Option<Outliers>,
    /// None once it is known, or where nobody wants to know it.
    since: Option<Instant>,
}

impl Watch {
    /// None where nobody wants to know how an attempt goes.
    pub(super) fn new(member: &Member, wants_latency: bool, outliers: Option<&Outliers>) -> Option<Self> {
        (wants_latency || outliers.is_some()).then(|| Self {
            since: wants_latency.then(|| member.session.runtime().now()),
            session: member.session.clone(),
            stats: member.stats.clone(),
            outliers: outliers.copied(),
        })
    }

    /// The head of the response is there.
    pub(super) fn answered<B>(mut self, response: &Response<B>) {
        let now = self.now();
        if let Some(since) = self.since.take() {
            self.stats.answered(now.saturating_duration_since(since), now);
        }
        let failed = match response.status() {
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => true,
            _ => grpc_status(response) == Some(UNAVAILABLE),
        };
        self.ended(
            if failed {
                Outcome::Failure
            } else {
                Outcome::Success
            },
            now,
        );
    }

    /// There will be no response. What neither the agent nor its upstream did tells nothing about them.
    pub(super) fn failed(mut self, error: &TunnelError) {
        self.since = None;
        let is_lost = matches!(
            error.cause(),
            Cause::AgentLost | Cause::Upstream | Cause::NoEndpoint
        );
        if is_lost || (error.cause() == Cause::Protocol && error.initiator() == Initiator::Peer) {
            self.ended(Outcome::Failure, self.now());
        }
    }

    fn ended(&self, outcome: Outcome, now: Instant) {
        if let Some(outliers) = &self.outliers
            && self.stats.ended(outcome, now, outliers)
        {
            #[cfg(feature = "metrics")]
            crate::metrics::ejected();
        }
    }

    fn now(&self) -> Instant {
        self.session.runtime().now()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(since) = self.since else { return };
        let now = self.now();
        let waited = now.saturating_duration_since(since);
        if self.stats.latency(now).is_some_and(|latency| waited > latency) {
            self.stats.answered(waited, now);
        }
    }
}
