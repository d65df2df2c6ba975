//! What stands beside the tunnel on the agents' port, and what agents say about gRPC.

mod health;
mod port;
mod reflection;
mod services;
mod typed;
