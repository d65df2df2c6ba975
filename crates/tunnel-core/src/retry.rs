//! Whether a request that may have been carried out is sent once more.
//!
//! What provably never left, or was refused before anybody saw it, may always be sent again and needs no policy. This is about
//! the rest: answers that say that a server could not, and servers that were lost on the way. A rule allows that by a
//! [`RetryPolicy`]; the balancing layer carries it out for agents, and the retrying layer for a gateway's own upstreams.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use http::{Method, StatusCode};

use crate::sync::lock;

/// The most attempts that a policy may ask for, the first included: what ten servers in a row could not do, the next will not
/// do either.
pub const MAX_ATTEMPTS: u32 = 10;

/// The most of a request's body that a policy may keep to send it again, in bytes. Each exchange of its rule may hold that much.
pub const MAX_REPLAY: usize = 1024 * 1024;

/// What of a request's body is kept unless a policy says otherwise, in bytes.
pub const DEFAULT_REPLAY: usize = 64 * 1024;

/// The longest pause before a retry that a policy may ask for: nobody holds a caller for longer on the chance that it helps.
pub const MAX_BACKOFF: Duration = Duration::from_secs(10);

/// How long requests and retries count for a [`RetryBudget`], in seconds.
const WINDOW: u64 = 10;

/// When a request is sent once more although it may have been carried out.
///
/// Never after the response's head went on, never for a request that asked for an upgrade, never after the deadline, and never
/// without the whole body.
///
/// ```
/// use http::{Method, StatusCode};
/// use tunnel_core::retry::RetryPolicy;
///
/// let policy = RetryPolicy::new(3);
/// assert!(policy.allows(&Method::PUT, false) && !policy.allows(&Method::POST, false));
/// assert!(policy.wants_status(StatusCode::BAD_GATEWAY));
/// // Calls of gRPC are all POST, so that their author has to say which codes are harmless.
/// assert!(!policy.allows(&Method::POST, true));
/// assert!(policy.grpc_codes([14]).allows(&Method::POST, true));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct RetryPolicy {
    attempts: u32,
    methods: Option<Vec<Method>>,
    statuses: Vec<StatusCode>,
    grpc_codes: Vec<u32>,
    max_body: usize,
    budget: RetryBudget,
    backoff: Option<(Duration, Duration)>,
}

impl RetryPolicy {
    /// At most so many attempts, the first included (2 to [`MAX_ATTEMPTS`]; other numbers are brought into these bounds): of requests with
    /// idempotent methods (RFC 9110, section 9.2.2), after 502, 503 and 504, of no call of gRPC, with bodies of at most
    /// [`DEFAULT_REPLAY`] bytes, within the default budget.
    pub fn new(attempts: u32) -> Self {
        Self {
            attempts: attempts.clamp(2, MAX_ATTEMPTS),
            methods: None,
            statuses: vec![
                StatusCode::BAD_GATEWAY,
                StatusCode::SERVICE_UNAVAILABLE,
                StatusCode::GATEWAY_TIMEOUT,
            ],
            grpc_codes: Vec::new(),
            max_body: DEFAULT_REPLAY,
            budget: RetryBudget::default(),
            backoff: None,
        }
    }

