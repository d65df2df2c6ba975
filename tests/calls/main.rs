//! The other direction: what agents ask of their gateway.

mod circles;
mod leaving;
mod rights;
mod through;
mod world;
