//! Names of SRV records, from a server of DNS on a socket.

mod agents;
mod upstreams;
