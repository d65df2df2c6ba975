//! A real agent against scripted gateways.

mod actor;
mod cancel;
mod exchange;
mod failover;
mod flood;
mod hello;
mod reconnect;
mod refusal;
mod shutdown;
