//! What the example programs share: configuration files, signals, and the log.
//!
//! The programs themselves stand beside this folder, one folder each; README.md says what each of them teaches.

mod asked;
pub mod client;
pub mod config;
mod fields;
pub mod greeter;
mod locals;
mod logging;
pub mod operate;
mod operated;
pub mod program;
mod prometheus;
mod reload;
mod routing;
mod shutdown;
mod telemetry;
mod traces;
mod upstreams;

pub use self::{
    asked::ReloadHandle,
    locals::{Closed, Locals},
    operated::{OperatedAgent, OperatedGateway, Program},
    prometheus::Prometheus,
    reload::{Reloaded, Reloads},
    routing::Routing,
    shutdown::Shutdown,
    telemetry::Telemetry,
    traces::Traces,
    upstreams::Upstreams,
};
