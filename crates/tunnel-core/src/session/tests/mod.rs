//! Two sessions joined in memory, and what may happen between them.

pub(crate) mod body;
mod exchanges;
pub(crate) mod pair;
pub(crate) mod runtime;
