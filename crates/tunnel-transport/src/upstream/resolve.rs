//! Names whose addresses come and go.

use std::{io, net::SocketAddr, sync::Weak, time::Duration};

use rand::Rng as _;
use tokio::{net::lookup_host, time::sleep};

use crate::upstream::cluster::Cluster;

/// The most addresses of one name that are used.
const MAX_ADDRESSES: usize = 256;

/// Who knows the addresses of names.
#[derive(Clone, Debug)]
pub(super) enum Resolver {
    /// The system.
    System,
    /// A list that a test changes.
    #[cfg(test)]
    List(std::sync::Arc<std::sync::Mutex<Vec<SocketAddr>>>),
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

/// Looks names up, again and again, as long as there is the upstream. A look-up that fails, or finds nothing, changes nothing.
pub(super) async fn run(cluster: Weak<Cluster>, resolver: Resolver, interval: Duration) {
    let mut names = match cluster.upgrade() {
        Some(cluster) => cluster.names(),
        None => return,
    };
    // The same order every time, for whoever picks the first.
    names.sort_unstable_by_key(|name| name.0);
    loop {
        for (source, host, port) in &names {
            let found = resolver.look_up(host, *port).await;
            let Some(cluster) = cluster.upgrade() else { return };
            match found {
                Ok(mut addresses) if !addresses.is_empty() => {
                    addresses.sort_unstable();
                    cluster.update(*source, &addresses);
                }
                Ok(_) => tracing::warn!(%host, "the upstream's name has no address"),
                Err(error) => tracing::warn!(%host, %error, "the upstream's name cannot be looked up"),
            }
        }
        match cluster.upgrade() {
            Some(cluster) => cluster.has_resolved(),
            None => return,
        }
        let spread = 0.9 + rand::rng().random::<f64>() / 5.0;
        sleep(interval.mul_f64(spread)).await;
    }
}
