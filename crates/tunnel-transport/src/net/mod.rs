//! Sockets: their options, how they are accepted, and the HTTP/2 windows of everything that reads from one.

pub mod windows;

mod accept;
mod frames;
mod listen;
mod socket;
mod upgraded;

pub(crate) use self::{accept::Acceptor, frames::poll_nonempty_frame, upgraded::UpgradedIo};
pub use self::{
    listen::{DEFAULT_BACKLOG, Listener, Socket, bind},
    socket::{KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES, SocketOptions},
};
