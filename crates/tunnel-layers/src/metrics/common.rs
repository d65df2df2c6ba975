//! What is counted without regard to rule and agent.

use metrics::{Counter, counter};
use tunnel_core::Cause;

use super::names;

/// The limits that are told apart.
const LIMITS: [(Cause, &str); 4] = [
    (Cause::RateLimited, "rate"),
    (Cause::Overloaded, "concurrency"),
    (Cause::Deadline, "deadline"),
    (Cause::BodyIdle, "body-idle"),
];

/// Made before the first exchange, so that what never happened is 0 and not absent.
pub(super) struct Common {
    retries: Counter,
    limits: [Counter; LIMITS.len()],
}

impl Common {
    pub(super) fn new(role: &'static str) -> Self {
        Self {
            retries: counter!(names::RETRIES.name, "role" => role),
            limits: LIMITS.map(|(_, limit)| counter!(names::LIMITS.name, "role" => role, "limit" => limit)),
        }
    }

    /// An exchange has ended after so many retries, for this reason if it failed.
    pub(super) fn ended(&self, retries: u32, cause: Option<Cause>) {
        if retries > 0 {
            self.retries.increment(retries.into());
        }
        if let Some(cause) = cause
            && let Some(place) = LIMITS.iter().position(|(limit, _)| *limit == cause)
        {
            self.limits[place].increment(1);
        }
    }
}
