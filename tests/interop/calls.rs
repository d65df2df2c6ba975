//! What a server knows of the calls that it got.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::watch;
use tonic::metadata::MetadataMap;

/// The metadata by which a call says its name.
pub(crate) const CALL: &str = "x-call";

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Running,
    Finished,
    Canceled,
}

/// The calls of one server. Clones share them.
#[derive(Clone)]
pub(crate) struct Calls(Arc<Shared>);

struct Shared {
    named: watch::Sender<HashMap<String, State>>,
    running: watch::Sender<usize>,
}

impl Calls {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            named: watch::Sender::default(),
            running: watch::Sender::default(),
        }))
    }

    /// A handler begins. It holds the value while it works.
    pub(crate) fn begin(&self, metadata: &MetadataMap) -> Call {
        let name = metadata
            .get(CALL)
            .and_then(|name| name.to_str().ok())
            .map(str::to_owned);
        let call = Call {
            calls: self.clone(),
            name,
            is_finished: false,
        };
        call.set(State::Running);
        self.0.running.send_modify(|running| *running += 1);
        call
    }

    /// Waits until the call with this name is as `is` says.
    pub(crate) async fn wait(&self, name: &str, is: impl Fn(State) -> bool) {
        let mut named = self.0.named.subscribe();
        let seen = named.wait_for(|named| named.get(name).is_some_and(|state| is(*state)));
        seen.await.expect("the sender lives in `self`");
    }

    /// Waits until this many handlers run.
    pub(crate) async fn running(&self, wanted: usize) {
        let mut running = self.0.running.subscribe();
        let seen = running.wait_for(|running| *running == wanted);
        seen.await.expect("the sender lives in `self`");
    }
}

/// A handler that runs. Dropped without `finish` the call was canceled.
pub(crate) struct Call {
    calls: Calls,
    name: Option<String>,
    is_finished: bool,
}

impl Call {
    /// The handler has done what it was to do.
    pub(crate) fn finish(&mut self) {
        self.is_finished = true;
    }

    fn set(&self, state: State) {
        if let Some(name) = &self.name {
            let named = &self.calls.0.named;
            named.send_modify(|named| {
                named.insert(name.clone(), state);
            });
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.set(if self.is_finished {
            State::Finished
        } else {
            State::Canceled
        });
        self.calls.0.running.send_modify(|running| *running -= 1);
    }
}
