//! Sockets: their options, how they are accepted, and the HTTP/2 windows of everything that reads from one.

pub mod windows;

mod accept;
mod dial;
mod frames;
mod listen;
mod maybe_tls;
mod socket;
mod turns;
mod upgraded;
mod writes;

pub(crate) use self::{
    accept::Acceptor,
    dial::Wire,
    frames::poll_nonempty_frame,
    maybe_tls::MaybeTls,
    turns::{InTurns, Turn},
    upgraded::UpgradedIo,
    writes::writes_inner,
};
pub use self::{
    dial::Dialer,
    listen::{DEFAULT_BACKLOG, Listener, Socket, bind},
    socket::{KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES, SocketOptions},
};
