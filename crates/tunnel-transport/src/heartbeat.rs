//! Whether the other end of a stream is still there.

use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

/// How often a stream is asked, and how long its silence is borne.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Between two pings. At least 10 ms.
    pub interval: Duration,
    /// Silence after which the stream is lost. At least one interval.
    pub timeout: Duration,
}

impl Heartbeat {
    /// A ping each 5 s, and 20 s of silence: a dead peer is suspected within 10 s, and noticed within 25 s.
    pub const DEFAULT: Self = Self {
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(20),
    };

    pub(crate) fn clamped(self) -> Self {
        let interval = self
            .interval
            .clamp(Duration::from_millis(10), Duration::from_secs(3_600));
        Self {
            interval,
            timeout: self.timeout.max(interval),
        }
    }
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What follows from a tick.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Send a ping with this number.
    Ping(u64),
    /// The peer has been silent for too long.
    Lost,
}

/// Counts the silence of one stream.
#[derive(Debug)]
pub(crate) struct Pulse {
    ticks: Interval,
    heartbeat: Heartbeat,
    heard: bool,
    silent: Duration,
    asked: Option<(u64, Instant)>,
    next: u64,
}

impl Pulse {
    pub(crate) fn new(heartbeat: Heartbeat) -> Self {
        let mut ticks = interval(heartbeat.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            ticks,
            heartbeat,
            heard: true,
            silent: Duration::ZERO,
            asked: None,
            next: 0,
        }
    }

    /// Notes that something came, and tells whether that ends a suspicion.
    pub(crate) fn heard(&mut self) -> bool {
        self.heard = true;
        !std::mem::take(&mut self.silent).is_zero()
    }

    /// Whether nothing came during the last interval.
    pub(crate) fn is_suspect(&self) -> bool {
        !self.silent.is_zero()
    }

    /// Notes the answer to a ping, and says how long it took.
    pub(crate) fn on_pong(&mut self, nonce: u64) -> Option<Duration> {
        let (asked, at) = self.asked.take()?;
        (asked == nonce).then(|| at.elapsed())
    }

    /// The next thing to do. Cancel safe.
    pub(crate) async fn beat(&mut self) -> Beat {
        poll_fn(|cx| self.poll_beat(cx)).await
    }

    /// The next thing to do.
    pub(crate) fn poll_beat(&mut self, cx: &mut Context<'_>) -> Poll<Beat> {
        ready!(self.ticks.poll_tick(cx));
        if std::mem::take(&mut self.heard) {
            self.silent = Duration::ZERO;
        } else {
            self.silent += self.heartbeat.interval;
        }
        if self.silent >= self.heartbeat.timeout {
            return Poll::Ready(Beat::Lost);
        }
        self.next += 1;
        self.asked = Some((self.next, Instant::now()));
        Poll::Ready(Beat::Ping(self.next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Heartbeat = Heartbeat {
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(3),
    };

    #[tokio::test(start_paused = true)]
    async fn silence_is_borne_for_the_timeout_and_no_longer() {
        let mut pulse = Pulse::new(FAST);
        let start = Instant::now();
        let mut pings = 0;
        while pulse.beat().await != Beat::Lost {
            pings += 1;
        }
        assert_eq!((pings, start.elapsed()), (3, Duration::from_secs(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn anything_heard_is_life() {
        let mut pulse = Pulse::new(FAST);
        for _ in 0..10 {
            assert_ne!(pulse.beat().await, Beat::Lost);
            assert!(!pulse.heard());
        }
        pulse.beat().await;
        assert!(!pulse.is_suspect());
        pulse.beat().await;
        assert!(pulse.is_suspect());
        assert!(pulse.heard() && !pulse.is_suspect() && !pulse.heard());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pong_tells_the_round_trip_once() {
        let mut pulse = Pulse::new(FAST);
        let Beat::Ping(nonce) = pulse.beat().await else {
            unreachable!("the first beat is a ping")
        };
        tokio::time::advance(Duration::from_millis(7)).await;
        assert_eq!(pulse.on_pong(nonce + 1), None);
        let Beat::Ping(nonce) = pulse.beat().await else {
            unreachable!("one interval is no loss")
        };
        tokio::time::advance(Duration::from_millis(7)).await;
        assert_eq!(pulse.on_pong(nonce), Some(Duration::from_millis(7)));
        assert_eq!(pulse.on_pong(nonce), None);
    }
}
