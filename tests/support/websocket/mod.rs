//! WebSocket frame by frame: what a test sends is exactly what it says, and what it receives is what came.
//!
//! * [`Frame`] and [`Header`]: the wire of RFC 6455, section 5.2.
//! * [`Peer`]: either end of a connection, after the handshake.
//! * [`open`]: a client's handshake, by HTTP/1.1 Upgrade or by extended CONNECT (RFC 8441).
//! * [`Arrived`]: a handshake as the far end sees it, in a server with a socket or in an app.
//! * [`echo`]: an app of axum that says everything back.
//! * [`Wire`]: the bytes below, and how they break off.

mod arrived;
pub mod echo;
mod frame;
mod near;
mod peer;
mod stream;
mod wire;

pub use self::{
    arrived::{Arrived, Refused, accept_key, app, serve_h2, serve_sockets},
    frame::{Frame, Header, opcode},
    near::{H2Client, Opened, handshake, open, raw_handshake, set_key, upgrade},
    peer::{End, Peer},
    stream::H2Stream,
    wire::Wire,
};
