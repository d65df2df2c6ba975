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

#[derive(Default)]
struct State {
    /// By the time when they were put here, oldest first.
    connections: VecDeque<Idle>,
    reaped: bool,
}

struct Idle {
    sender: SendRequest<Upload>,
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
    pub(super) fn take(&self) -> Option<SendRequest<Upload>> {
        let mut state = self.lock();
        let now = Instant::now();
        while let Some(idle) = state.connections.pop_back() {
            if idle.expires <= now {
                // And so are those before it.
                state.connections.clear();
                return None;
            }
            if idle.sender.is_ready() {
                return Some(idle.sender);
            }
        }
        None
    }

    /// Keeps a connection; the oldest goes when there are too many.
    pub(super) fn put(self: &Arc<Self>, sender: SendRequest<Upload>) {
        if self.max == 0 {
            return;
        }
        let mut state = self.lock();
        if state.connections.len() >= self.max {
            state.connections.pop_front();
        }
        state.connections.push_back(Idle {
            sender,
            expires: Instant::now() + self.timeout,
        });
        if !state.reaped {
            state.reaped = true;
            tokio::spawn(reap(Arc::downgrade(self)));
        }
    }

    /// Closes what has expired or is closed already; when to come again, if there is something left.
    fn sweep(&self) -> Option<Instant> {
        let mut state = self.lock();
        let now = Instant::now();
        state
            .connections
            .retain(|idle| idle.expires > now && !idle.sender.is_closed());
        let next = state.connections.front().map(|idle| idle.expires);
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
