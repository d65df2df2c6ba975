//! What the test suites share.
//!
//! * [`tunnel`]: a gateway and its agents over real sockets, with the recommended stack.
//! * [`browser`]: a real browser, where there is one.
//! * [`live_page`]: somebody who looks at the live page of an admin interface there.
//! * [`client`]: outside clients: one connection of HTTP/1.1 or HTTP/2, or a bare socket.
//! * [`dns`]: a server of DNS whose records a test decides.
//! * [`origin`]: upstream servers, and what they saw.
//! * [`body`]: bodies with a known content of any length.
//! * [`pki`]: a certificate authority, and clients that speak TLS by an implementation of their own choice.
//! * [`raw`]: scripted peers, which speak the wire and nothing else, and break its rules when told to.
//! * [`call`]: requests through a session, without the layers.
//! * [`pair`]: sessions without sockets, whose two ends are in one process.
//! * [`shares`]: which agent gets how much, by which policy.
//! * [`websocket`]: WebSocket frame by frame, with either end in the test's hands.
//! * [`wait`]: waiting for events, and a bound for every test.

pub mod body;
pub mod browser;
pub mod call;
pub mod client;
pub mod dns;
pub mod live_page;
pub mod origin;
pub mod pair;
pub mod pki;
pub mod raw;
pub mod shares;
pub mod tunnel;
pub mod wait;
pub mod websocket;

/// The code of the README, which is run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
