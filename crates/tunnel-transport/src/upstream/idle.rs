use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use hyper::client::conn::http1::SendRequest;
use tokio::time::{Instant, sleep_until};

use crate::upstream::upload::Upload;

/// HTTP/1.1 connections that nobody uses: the one used last is taken first, so that those too many grow old.
pub(super) struct IdleStack {
    state: Mutex<State>,
    max: usize,
    timeout: Duration,
}

/// A connection, and when it is too old to be used again.
pub(super) struct Conn {
    pub(super) sender: SendRequest<Upload>,
    pub(super) dies: Option<Instant>,
}

#[derive(Default)]
struct State {
    /// By the time when they were put here, oldest first.
    connections: VecDeque<Idle>,
    reaped: bool,
    closed: bool,
}

struct Idle {
    conn: Conn,
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

    /// A connection that is open and ready, as far as is known.
    pub(super) fn take(&self) -> Option<Conn> {
        let mut state = self.lock();
        let now = Instant::now();
        while let Some(idle) = state.connections.pop_back() {
            if idle.expires > now && idle.conn.sender.is_ready() {
                return Some(idle.conn);
            }
        }
        None
    }

    /// Keeps a connection; the oldest goes when there are too many.
    pub(super) fn put(self: &Arc<Self>, conn: Conn) {
        if self.max == 0 {
            return;
        }
        let mut state = self.lock();
        if state.closed {
            return;
        }
        if state.connections.len() >= self.max {
            state.connections.pop_front();
        }
        let expires = Instant::now() + self.timeout;
        let expires = conn.dies.map_or(expires, |dies| dies.min(expires));
        state.connections.push_back(Idle { conn, expires });
        if !state.reaped {
            state.reaped = true;
            tokio::spawn(reap(Arc::downgrade(self)));
        }
    }

    /// Closes them, and those that come.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.connections.clear();
    }

    /// Closes what has expired or is closed already; when to come again, if there is something left.
    fn sweep(&self) -> Option<Instant> {
        let mut state = self.lock();
        let now = Instant::now();
        state
            .connections
            .retain(|idle| idle.expires > now && !idle.conn.sender.is_closed());
        let next = state.connections.iter().map(|idle| idle.expires).min();
        state.reaped = next.is_some();
        next
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs while there are idle connections, so that they close in time without requests, too.
async fn reap(stack: Weak<IdleStack>) {
    while let Some(next) = stack.upgrade().and_then(|stack| stack.sweep()) {
        sleep_until(next).await;
    }
}
