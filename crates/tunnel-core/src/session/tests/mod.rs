//! Two sessions joined in memory, and what may happen between them.

pub(crate) mod body;
mod cancel;
mod exchanges;
mod hostile;
pub(crate) mod link;
pub(crate) mod pair;
mod properties;
pub(crate) mod runtime;
mod teardown;
mod websocket;
