//! What happened in a run, and what should not have happened.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What all hosts of a simulation write down; clones are the same book.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Book>>);

#[derive(Default)]
struct Book {
    /// How often an app was called with each request.
    seen: BTreeMap<u64, u32>,
    /// The requests of agents that were sent: an agent that begins again does not send them again.
    begun: BTreeSet<u64>,
    outcomes: BTreeMap<u64, Outcome>,
    faults: Vec<String>,
    violations: Vec<String>,
    /// From when to when nothing came through between a client and the gateway.
    cuts: Vec<(String, Duration, Duration)>,
}

/// How a request ended, for who had sent it.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "the texts are for who reads what was printed")]
pub(crate) enum Outcome {
    /// A whole and right response.
    Answered,
    /// An error that the tunnel named.
    Refused(String),
    /// The connection, or the body, broke off.
    Broken(String),
    /// The client gave up, as it was to.
    Canceled,
    /// The client's own link was cut, and it waited until its time was over.
    CutOff,
}

impl Ledger {
    /// Notes that an app got this request.
    pub(crate) fn saw(&self, id: u64) {
        let times = {
            let mut book = self.lock();
            let times = book.seen.entry(id).or_default();
            *times += 1;
            *times
        };
        if times > 1 {
            self.violation(format!("request {id} came to an app {times} times"));
        }
    }

    /// Notes that an agent sends this request; false if it has been sent before.
    pub(crate) fn begins(&self, id: u64) -> bool {
        self.lock().begun.insert(id)
    }

    /// Notes how a request ended.
    pub(crate) fn ended(&self, id: u64, outcome: Outcome) {
        if self.lock().outcomes.insert(id, outcome).is_some() {
            self.violation(format!("request {id} was answered twice"));
        }
    }

    pub(crate) fn fault(&self, at: Duration, what: &str) {
        self.lock()
            .faults
            .push(format!("{:7.3} s  {what}", at.as_secs_f64()));
    }

    pub(crate) fn violation(&self, what: impl AsRef<str>) {
        let at = turmoil::sim_elapsed().map(|at| format!("{:7.3} s  ", at.as_secs_f64()));
        self.lock()
            .violations
            .push(at.unwrap_or_default() + what.as_ref());
    }

    /// Notes that nothing comes through between this client and the gateway in this time.
    pub(crate) fn cut(&self, client: &str, from: Duration, to: Duration) {
        self.lock().cuts.push((client.to_owned(), from, to));
    }

    /// Whether a connection of this client, which was made then, has been cut since: in this network it is lost for good.
    pub(crate) fn is_cut(&self, client: &str, since: Duration, now: Duration) -> bool {
        let meets =
            |(name, from, to): &(String, Duration, Duration)| name == client && *from <= now && since <= *to;
        self.lock().cuts.iter().any(meets)
    }

    pub(crate) fn faults(&self) -> Vec<String> {
        self.lock().faults.clone()
    }

    pub(crate) fn outcomes(&self) -> BTreeMap<u64, Outcome> {
        self.lock().outcomes.clone()
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.lock().violations.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
