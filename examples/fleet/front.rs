//! Clients behind a balancer that knows which gateways are ready.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{Method, StatusCode};
use tokio::task::JoinSet;
use tunnel_core::BoxError;
use tunnel_examples::client::Client;

/// Requests that are on their way all the time.
const CLIENTS: usize = 4;

/// The gateways that get requests, in turn.
#[derive(Clone, Default)]
pub(crate) struct Front(Arc<Shared>);

#[derive(Default)]
struct Shared {
    gateways: Mutex<Vec<(SocketAddr, Client)>>,
    turn: AtomicUsize,
}

/// Clients that ask until they are told to stop.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    clients: JoinSet<(usize, usize)>,
}

impl Front {
    /// Sends requests to these from now on. What is on its way goes on.
    pub(crate) fn set(&self, gateways: impl Iterator<Item = SocketAddr>) {
        let mut known = self.gateways();
        let client = |address| {
            let same = known.iter().find(|(known, _)| *known == address);
            same.cloned().unwrap_or_else(|| (address, Client::new(address)))
        };
        let next: Vec<_> = gateways.map(client).collect();
        *known = next;
    }

    /// Asks sixty times, and tells who answered.
    pub(crate) async fn show(&self, what: &str) -> Result<(), BoxError> {
        let mut answers = BTreeMap::new();
        for _ in 0..60 {
            *answers.entry(self.ask().await?).or_insert(0) += 1;
        }
        let told: Vec<_> = answers
            .iter()
            .map(|(name, count)| format!("{name}: {count}"))
            .collect();
        println!("{what:<20} {}", told.join(", "));
        Ok(())
    }

    pub(crate) fn load(&self) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let (front, stop) = (self.clone(), stop.clone());
            clients.spawn(async move {
                let (mut sent, mut lost) = (0, 0);
                while !stop.load(Ordering::Relaxed) {
                    sent += 1;
                    if let Err(error) = front.ask().await {
                        eprintln!("lost: {error}");
                        lost += 1;
                    }
                }
                (sent, lost)
            });
        }
        Load { stop, clients }
    }

    /// Who answered.
    async fn ask(&self) -> Result<String, BoxError> {
        let client = {
            let gateways = self.gateways();
            let turn = self.0.turn.fetch_add(1, Ordering::Relaxed);
            gateways[turn % gateways.len()].1.clone()
        };
        let answer = client.send(Method::GET, "/", Bytes::new()).await?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        match answer.status {
            StatusCode::OK => Ok(text),
            status => Err(format!("{status} {text}").into()),
        }
    }

    fn gateways(&self) -> MutexGuard<'_, Vec<(SocketAddr, Client)>> {
        self.0.gateways.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Load {
    /// How many requests there were, and how many of them were lost.
    pub(crate) async fn finish(self) -> (usize, usize) {
        self.stop.store(true, Ordering::Relaxed);
        let each = self.clients.join_all().await;
        let sum = |(sent, lost), (more, worse)| (sent + more, lost + worse);
        each.into_iter().fold((0, 0), sum)
    }
}
