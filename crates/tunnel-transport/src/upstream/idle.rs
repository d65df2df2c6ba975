use std::{
    cmp::Reverse,
    collections::VecDeque,
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use hyper::client::conn::http1::SendRequest;
use tokio::time::{Instant, sleep_until};

use crate::{
    runtime,
    upstream::{bare::Bare, upload::Upload},
};

/// HTTP/1.1 connections that nobody uses: the one used last is taken first, so that those too many grow old.
pub(super) struct IdleStack {
    state: Mutex<State>,
    max: usize,
    timeout: Duration,
}

/// A connection, and when it is too old to be used again.
pub(super) struct Conn {
    pub(super) link: Link,
    pub(super) dies: Option<Instant>,
}

/// What drives a connection.
pub(super) enum Link {
    /// The exchange that has it.
    Bare(Box<Bare>),
    /// hyper, in a task.
    Kept(SendRequest<Upload>),
}

#[derive(Default)]
struct State {
    /// Either by the time when they were put here, oldest first.
    bare: VecDeque<Idle<Box<Bare>>>,
    kept: VecDeque<Idle<SendRequest<Upload>>>,
    /// Wakes what closes those that are over.
    keeper: Option<Waker>,
    reaped: bool,
    closed: bool,
}

struct Idle<C> {
    conn: C,
    dies: Option<Instant>,
    expires: Instant,
}

impl IdleStack {
    pub(super) fn new(max: usize, timeout: Duration) -> Self {
        Self {
            state: Mutex::default(),
            max,
            timeout,
        }
    }

    /// A connection that is open and ready, as far as is known: a bare one if there is one.
    pub(super) fn take(&self) -> Option<Conn> {
        let mut state = self.lock();
        let now = runtime::now();
        state.take_bare(now).or_else(|| state.take_kept(now))
    }

    /// The same, of those that hyper drives alone.
    pub(super) fn take_kept(&self) -> Option<Conn> {
        self.lock().take_kept(runtime::now())
    }

    /// Keeps a connection; the oldest goes when there are too many.
    pub(super) fn put(self: &Arc<Self>, Conn { link, dies }: Conn) {
        if self.max == 0 {
            return;
        }
        let mut state = self.lock();
        if state.closed {
            return;
        }
        state.make_room(self.max);
        let expires = runtime::now() + self.timeout;
        let expires = dies.map_or(expires, |dies| dies.min(expires));
        match link {
            Link::Bare(mut conn) => {
                if !conn.rest(state.keeper.as_ref()) {
                    return;
                }
                state.bare.push_back(Idle { conn, dies, expires });
            }
            Link::Kept(conn) => state.kept.push_back(Idle { conn, dies, expires }),
        }
        if !state.reaped {
            state.reaped = true;
            tokio::spawn(reap(Arc::downgrade(self)));
        }
    }

    /// Closes them, and those that come.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.bare.clear();
        state.kept.clear();
    }

    /// Closes what has expired or is over already; when to come again, if there is something left, unless `keeper` is woken
    /// before.
    fn sweep(&self, keeper: &Waker) -> Option<Instant> {
        let mut state = self.lock();
        let now = Instant::now();
        state
            .bare
            .retain_mut(|idle| idle.expires > now && idle.conn.rest(Some(keeper)));
        state
            .kept
            .retain(|idle| idle.expires > now && !idle.conn.is_closed());
        let bare = state.bare.iter().map(|idle| idle.expires);
        let kept = state.kept.iter().map(|idle| idle.expires);
        let next = bare.chain(kept).min();
        state.reaped = next.is_some();
        state.keeper = next.is_some().then(|| keeper.clone());
        next
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_bare(&mut self, now: Instant) -> Option<Conn> {
        while let Some(Idle {
            mut conn,
            dies,
            expires,
        }) = self.bare.pop_back()
        {
            if expires > now && conn.is_ready() {
                let link = Link::Bare(conn);
                return Some(Conn { link, dies });
            }
        }
        None
    }

    fn take_kept(&mut self, now: Instant) -> Option<Conn> {
        while let Some(Idle { conn, dies, expires }) = self.kept.pop_back() {
            if expires > now && conn.is_ready() {
                let link = Link::Kept(conn);
                return Some(Conn { link, dies });
            }
        }
        None
    }

    /// Closes the oldest if there are as many as `max`.
    fn make_room(&mut self, max: usize) {
        if self.bare.len() + self.kept.len() < max {
            return;
        }
        let bare = self.bare.front().map(|idle| Reverse(idle.expires));
        let kept = self.kept.front().map(|idle| Reverse(idle.expires));
        if bare > kept {
            self.bare.pop_front();
        } else {
            self.kept.pop_front();
        }
    }
}

/// Runs while there are idle connections, so that they close in time without requests, too, and at once when the upstream closes them.
async fn reap(stack: Weak<IdleStack>) {
    let mut sleep = pin!(sleep_until(Instant::now()));
    let poll = |cx: &mut Context<'_>| loop {
        let Some(next) = stack.upgrade().and_then(|stack| stack.sweep(cx.waker())) else {
            return Poll::Ready(());
        };
        sleep.as_mut().reset(next);
        ready!(sleep.as_mut().poll(cx));
    };
    poll_fn(poll).await;
}
