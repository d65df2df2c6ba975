//! Requests that are cancelled at random points: nothing of any may be left.

use bytes::Bytes;
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use tokio::task::yield_now;

use crate::{
    http1::{self, Raw},
    http2::H2,
    world::{PLACES, World, within},
};

/// How many requests; `TUNNEL_CANCELS` says another number.
const REQUESTS: usize = 2_000;
/// How many run at one time on one HTTP/2 connection.
const AT_ONCE: usize = 50;

fn requests() -> usize {
    std::env::var("TUNNEL_CANCELS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(REQUESTS)
}

/// Waits for a random number of turns of the other tasks.
async fn some_turns(random: &mut SmallRng) {
    for _ in 0..random.random_range(0..40) {
        yield_now().await;
    }
}

async fn cancel_http2(client: &H2, mut random: SmallRng) {
    let path = ["/wait", "/endless", "/chunked", "/fast", "/sized"][random.random_range(0..5)];
    let (response, mut stream) = if random.random_bool(0.4) {
        // All of them read: hyper does not notice that a connection ends while the app reads nothing of the body.
        let path = ["/upload", "/echo"][random.random_range(0..2)];
        client.post(path).await
    } else {
        client.get(path).await
    };
    some_turns(&mut random).await;
    let is_upload = random.random_bool(0.7);
    if is_upload {
        for _ in 0..random.random_range(0..4) {
            let piece = Bytes::from(vec![b'x'; random.random_range(1..16_384)]);
            // The stream may have ended: a GET has no body, and `/fast` reads none.
            if stream.send_data(piece, false).is_err() {
                break;
            }
            some_turns(&mut random).await;
        }
    }
    if random.random_bool(0.5) && !matches!(path, "/wait") {
        let head = tokio::select! {
            biased;
            head = response => head.ok(),
            () = some_turns(&mut random) => None,
        };
        if let Some(head) = head {
            let mut body = head.into_body();
            tokio::select! {
                biased;
                _ = async { while let Some(Ok(bytes)) = body.data().await {
                    let _ = body.flow_control().release_capacity(bytes.len());
                } } => {}
                () = some_turns(&mut random) => {}
            }
        }
    }
    stream.send_reset(h2::Reason::CANCEL);
}

async fn cancel_http1(addr: std::net::SocketAddr, mut random: SmallRng) {
    let mut client = Raw::connect(addr).await;
    if random.random_bool(0.5) {
        let path = ["/wait", "/endless", "/sized", "/fast"][random.random_range(0..4)];
        client.send(&http1::head("GET", path, "")).await;
    } else {
        client
            .send(&http1::head("POST", "/upload", "content-length: 100000\r\n"))
            .await;
        some_turns(&mut random).await;
        client.send(&"x".repeat(random.random_range(1..99_999))).await;
    }
    some_turns(&mut random).await;
    if random.random_bool(0.5) {
        client.reset();
    }
}

#[tokio::test]
async fn requests_that_are_cancelled_at_random_points_leave_nothing() {
    let seed = 20_261_121;
    for place in PLACES {
        within(async {
            let world = World::new(place).await;
            let mut random = SmallRng::seed_from_u64(seed);
            let each = requests() / PLACES.len() / AT_ONCE;
            for _ in 0..each {
                let client = H2::connect(world.addr()).await;
                let batch = (0..AT_ONCE).map(|index| {
                    let random = SmallRng::from_rng(&mut random);
                    let client = &client;
                    let addr = world.addr();
                    async move {
                        if index % 5 == 0 {
                            cancel_http1(addr, random).await;
                        } else {
                            cancel_http2(client, random).await;
                        }
                    }
                });
                futures_util::future::join_all(batch).await;
            }
            world.settled().await;
            // And it still serves.
            H2::connect(world.addr()).await.fast().await;
            world.settled().await;
            println!(
                "{place:?}: {} cancelled, {} reached the app",
                each * AT_ONCE,
                world.app.served() - 1
            );
        })
        .await;
    }
}