    /// Only requests with these methods, in the place of the idempotent ones.
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = Some(methods.into_iter().collect());
        self
    }

    /// After these statuses. A server that was lost on the way counts as the status that the caller would get for that, 502.
    pub fn statuses(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.statuses = statuses.into_iter().collect();
        self
    }

    /// Calls of gRPC as well, after these codes, such as 14 (UNAVAILABLE): only for methods that may run twice. A server that was
    /// lost on the way counts as 14.
    pub fn grpc_codes(mut self, codes: impl IntoIterator<Item = u32>) -> Self {
        self.grpc_codes = codes.into_iter().collect();
        self
    }

    /// Requests with bodies of at most so many bytes, and no more than [`MAX_REPLAY`]: that much is kept until the response's head is
    /// there.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes.min(MAX_REPLAY);
        self
    }

    /// How many retries there may be beside the requests.
    pub fn budget(mut self, budget: RetryBudget) -> Self {
        self.budget = budget;
        self
    }

    /// Waits before each retry, by chance up to `first`, then up to twice as much each time, up to `cap` (full jitter; `cap` is at
    /// most [`MAX_BACKOFF`], and `first` at most `cap`). By default nothing is waited for, since another server is asked; where there is
    /// one server alone, a pause gives it time to come back.
    pub fn backoff(mut self, first: Duration, cap: Duration) -> Self {
        let cap = cap.min(MAX_BACKOFF);
        self.backoff = Some((first.min(cap), cap));
        self
    }

    /// Whether there is anything to wait for before a retry.
    #[must_use]
    pub const fn has_backoff(&self) -> bool {
        self.backoff.is_some()
    }

    /// How long to wait before the retry with this number, the first of which is 1; all bits of `random` at chance.
    #[must_use]
    pub fn pause(&self, retry: u32, random: u32) -> Duration {
        let Some((first, cap)) = self.backoff else {
            return Duration::ZERO;
        };
        let doubled = first.saturating_mul(2_u32.saturating_pow(retry.saturating_sub(1)));
        doubled.min(cap).mul_f64(f64::from(random) / f64::from(u32::MAX))
    }

    /// The most attempts, the first included.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The largest body that is kept to be sent again, in bytes.
    #[must_use]
    pub const fn body_limit(&self) -> usize {
        self.max_body
    }

    /// How many retries there may be.
    #[must_use]
    pub const fn retry_budget(&self) -> &RetryBudget {
        &self.budget
    }

    /// Whether it is for requests with this method, or for calls of gRPC.
    #[must_use]
    pub fn allows(&self, method: &Method, is_grpc: bool) -> bool {
        match &self.methods {
            _ if is_grpc => !self.grpc_codes.is_empty(),
            Some(methods) => methods.contains(method),
            None => method.is_idempotent(),
        }
    }

    /// Whether an answer with this status is worth another attempt.
    #[must_use]
    pub fn wants_status(&self, status: StatusCode) -> bool {
        self.statuses.contains(&status)
    }

    /// Whether a call of gRPC that ended with this code is worth another attempt.
    #[must_use]
    pub fn wants_grpc(&self, code: u32) -> bool {
        self.grpc_codes.contains(&code)
    }
}

/// How many retries there may be, so that servers which cannot are not buried under retries: a share of the requests of the last ten
/// seconds, and some beside that. All clones are one budget.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    percent: u32,
    per_second: u32,
    window: Arc<Mutex<Window>>,
}

impl RetryBudget {
    /// So many retries for 100 requests, and so many each second whatever the requests are.
    #[must_use]
    pub fn new(percent: u32, per_second: u32) -> Self {
        Self {
            percent,
            per_second,
            window: Arc::default(),
        }
    }

    /// Counts a request.
    pub fn note(&self, now: Instant) {
        let mut window = lock(&self.window);
        let slot = window.slot(now);
        slot.requests = slot.requests.saturating_add(1);
    }

    /// Takes a retry, if there is one left.
    #[must_use]
    pub fn take(&self, now: Instant) -> bool {
        let mut window = lock(&self.window);
        let (requests, retries) = window.sums(now);
        let most = requests * u64::from(self.percent) / 100 + u64::from(self.per_second) * WINDOW;
        if retries >= most {
            return false;
        }
        let slot = window.slot(now);
        slot.retries = slot.retries.saturating_add(1);
        true
    }
}

impl Default for RetryBudget {
    /// 20 %, and 3 each second.
    fn default() -> Self {
        Self::new(20, 3)
    }
}

/// By what they allow, not by what has been taken.
impl PartialEq for RetryBudget {
    fn eq(&self, other: &Self) -> bool {
        (self.percent, self.per_second) == (other.percent, other.per_second)
    }
}

impl Eq for RetryBudget {}

/// What happened in each of the last seconds.
#[derive(Debug, Default)]
struct Window {
    start: Option<Instant>,
    slots: [Slot; WINDOW as usize],
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    second: u64,
    requests: u32,
    retries: u32,
}

