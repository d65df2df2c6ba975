//! gRPC through the tunnel, as other implementations speak it: every kind of call, between tonic and grpcio, with a service
//! in the agent's process or in a server behind it.
//!
//! The cases for grpcio run when the environment variable `INTEROP_PYTHON` names a Python that has it; `.ci/interop` makes
//! one.

mod bounded;
mod calls;
mod cases;
mod foreign;
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
