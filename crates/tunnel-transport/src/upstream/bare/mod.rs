//! HTTP/1.1 without a task: what most exchanges need is no request body, and an answer that is there as a whole.
//!
//! hyper drives a connection by a task of its own, and hands requests, answers and bodies over through channels; for a small exchange that is
//! the larger part of the work. Here whoever waits for the answer writes the request and reads the answer, as long as that comes at once: a
//! final head of HTTP/1.1, a `content-length`, and as many bytes. Nothing else is judged here: with chunks, a body that is still on its way,
//! an informational answer, anything unusual or malformed, the connection and all that was read from it go to hyper, and
//! stay there ([`Replay`]).

mod bell;
mod brief;
mod head;
mod replay;
#[cfg(test)]
mod tests;

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Waker},
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    task::coop::unconstrained,
};

pub(super) use self::{
    bell::Bell,
    brief::{Brief, Ended},
    replay::Replay,
};
use crate::upstream::dial::Io;

/// A connection that nothing drives but the exchange that has it.
pub(super) struct Bare {
    io: Io,
    /// What the connection wakes, always, so that it may change hands.
    waker: Waker,
    bell: Arc<Bell>,
    /// The head of a request that is being written. Kept, so that most heads allocate nothing.
    out: Vec<u8>,
    /// Whether it serves nothing behind what it serves now.
    is_last: bool,
}

impl Bare {
    pub(super) fn new(io: Io) -> Box<Self> {
        let bell = Arc::new(Bell::default());
        let mut bare = Box::new(Self {
            io,
            waker: Waker::from(Arc::clone(&bell)),
            bell,
            out: Vec::new(),
            is_last: false,
        });
        // From now on its end wakes somebody. One that has come already wakes nobody, and what was read to see it is gone.
        bare.is_last = bare.is_over();
        bare
    }

    pub(super) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    pub(super) fn into_io(self) -> Io {
        self.io
    }

    /// Whether it serves another exchange, as far as is known.
    pub(super) fn is_ready(&mut self) -> bool {
        let is_over = self.bell.has_rung() && self.is_over();
        !self.is_last && !is_over
    }

    /// Gives it to `keeper`, which is woken when something happens to it while it is idle. False if it serves nothing more.
    pub(super) fn rest(&mut self, keeper: Option<&Waker>) -> bool {
        let is_cut = self.bell.hush_for(keeper);
        !is_cut && !self.is_last && !self.is_over()
    }

    /// Whether it has ended, or has something to say that nobody has asked for. If not, the next that happens rings the bell.
    fn is_over(&mut self) -> bool {
        let mut byte = [0; 1];
        let mut buf = ReadBuf::new(&mut byte);
        // Not by the task's budget: the bell has to be known to the socket when this returns.
        let read = unconstrained(poll_fn(|cx| Pin::new(&mut self.io).poll_read(cx, &mut buf)));
        pin!(read).poll(&mut Context::from_waker(&self.waker)).is_ready()
    }
}
