//! What the test suites share.
//!
//! * [`tunnel`]: a gateway and its agents over real sockets, with the recommended stack.
//! * [`client`]: outside clients: one connection of HTTP/1.1 or HTTP/2, or a bare socket.
//! * [`origin`]: upstream servers, and what they saw.
//! * [`body`]: bodies with a known content of any length.

pub mod body;
pub mod client;
pub mod origin;
pub mod tunnel;
