//! The example programs, run as their users run them: command lines, files, output, signals and exit codes.
//!
//! The programs belong to another package, so the test builds them first, with the cargo, the profile and the target
//! directory that it was built with itself. That is quick when nothing has changed.
#![cfg(unix)]

mod admin;
mod balance;
mod calls;
mod chat;
mod check;
mod deploy;
mod drain;
mod files;
mod frozen;
mod guards;
mod hosts;
mod load;
mod locals;
mod named;
mod observed;
mod page;
mod program;
mod proxy;
mod pushed;
mod reload;
mod rolling;
mod run;
mod teaching;
mod tls;
#[cfg(feature = "otel")]
mod traces;
mod upstreams;
mod world;
