//! gRPC through the tunnel: every kind of call, with tonic, and a service
//! in the agent's process or in a server behind it.

mod bounded;
mod calls;
mod cases;
mod frames;
mod killed;
mod many;
mod mounted;
#[path = "generated/mod.rs"]
mod pb;
mod requests;
mod server;
mod wire;
mod world;
