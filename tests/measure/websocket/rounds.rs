//! The time of a round trip.

use std::{fmt, net::SocketAddr, time::Duration};

use tokio::time::Instant;
use tunnel_tests::{
    client::Version,
    websocket::{Frame, Peer, handshake, open},
};

/// Some of the times of many round trips.
pub(crate) struct Times {
    best: Duration,
    median: Duration,
    most: Duration,
}

impl Times {
    pub(crate) const HEADER: &str = "| way | best | median | 99 % |\n| --- | --- | --- | --- |";
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = |time: &Duration| time.as_nanos() as f64 / 1_000.0;
        write!(
            f,
            "{:.1} | {:.1} | {:.1}",
            micros(&self.best),
            micros(&self.median),
            micros(&self.most)
        )
    }
}

/// A WebSocket over a connection of its own.
pub(crate) async fn connect(addr: SocketAddr) -> Peer {
    open(Version::Http1, addr, handshake("/")).await.upgraded().1
}

/// One message there and back.
pub(crate) async fn round(peer: &mut Peer) {
    let message = Frame::binary(vec![b'm'; 64]);
    peer.send(&message).await;
    assert_eq!(peer.recv().await, message);
}

/// Measures so many round trips over one WebSocket, after a few to warm up.
pub(crate) async fn measure(addr: SocketAddr, rounds: usize) -> Times {
    let mut peer = connect(addr).await;
    for _ in 0..rounds / 10 {
        round(&mut peer).await;
    }
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let start = Instant::now();
        round(&mut peer).await;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Times {
        best: times[0],
        median: times[rounds / 2],
        most: times[rounds * 99 / 100],
    }
}
