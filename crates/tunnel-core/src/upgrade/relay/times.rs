//! What ends a stream, or moves it, without a byte.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use crate::{
    runtime::{BoxTask, Runtime},
    upgrade::state::Heard,
};

/// How long an endpoint has, once the other has ended, to end its own direction or to take what is left for it.
pub(super) const LINGER: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The server of the outside connection begins to stop.
    Stopping,
    Deadline,
    /// The caller's credentials are no longer good.
    Expired,
    Idle,
    /// A ping is due.
    Ping,
    /// Nothing came from the client although it was asked.
    Gone,
    /// It had time enough to end.
    Lingered,
}

#[derive(Default)]
pub(super) struct Times {
    pub(super) runtime: Option<Arc<dyn Runtime>>,
    pub(super) idle: Option<Duration>,
    pub(super) ping: Option<Duration>,
    pub(super) deadline: Option<Instant>,
    pub(super) expiry: Option<Instant>,
    pub(super) stopping: Option<BoxTask>,
    linger: Option<Instant>,
    /// Until when somebody has to take something.
    stalled: Option<Instant>,
    sleep: Option<BoxTask>,
    /// When bytes were last written, or queued.
    moved: Option<Instant>,
    /// When our last ping was queued.
    pinged: Option<Instant>,
}

impl Times {
    /// Whether it has to be known when bytes move.
    const fn is_watching(&self) -> bool {
        self.idle.is_some() || self.ping.is_some()
    }

    pub(super) fn on_moved(&mut self) {
        if self.is_watching() {
            self.moved = self.now();
        }
    }

    pub(super) fn on_pinged(&mut self) {
        self.pinged = self.now();
    }

    /// From now on only this limit holds, and those that are points in time.
    pub(super) fn linger(&mut self) {
        if self.linger.is_none() {
            (self.idle, self.ping) = (None, None);
            self.linger = self.now().map(|now| now + LINGER);
            self.sleep = None;
        }
    }

    /// Limits the time for which nothing is taken, while `is_stalled`.
    pub(super) fn stall(&mut self, is_stalled: bool, has_moved: bool) {
        if !is_stalled {
            self.stalled = None;
        } else if self.stalled.is_none() || has_moved {
            self.stalled = self.now().map(|now| now + LINGER);
            self.sleep = None;
        }
    }

    fn now(&self) -> Option<Instant> {
        self.runtime.as_ref().map(|runtime| runtime.now())
    }

    /// What has happened. `heard` is asked when a time has to be set.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        waits_to_ping: bool,
        heard: impl Fn() -> Option<Heard>,
    ) -> Poll<Event> {
        if let Some(stopping) = &mut self.stopping
            && stopping.as_mut().poll(cx).is_ready()
        {
            self.stopping = None;
            return Poll::Ready(Event::Stopping);
        }
        let Some(runtime) = self.runtime.clone().filter(|_| self.has_limits()) else {
            return Poll::Pending;
        };
        loop {
            if self.sleep.is_none() {
                let now = runtime.now();
                let Some((at, event)) = self.next(now, waits_to_ping, heard()) else {
                    return Poll::Pending;
                };
                if at <= now
                    && let Some(event) = event
                {
                    self.forget(event);
                    return Poll::Ready(event);
                }
                self.sleep = Some(runtime.sleep_until(at));
            }
            if let Some(sleep) = &mut self.sleep {
                ready!(sleep.as_mut().poll(cx));
                self.sleep = None;
            }
        }
    }

    const fn has_limits(&self) -> bool {
        self.is_watching()
            || self.deadline.is_some()
            || self.expiry.is_some()
            || self.linger.is_some()
            || self.stalled.is_some()
    }

    /// What happens once.
    fn forget(&mut self, event: Event) {
        match event {
            Event::Deadline => self.deadline = None,
            Event::Expired => self.expiry = None,
            Event::Idle => self.idle = None,
            Event::Gone => self.ping = None,
            Event::Stopping | Event::Ping | Event::Lingered => {}
        }
    }

    /// What happens next, unless bytes move before: nothing but another look, where there is no event.
    fn next(
        &self,
        now: Instant,
        waits_to_ping: bool,
        heard: Option<Heard>,
    ) -> Option<(Instant, Option<Event>)> {
        let deadline = self.deadline.map(|at| (at, Some(Event::Deadline)));
        let expiry = self.expiry.map(|at| (at, Some(Event::Expired)));
        let linger = self.linger.or(self.stalled).map(|at| (at, Some(Event::Lingered)));
        let idle = self.idle.zip(heard).map(|(idle, heard)| {
            let last = self.moved.map_or(heard.passed, |moved| moved.max(heard.passed));
            (last + idle, Some(Event::Idle))
        });
        let ping = self.ping.zip(heard).map(|(every, heard)| match heard.waits {
            None => (now + every, None),
            Some(_) if waits_to_ping => (now + every, None),
            Some(since) => self.next_ping(every, since),
        });
        [deadline, expiry, linger, idle, ping]
            .into_iter()
            .flatten()
            .min_by_key(|(at, _)| *at)
    }

    /// `since` then nothing has come, although somebody waits for it.
    fn next_ping(&self, every: Duration, since: Instant) -> (Instant, Option<Event>) {
        match self.pinged {
            Some(pinged) if pinged > since => {
                // A client that takes bytes may have the ping behind them.
                let last = self.moved.map_or(pinged, |moved| moved.max(pinged));
                (last.max(since + every) + every, Some(Event::Gone))
            }
            _ => (since + every, Some(Event::Ping)),
        }
    }
}
