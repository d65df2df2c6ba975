//! End to end: outside client, gateway, agent and app, over real sockets; traces in the testing kit.

mod http;
mod traces;
