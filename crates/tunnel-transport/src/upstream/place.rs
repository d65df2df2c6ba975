//! What one exchange tells of the endpoint that it went to.

use http::{HeaderMap, StatusCode};
use tokio::time::Instant;
use tunnel_core::{
    Cause, TunnelError,
    balance::{Endpoint as _, Outcome, Outliers},
};

use crate::upstream::node::Member;

/// The field that says how a call of gRPC ended.
const GRPC_STATUS: &str = "grpc-status";

/// UNAVAILABLE of gRPC.
const UNAVAILABLE: &[u8] = b"14";

/// An exchange that an endpoint has open, until this is dropped.
pub(super) struct Place {
    member: Member,
    /// None where nobody looks at the latency.
    began: Option<Instant>,
    outliers: Option<Outliers>,
    /// What its head says, which may be worse than how it ends.
    has_failed: bool,
}

impl Place {
    pub(super) fn new(member: Member, outliers: Option<Outliers>) -> Self {
        member.begin();
        Self {
            member,
            began: Some(Instant::now()),
            outliers,
            has_failed: false,
        }
    }

    /// One at an endpoint that is the only one: it is counted, and nothing else.
    pub(super) fn unmeasured(member: Member) -> Self {
        member.begin();
        Self {
            member,
            began: None,
            outliers: None,
            has_failed: false,
        }
    }

    pub(super) fn member(&self) -> &Member {
        &self.member
    }

    /// The head of the response came.
    pub(super) fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        let Some(began) = self.began else { return };
        let now = Instant::now();
        self.member.stats().answered(now - began, now.into_std());
        self.has_failed = matches!(
            status,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
        );
        self.look_at(headers);
    }

    /// So did trailers, or what stands in their place.
    pub(super) fn look_at(&mut self, headers: &HeaderMap) {
        let status = headers.get(GRPC_STATUS);
        self.has_failed |= status.is_some_and(|status| status.as_bytes() == UNAVAILABLE);
    }

    /// The response is complete.
    pub(super) fn finish(self) {
        let outcome = if self.has_failed {
            Outcome::Failure
        } else {
            Outcome::Success
        };
        self.note(outcome);
    }

    /// There will be no response, or no more of it.
    pub(super) fn fail(self, error: &TunnelError) {
        if error.cause() == Cause::Upstream {
            self.note(Outcome::Failure);
        }
    }

    fn note(&self, outcome: Outcome) {
        if let Some(outliers) = &self.outliers {
            let now = Instant::now().into_std();
            if self.member.stats().ended(outcome, now, outliers) {
                crate::metrics::ejected();
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.member.end();
    }
}
