//! Which addresses an agent has sessions with.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    task::{Id, JoinSet},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    Agent, AgentError, Shared, Status,
    error::Chain,
    link::{Link, panicked},
    target::{MAX_GATEWAYS, Place},
};
use crate::dispatch::OnAccept;

/// How soon names are looked up again after a connection was lost.
const MIN_LOOKUP: Duration = Duration::from_secs(1);

/// A gateway, by its number in the list, and an address of it.
type Key = (usize, SocketAddr);

/// The links of an agent, and what they are made of.
pub(super) struct Fleet {
    agent: Arc<Shared>,
    on_accept: OnAccept,
    stop: CancellationToken,
    /// The addresses that each gateway had when it was last looked up.
    known: Vec<Vec<SocketAddr>>,
    /// For how long they are right, as far as that is known; longer and longer while the gateway cannot be looked up.
    ttls: Vec<Option<Duration>>,
    links: HashMap<Key, watch::Sender<bool>>,
    keys: HashMap<Id, Key>,
    tasks: JoinSet<Result<(), AgentError>>,
    look: Arc<Notify>,
}

impl Fleet {
    pub(super) fn new(agent: &Agent, on_accept: OnAccept, stop: CancellationToken) -> Self {
        let agent = agent.0.clone();
        Self {
            on_accept,
            stop,
            known: vec![Vec::new(); agent.gateways.len()],
            ttls: vec![None; agent.gateways.len()],
            links: HashMap::new(),
            keys: HashMap::new(),
            tasks: JoinSet::new(),
            look: Arc::default(),
            agent,
        }
    }

    /// Runs until the agent stops and every session has been drained, or until a gateway refuses the agent and there is no other.
    pub(super) async fn run(mut self) -> Result<(), AgentError> {
        let has_names = self
            .agent
            .gateways
            .iter()
            .any(|target| target.literal().is_none());
        let stop = self.stop.clone();
        let mut failures = 0;
        while !stop.is_cancelled() {
            let looked = Instant::now();
            let found = tokio::select! {
                found = self.look_up() => found,
                () = stop.cancelled() => break,
            };
            self.update();
            failures = if found { 0 } else { failures + 1 };
            let pause = if found {
                let interval = self.agent.lookup_interval;
                let ttl = self.ttls.iter().flatten().min();
                ttl.map_or(interval, |ttl| interval.min((*ttl).max(MIN_LOOKUP)))
            } else {
                self.agent.backoff.delay(failures, None)
            };
            let earliest = looked + MIN_LOOKUP.min(pause);
            let mut next = looked + pause;
            loop {
                tokio::select! {
                    () = sleep_until(next), if has_names => break,
                    () = self.look.notified(), if has_names && found => next = next.min(earliest),
                    Some(ended) = self.tasks.join_next_with_id() => {
                        let (id, ended) = ended.unwrap_or_else(panicked);
                        ended?;
                        if let Some(key) = self.keys.remove(&id) {
                            self.links.remove(&key);
                        }
                        // There may be room for another address, or for the same.
                        next = next.min(earliest);
                    }
                    () = stop.cancelled() => break,
                }
            }
        }
        self.agent.board.say(Status::Draining);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap_or_else(panicked)?;
        }
        Ok(())
    }

    /// Looks every gateway up; false if none of them has an address. One whose name cannot be looked up keeps those that it had.
    async fn look_up(&mut self) -> bool {
        let known = self.known.iter_mut().zip(&mut self.ttls);
        for (target, (known, time)) in self.agent.gateways.iter().zip(known) {
            match target
                .resolve(&self.agent.resolvers, self.agent.connect_timeout)
                .await
            {
                Ok((mut found, ttl)) => {
                    *time = ttl;
                    let mut seen = HashSet::new();
                    found.retain(|address| seen.insert(*address));
                    *known = found;
                }
                Err(error) => {
                    *time = time.map(|time| time.max(MIN_LOOKUP).saturating_mul(2));
                    warn!(agent.id = %self.agent.id, error = %Chain(&error), "a gateway's name cannot be looked up");
                    if self.links.is_empty() {
                        let delay = self.agent.backoff.cap;
                        let error = Arc::new(error);
                        self.agent.board.say(Status::Waiting { error, delay });
                    }
                }
            }
        }
        self.known.iter().any(|known| !known.is_empty())
    }

    /// Has a link with each address, within the bound: the first ones of each gateway first.
    fn update(&mut self) {
        let longest = self.known.iter().map(Vec::len).max().unwrap_or(0);
        let ranks = 0..longest;
        let known = &self.known;
        let keys = ranks.flat_map(|rank| {
            let of_rank = move |(number, known): (usize, &Vec<SocketAddr>)| {
                known.get(rank).map(|address| (number, *address))
            };
            known.iter().enumerate().filter_map(of_rank)
        });
        let keys: Vec<Key> = keys.take(MAX_GATEWAYS).collect();
        for (key, wanted) in &self.links {
            let is_wanted = keys.contains(key);
            wanted.send_if_modified(|wanted| std::mem::replace(wanted, is_wanted) != is_wanted);
        }
        for key in keys {
            if self.links.len() < MAX_GATEWAYS && !self.links.contains_key(&key) {
                self.add(key);
            }
        }
    }

    fn add(&mut self, key: Key) {
        let (number, addr) = key;
        let target = self.agent.gateways[number].clone();
        let place = Place { target, addr };
        if self.known.iter().map(Vec::len).sum::<usize>() > 1 {
            info!(agent.id = %self.agent.id, gateway = %place, "one of the gateways");
        }
        let (wanted, is_wanted) = watch::channel(true);
        let link = Link {
            agent: self.agent.clone(),
            seat: Arc::new(self.agent.board.seat(place.clone())),
            place,
            on_accept: self.on_accept.clone(),
            stop: self.stop.clone(),
            wanted: is_wanted,
            look: self.look.clone(),
            was_connected: AtomicBool::new(false),
        };
        let task = self.tasks.spawn(link.run());
        self.keys.insert(task.id(), key);
        self.links.insert(key, wanted);
    }
}
