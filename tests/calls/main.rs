//! The other direction: what agents ask of their gateway.

mod leaving;
mod rights;
mod through;
mod world;
