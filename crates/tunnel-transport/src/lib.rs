//! Placeholder.

pub mod entry;
pub mod net;
pub mod upstream;
