//! What the example programs share: configuration files, signals, and the log.
//!
//! The programs themselves stand beside this folder, one folder each; README.md says what each of them teaches.

pub mod client;
pub mod config;
mod fields;
pub mod greeter;
mod locals;
pub mod program;
mod reload;
mod routing;
mod shutdown;
mod traces;
mod upstreams;

pub use self::{
    locals::{Closed, Locals},
    reload::{Reloaded, Reloads},
    routing::Routing,
    shutdown::Shutdown,
    traces::Traces,
    upstreams::Upstreams,
};
