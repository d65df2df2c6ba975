//! The other direction: what agents ask of their gateway.

mod circles;
mod gateways;
mod leaving;
mod limits;
mod rights;
mod through;
mod typed;
mod world;