impl Window {
    fn second(&mut self, now: Instant) -> u64 {
        let start = *self.start.get_or_insert(now);
        // From one on: a slot that was never used is of second 0.
        now.saturating_duration_since(start).as_secs() + 1
    }

    fn slot(&mut self, now: Instant) -> &mut Slot {
        let second = self.second(now);
        let index = usize::try_from(second % WINDOW).unwrap_or_default();
        let slot = &mut self.slots[index];
        if slot.second != second {
            *slot = Slot {
                second,
                ..Slot::default()
            };
        }
        slot
    }

    /// Requests and retries.
    fn sums(&mut self, now: Instant) -> (u64, u64) {
        let second = self.second(now);
        let fresh = self.slots.iter().filter(|slot| slot.second + WINDOW > second);
        fresh.fold((0, 0), |(requests, retries), slot| {
            (
                requests + u64::from(slot.requests),
                retries + u64::from(slot.retries),
            )
        })
    }
}

/// The servers that a request was sent to, for who chooses among several: a retry goes to another one, if there is one. Clones are the
/// same; it travels in a request's extensions.
#[derive(Clone, Debug, Default)]
pub struct Tried(Arc<Mutex<Vec<u64>>>);

impl Tried {
    /// Takes note of a server, by a number that is its alone. More than [`MAX_ATTEMPTS`] are not remembered.
    pub fn note(&self, server: u64) {
        let mut servers = lock(&self.0);
        if servers.len() < MAX_ATTEMPTS as usize {
            servers.push(server);
        }
    }

    /// Whether it was sent there.
    #[must_use]
    pub fn has(&self, server: u64) -> bool {
        lock(&self.0).contains(&server)
    }
}

/// The time that requests count for a budget.
pub const BUDGET_WINDOW: Duration = Duration::from_secs(WINDOW);

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "any moment will do: the tests move it themselves"
    )]
    fn now() -> Instant {
        Instant::now()
    }

    fn taken(budget: &RetryBudget, now: Instant) -> usize {
        (0..1_000).take_while(|_| budget.take(now)).count()
    }

    #[test]
    fn a_budget_is_a_share_and_some_beside() {
        let start = now();
        let budget = RetryBudget::new(20, 1);
        assert_eq!(taken(&budget, start), 10);
        (0..100).for_each(|_| budget.note(start));
        assert_eq!(taken(&budget.clone(), start), 20);
        // What was taken ten seconds ago is forgotten, and so are the requests.
        assert_eq!(taken(&budget, start + Duration::from_secs(9)), 0);
        assert_eq!(taken(&budget, start + BUDGET_WINDOW), 10);
        let none = RetryBudget::new(0, 0);
        none.note(start);
        assert!(!none.take(start));
    }

    #[test]
    fn pauses_double_up_to_the_cap() {
        let ms = Duration::from_millis;
        assert!(!RetryPolicy::new(2).has_backoff());
        assert_eq!(RetryPolicy::new(2).pause(1, u32::MAX), Duration::ZERO);
        let policy = RetryPolicy::new(2).backoff(ms(25), ms(150));
        let most = [1, 2, 3, 4, 99].map(|retry| policy.pause(retry, u32::MAX));
        assert_eq!(most, [ms(25), ms(50), ms(100), ms(150), ms(150)]);
        assert_eq!(policy.pause(3, 0), Duration::ZERO);
        let half = policy.pause(3, u32::MAX / 2);
        assert!(half > ms(49) && half < ms(51), "{half:?}");
        let policy = RetryPolicy::new(2).backoff(Duration::MAX, Duration::MAX);
        assert_eq!(policy.pause(1, u32::MAX), MAX_BACKOFF);
    }

    #[test]
    fn numbers_are_brought_into_their_bounds() {
        assert_eq!(RetryPolicy::new(0).attempts(), 2);
        assert_eq!(RetryPolicy::new(99).attempts(), MAX_ATTEMPTS);
        assert_eq!(RetryPolicy::new(2).max_body(usize::MAX).body_limit(), MAX_REPLAY);
    }
}
