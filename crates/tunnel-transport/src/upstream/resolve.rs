//! Names whose addresses come and go.

use std::{io, net::SocketAddr, sync::Weak, time::Duration};

use rand::Rng as _;
use tokio::{
    net::lookup_host,
    time::{Instant, sleep_until},
};

use crate::{
    srv::{self, Dns},
    upstream::{cluster::Cluster, target::Address},
};

/// The most addresses of one name that are used.
const MAX_ADDRESSES: usize = 256;

/// SRV records are asked for again when they are not right any more, but not more often than this.
const MIN_SRV: Duration = Duration::from_secs(1);

/// And not more seldom than this, unless something else is set.
const MAX_SRV: Duration = Duration::from_secs(300);

/// How names are looked up.
#[derive(Clone, Debug)]
pub(super) struct LookUps {
    pub(super) resolver: Resolver,
    /// How often names of addresses are looked up; never if nothing was set. SRV records are asked for at least as often.
    pub(super) interval: Option<Duration>,
    pub(super) dns: Dns,
}

/// Who knows the addresses of names.
#[derive(Clone, Debug)]
pub(super) enum Resolver {
    /// The system.
    System,
    /// A list that a test changes.
    #[cfg(test)]
    List(std::sync::Arc<std::sync::Mutex<Vec<SocketAddr>>>),
}

/// A server that a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    pub(super) address: SocketAddr,
    /// Lower ones come first.
    pub(super) priority: u16,
    /// If the name says it.
    pub(super) weight: Option<u32>,
}

/// A name, and when it is looked up next.
struct Name {
    source: usize,
    address: Address,
    due: Instant,
    failures: u32,
}

impl Resolver {
    async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::System => Ok(lookup_host((host, port)).await?.take(MAX_ADDRESSES).collect()),
            #[cfg(test)]
            Self::List(list) => {
                let list = list.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                match list.is_empty() {
                    true => Err(io::ErrorKind::NotFound.into()),
                    false => Ok(list.clone()),
                }
            }
        }
    }
}

impl LookUps {
    /// Whether addresses like this are looked up beside requests.
    pub(super) const fn concern(&self, address: &Address) -> bool {
        match address {
            Address::Srv(_) => true,
            Address::Name(..) => self.interval.is_some(),
            _ => false,
        }
    }

    /// What a name stands for, in the same order every time, and how long that is right.
    async fn look_up(&self, address: &Address) -> io::Result<(Vec<Found>, Duration)> {
        let (mut found, ttl) = match address {
            Address::Name(host, port) => {
                let found = self.resolver.look_up(host, *port).await?;
                (found.into_iter().map(Found::at).collect(), Duration::MAX)
            }
            Address::Srv(name) => {
                let answer = self.dns.look_up(name).await?;
                (Found::all(&answer.servers), answer.ttl)
            }
            _ => (Vec::new(), Duration::MAX),
        };
        found.sort_unstable();
        Ok((found, ttl))
    }

    /// How long to wait after an answer that is right for so long.
    fn pause(&self, address: &Address, ttl: Duration) -> Duration {
        let longest = self.interval.unwrap_or(MAX_SRV);
        let pause = match address {
            Address::Srv(_) => ttl.clamp(MIN_SRV.min(longest), longest),
            _ => longest,
        };
        let spread = 0.9 + rand::rng().random::<f64>() / 5.0;
        pause.mul_f64(spread)
    }

    /// How long to wait after so many failures in a row.
    fn pause_after(&self, address: &Address, failures: u32) -> Duration {
        let ttl = MIN_SRV.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
        self.pause(address, ttl)
    }
}

impl Found {
    const fn at(address: SocketAddr) -> Self {
        Self {
            address,
            priority: 0,
            weight: None,
        }
    }

    fn all(servers: &[srv::Server]) -> Vec<Self> {
        let shares = srv::shares(servers);
        let found = servers.iter().zip(shares).map(|(server, share)| Self {
            address: server.address,
            priority: server.priority,
            weight: Some(share),
        });
        found.collect()
    }
}

/// Looks names up, again and again, as long as there is the upstream. A look-up that fails, or finds nothing, changes nothing.
pub(super) async fn run(cluster: Weak<Cluster>, look_ups: LookUps) {
    let mut names: Vec<_> = match cluster.upgrade() {
        Some(cluster) => cluster.names().into_iter().map(Name::new).collect(),
        None => return,
    };
    loop {
        let now = Instant::now();
        for name in names.iter_mut().filter(|name| name.due <= now) {
            let found = look_ups.look_up(&name.address).await;
            let Some(cluster) = cluster.upgrade() else { return };
            name.note(found, &look_ups, &cluster);
        }
        match cluster.upgrade() {
            Some(cluster) => cluster.has_resolved(),
            None => return,
        }
        let Some(next) = names.iter().map(|name| name.due).min() else {
            return;
        };
        sleep_until(next).await;
    }
}

impl Name {
    fn new((source, address): (usize, Address)) -> Self {
        Self {
            source,
            address,
            due: Instant::now(),
            failures: 0,
        }
    }

    fn note(&mut self, found: io::Result<(Vec<Found>, Duration)>, look_ups: &LookUps, cluster: &Cluster) {
        let name = &self.address;
        let pause = match found {
            Ok((found, ttl)) if !found.is_empty() => {
                cluster.update(self.source, &found);
                self.failures = 0;
                look_ups.pause(name, ttl)
            }
            other => {
                self.failures = self.failures.saturating_add(1);
                match other {
                    Ok(_) => tracing::warn!(%name, "the upstream's name has no address"),
                    Err(error) => tracing::warn!(%name, %error, "the upstream's name cannot be looked up"),
                }
                look_ups.pause_after(name, self.failures)
            }
        };
        self.due = Instant::now() + pause;
    }
}
