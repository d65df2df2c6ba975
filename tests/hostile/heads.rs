//! Heads that are too large, and bytes that are no HTTP.

use rand::{RngCore as _, SeedableRng as _, rngs::StdRng};
use tokio::io::AsyncWriteExt as _;

use crate::world::{PORTS, World, bare, flood, to_end};

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let world = World::new().await;
    let long = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
    let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(100_000));
    let target = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "y".repeat(1 << 20));
    for head in [long, many, target] {
        for port in PORTS.into_iter().filter(|port| port.is_outside()) {
            let connection = world.connect(port, "http/1.1").await;
            let pieces = head.as_bytes().chunks(8 * 1024).map(<[u8]>::to_vec);
            let came = world.survives(flood(connection, pieces)).await;
            // A reset may overtake the answer.
            let answer = String::from_utf8_lossy(&came);
            let line = answer.lines().next().unwrap_or_default();
            assert!(
                ["", "HTTP/1.1 431", "HTTP/1.1 414"]
                    .iter()
                    .any(|begin| line.starts_with(begin))
                    && !line.starts_with("HTTP/1.1 2"),
                "{line}"
            );
        }
    }
}

#[tokio::test]
async fn junk_is_closed() {
    let world = World::new().await;
    let mut random = StdRng::seed_from_u64(5);
    for port in PORTS {
        for size in [1, 24, 500, 100_000] {
            let mut junk = vec![0; size];
            random.fill_bytes(&mut junk);
            // Into TLS where there is one, and in its place.
            let connection = world.connect(port, "h2").await;
            world
                .survives(flood(connection, [junk.clone()].into_iter()))
                .await;
            world
                .survives(async {
                    let mut socket = bare(world.addr(port)).await;
                    let _ = socket.write_all(&junk).await;
                    to_end(&mut socket).await;
                })
                .await;
        }
    }
}

#[tokio::test]
async fn plain_http_on_a_port_with_tls() {
    let world = World::new().await;
    for port in PORTS.into_iter().filter(|port| port.is_tls()) {
        for sent in [&b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..], crate::frame::PREFACE] {
            world
                .survives(async {
                    let mut socket = bare(world.addr(port)).await;
                    socket.write_all(sent).await.expect("it is open");
                    to_end(&mut socket).await;
                })
                .await;
        }
    }
}
