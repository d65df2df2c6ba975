//! Asking for records.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hickory_resolver::{
    Resolver, TokioResolver,
    config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::{RData, Record, RecordType, rdata::SRV},
};
use tokio::task::JoinSet;

use super::{
    Answer, Server,
    dns::{Asked, Dns},
};

/// The most records of one name that are used, by their priority.
const MAX_RECORDS: usize = 64;

/// The most addresses of one name that are used.
const MAX_ADDRESSES: usize = 256;

/// What one server takes at most until another one, or the same again, is asked.
const TIMEOUT: Duration = Duration::from_secs(2);

impl Dns {
    /// The servers that have the service. Those whose names have no address are left out.
    ///
    /// # Errors
    ///
    /// There is none, or nobody says so.
    pub(crate) async fn look_up(&self, name: &str) -> io::Result<Answer> {
        let resolver = self.resolver().map_err(io::Error::other)?;
        let found = resolver.lookup(name, RecordType::SRV).await;
        let found = found.map_err(io::Error::other)?;
        let mut ttl = shortest(found.answers());
        let mut records: Vec<_> = found.answers().iter().filter_map(srv).collect();
        records.sort_by_key(|record| record.priority);
        records.truncate(MAX_RECORDS);
        let mut asked = JoinSet::new();
        for record in records {
            asked.spawn(addresses(resolver.clone(), record.clone()));
        }
        let mut servers = Vec::new();
        let mut failure = None;
        while let Some(addresses) = asked.join_next().await {
            match addresses.map_err(io::Error::other)? {
                Ok((record, addresses, time)) => {
                    ttl = ttl.min(time);
                    servers.extend(addresses.iter().map(|ip| Server {
                        address: SocketAddr::new(*ip, record.port),
                        priority: record.priority,
                        weight: record.weight,
                    }));
                }
                Err(error) => failure = Some(error),
            }
        }
        // The same every time, and each address once, at its best.
        servers.sort_unstable_by_key(|server: &Server| (server.address, server.priority, server.weight));
        servers.dedup_by_key(|server| server.address);
        servers.sort_by_key(|server| server.priority);
        servers.truncate(MAX_ADDRESSES);
        match (servers.is_empty(), failure) {
            (false, _) => Ok(Answer { servers, ttl }),
            (true, Some(error)) => Err(io::Error::other(error)),
            (true, None) => Err(io::Error::new(
                io::ErrorKind::NotFound,
                "its SRV records name no server: the service is not offered there",
            )),
        }
    }

    fn resolver(&self) -> Result<TokioResolver, NetError> {
        let mut builder = match &self.0 {
            Asked::System => TokioResolver::builder_tokio()?,
            Asked::Servers(servers) => {
                let servers = servers.iter().copied().map(name_server).collect();
                let config = ResolverConfig::from_parts(None, Vec::new(), servers);
                let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
                builder.options_mut().use_hosts_file = ResolveHosts::Never;
                builder
            }
        };
        let options = builder.options_mut();
        // Who asks again wants to know what is right now.
        options.cache_size = 0;
        options.timeout = TIMEOUT;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        builder.build()
    }
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

/// A record that names a server: the root is none (RFC 2782, "Target").
fn srv(record: &Record) -> Option<&SRV> {
    match &record.data {
        RData::SRV(srv) if !srv.target.is_root() => Some(srv),
        _ => None,
    }
}

/// The addresses of the server that a record names, and how long they are right.
async fn addresses(resolver: TokioResolver, record: SRV) -> Result<(SRV, Vec<IpAddr>, Duration), NetError> {
    let found = resolver.lookup_ip(record.target.clone()).await?;
    let time = shortest(found.as_lookup().answers());
    Ok((record, found.iter().collect(), time))
}

fn shortest(records: &[Record]) -> Duration {
    let ttl = records.iter().map(|record| record.ttl).min();
    Duration::from_secs(u64::from(ttl.unwrap_or(0)))
}
