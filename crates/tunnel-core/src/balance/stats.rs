//! How an endpoint has been doing.

use std::{
    fmt,
    sync::Mutex,
    time::{Duration, Instant},
};

use super::outlier::{Ejection, Outliers};
use crate::sync::lock;

const DEFAULT_DECAY: Duration = Duration::from_secs(10);

/// How an exchange ended, as far as it tells about the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The endpoint answered, and not that it could not.
    Success,
    /// It could not be reached, broke off, took too long, or said that it cannot (502, 503, 504, UNAVAILABLE).
    Failure,
}

/// How an endpoint has been doing: its latency, and its failures. One for the life of an endpoint, shared by whoever uses it.
pub struct Stats {
    born: Instant,
    decay: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    latency: Option<Latency>,
    ejection: Ejection,
}

#[derive(Clone, Copy, Debug)]
struct Latency {
    nanos: f64,
    at: Instant,
}

impl Stats {
    /// Those of an endpoint that has just come.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            born: now,
            decay: DEFAULT_DECAY,
            state: Mutex::default(),
        }
    }

    /// In what time the weight of an old answer falls to 1/e: 10 s unless it is set, and at least a millisecond.
    #[must_use]
    pub fn decay(mut self, time: Duration) -> Self {
        self.decay = time.max(Duration::from_millis(1));
        self
    }

    /// For how long the endpoint has been there.
    #[must_use]
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.born)
    }

    /// Takes note of the time from a request to the head of its response.
    pub fn answered(&self, latency: Duration, now: Instant) {
        #[expect(clippy::cast_precision_loss, reason = "52 bits of nanoseconds are 52 days")]
        let sample = latency.as_nanos() as f64;
        let mut state = lock(&self.state);
        let nanos = match state.latency {
            Some(old) if sample < old.nanos => {
                let keep = old.keep(now, self.decay);
                old.nanos * keep + sample * (1.0 - keep)
            }
            _ => sample,
        };
        state.latency = Some(Latency { nanos, at: now });
    }

    /// The latency to expect; `None` before the first answer. Without new answers it decays towards nothing, so that an endpoint
    /// which was slow once is tried again.
    #[must_use]
    pub fn latency(&self, now: Instant) -> Option<Duration> {
        let latency = lock(&self.state).latency?;
        Some(Duration::from_secs_f64(
            (latency.nanos * latency.keep(now, self.decay) / 1e9).max(0.0),
        ))
    }

    /// Takes note of how an exchange ended. Says whether the endpoint is ejected because of it.
    pub fn ended(&self, outcome: Outcome, now: Instant, outliers: &Outliers) -> bool {
        lock(&self.state).ejection.note(outcome, now, outliers)
    }

    /// Since when, and until when, the endpoint is ejected; `None` if it is not.
    #[must_use]
    pub fn ejected(&self, now: Instant) -> Option<(Instant, Instant)> {
        lock(&self.state).ejection.span(now)
    }
}

impl Latency {
    /// How much of it counts still.
    fn keep(self, now: Instant, decay: Duration) -> f64 {
        let age = now.saturating_duration_since(self.at);
        (-age.as_secs_f64() / decay.as_secs_f64()).exp()
    }
}

impl fmt::Debug for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stats")
            .field("state", &*lock(&self.state))
            .finish_non_exhaustive()
    }
}
