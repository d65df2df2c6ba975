//! Reloads that somebody asks for, and what came of the last one.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tunnel_transport::admin::view;

use crate::reload::Hangup;

/// Those who may ask at one time; one more waits for a place.
const MAX_ASKED: usize = 16;

/// Asks for a look at the file, and knows what came of the last one. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ReloadHandle {
    asks: mpsc::Sender<oneshot::Sender<view::Reload>>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    loaded_unix_ms: u64,
    last: Option<view::Reload>,
}

/// Who waits for a look at the file.
#[derive(Debug)]
pub(crate) struct Asked {
    hangup: Hangup,
    asks: mpsc::Receiver<oneshot::Sender<view::Reload>>,
    waiting: Vec<oneshot::Sender<view::Reload>>,
    state: Arc<Mutex<State>>,
}

impl ReloadHandle {
    /// Has the file looked at now, and says what came of it.
    pub async fn reload(&self) -> view::Reload {
        let (answer, answered) = oneshot::channel();
        let gone = |_| outcome("refused", "the program is stopping");
        match self.asks.send(answer).await {
            Ok(()) => answered.await.unwrap_or_else(|_| gone(())),
            Err(_) => gone(()),
        }
    }

    /// When what runs was read, in milliseconds of the clock, and what came of the last look at the file.
    #[must_use]
    pub fn status(&self) -> (u64, Option<view::Reload>) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.loaded_unix_ms, state.last.clone())
    }
}

impl Asked {
    pub(crate) fn new(hangup: Hangup) -> (Self, ReloadHandle) {
        let (sender, asks) = mpsc::channel(MAX_ASKED);
        let state = Arc::new(Mutex::new(State {
            loaded_unix_ms: unix_ms(),
            last: None,
        }));
        let asked = Self {
            hangup,
            asks,
            waiting: Vec::new(),
            state: state.clone(),
        };
        (asked, ReloadHandle { asks: sender, state })
    }

    /// Waits for a signal, or for somebody who asks. Cancel safe.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            () = self.hangup.next() => {}
            Some(answer) = self.asks.recv() => self.waiting.push(answer),
        }
    }

    /// Notes what came of a look, and tells whoever asked for it.
    pub(crate) fn answer(&mut self, word: &str, detail: impl Into<String>) {
        let told = outcome(word, detail);
        for waiting in self.waiting.drain(..) {
            // Who does not wait any more has nothing to be told.
            let _ = waiting.send(told.clone());
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if word == "changed" {
            state.loaded_unix_ms = told.at_unix_ms;
        }
        state.last = Some(told);
    }
}

fn outcome(word: &str, detail: impl Into<String>) -> view::Reload {
    view::Reload {
        outcome: word.to_owned(),
        detail: detail.into(),
        at_unix_ms: unix_ms(),
    }
}

fn unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(0)
}
