//! WebSocket and other upgrades: a client cannot tell the tunnel from a direct connection.
//!
//! Each test holds both ends itself, frame by frame, and runs in every way of [`world::WAYS`]: by HTTP/1.1 Upgrade and by
//! extended CONNECT, to a server with a socket, to an app in the agent's process, and straight to the server, so that a test
//! that asks for something else than a server does fails by itself.
//!
//! The Autobahn cases run when the environment variable `KOSOKU` names the program of that name, and the browser's page when
//! `CHROMIUM` names one; `.ci/websocket` installs both.

mod autobahn;
mod browser;
mod bulk;
mod close;
mod deflate;
mod drain;
mod frames;
mod handshake;
mod life;
mod many;
mod opaque;
mod pipelined;
mod refused;
mod stack;
mod stalled;
mod world;
