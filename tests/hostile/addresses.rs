//! The connections of one address.

use std::future::IntoFuture as _;

use axum::{Router, routing::any};
use tokio::io::AsyncWriteExt as _;
use tunnel_tests::{
    client::{Client, RawClient, Version},
    tunnel::{address, listener},
    wait::within_limit,
};
use tunnel_transport::{Gateway, entry::Entry};

use crate::world::to_end;

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

fn app() -> Router {
    Router::new().fallback(any(async || "ok"))
}

#[tokio::test]
async fn an_address_has_so_many_and_no_more() {
    within_limit(async {
        let listener = listener().await;
        let addr = address(&listener);
        let entry = Entry::new().max_connections_per_address(2);
        tokio::spawn(entry.serve(listener, app()).into_future());
        let mut first = RawClient::connect(addr).await;
        assert_eq!(first.call(GET).await.status, 200);
        let mut second = RawClient::connect(addr).await;
        assert_eq!(second.call(GET).await.status, 200);
        let mut third = RawClient::connect(addr).await;
        assert!(to_end(&mut third.socket).await.is_empty());
        // The first two are not harmed, and a place that is free is taken again.
        assert_eq!(first.call(GET).await.status, 200);
        drop(second);
        loop {
            let mut next = RawClient::connect(addr).await;
            let _ = next.socket.write_all(b"GET / HTTP/1.0\r\n\r\n").await;
            if !to_end(&mut next.socket).await.is_empty() {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn addresses_can_be_exempt() {
    within_limit(async {
        let listener = listener().await;
        let addr = address(&listener);
        let loopback = "127.0.0.0/8".parse().expect("a prefix");
        let entry = Entry::new()
            .max_connections_per_address(1)
            .exempt_addresses([loopback]);
        tokio::spawn(entry.serve(listener, app()).into_future());
        let mut clients = Vec::new();
        for _ in 0..5 {
            let mut client = RawClient::connect(addr).await;
            assert_eq!(client.call(GET).await.status, 200);
            clients.push(client);
        }
    })
    .await;
}

#[tokio::test]
async fn the_port_for_agents_counts_too() {
    within_limit(async {
        let listener = listener().await;
        let addr = address(&listener);
        let gateway = Gateway::builder().open_to_any_agent().build();
        let serve = gateway
            .serve_agents(listener)
            .limits(|entry| entry.max_connections_per_address(1));
        tokio::spawn(serve.into_future());
        let mut first = Client::connect(Version::Http2, addr).await;
        first.get("/nothing").await;
        let mut second = RawClient::connect(addr).await;
        assert!(to_end(&mut second.socket).await.is_empty());
        first.get("/nothing").await;
    })
    .await;
}
