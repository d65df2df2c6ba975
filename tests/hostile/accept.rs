//! A listener that fails: both ports go on.

use std::{collections::VecDeque, future::IntoFuture as _, io};

use axum::{Router, routing::any};
use tokio::net::{TcpListener, TcpStream};
use tunnel_core::PeerInfo;
use tunnel_tests::{
    client::{Client, Version},
    tunnel::{address, listener},
    wait::within_limit,
};
use tunnel_transport::{Gateway, entry::Entry, net::Listener};

/// EMFILE, ENFILE, ENOBUFS, ECONNABORTED, EPROTO and one without a number, as Linux has them.
const ERRORS: [i32; 5] = [24, 23, 105, 103, 71];

/// Fails in every way before it accepts.
struct Failing {
    errors: VecDeque<io::Error>,
    listener: TcpListener,
}

impl Failing {
    async fn new() -> Self {
        let errors = ERRORS.map(io::Error::from_raw_os_error).into_iter();
        Self {
            errors: errors.chain([io::Error::other("nobody knows")]).collect(),
            listener: listener().await,
        }
    }
}

impl Listener for Failing {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, PeerInfo)> {
        if let Some(error) = self.errors.pop_front() {
            return Err(error);
        }
        Listener::accept(&mut self.listener).await
    }
}

#[tokio::test]
async fn both_ports_outlive_errors_of_their_listeners() {
    within_limit(async {
        let (outside, agents) = (Failing::new().await, Failing::new().await);
        let addresses = [address(&outside.listener), address(&agents.listener)];
        let app = Router::new().fallback(any(async || "ok"));
        tokio::spawn(Entry::new().serve(outside, app).into_future());
        let gateway = Gateway::builder().open_to_any_agent().build();
        tokio::spawn(gateway.serve_agents(agents).into_future());
        for addr in addresses {
            let mut client = Client::connect(Version::Http2, addr).await;
            client.get("/").await;
        }
    })
    .await;
}
