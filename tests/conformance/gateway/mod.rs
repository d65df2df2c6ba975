//! A real gateway against scripted agents.

mod config;
mod exchange;
mod flood;
mod foreign;
mod heartbeat;
mod hostile;
mod lanes;
mod leaving;
mod registration;
mod revoked;
mod websocket;
