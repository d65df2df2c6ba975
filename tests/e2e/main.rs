//! End to end: outside client, gateway, agent and app, over real sockets.

mod http;
