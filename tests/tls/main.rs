//! TLS on real sockets: the entry, the agents' port, agents and upstreams.

mod agents;
mod clients;
mod curl;
mod entry;
mod plaintext;
mod reload;
mod rights;
mod through;
mod upstream;
mod world;
