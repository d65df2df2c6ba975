//! Readers that stand still beside others that do not.

use bytes::Bytes;
use tunnel_core::flow::DEFAULT_INITIAL_CREDIT;

use crate::{
    http1::Raw,
    http2::{self, H2, WINDOW},
    world::{PLACES, Place, World, within},
};

/// What one exchange with a reader that stands still may hold, in bytes, from the app to the client: its credit, and the
/// buffers of the connections before and after the tunnel (the client's window, what the entry's and the origin's h2 hold,
/// the upstream's window, the chunk on its way and what hyper has taken in advance).
const HELD: u64 =
    DEFAULT_INITIAL_CREDIT as u64 + WINDOW as u64 + 64 * 1024 + 256 * 1024 + 400 * 1024 + 128 * 1024;

#[tokio::test]
async fn one_stalled_reader_harms_no_other_exchange() {
    within(async {
        for place in PLACES {
            let world = World::new(place).await;
            let mut client = H2::connect(world.addr()).await;
            let stalled = http2::head(client.get("/endless").await.0).await;
            world.app.producing(u64::from(DEFAULT_INITIAL_CREDIT)).await;
            let exchanges = (0..200).map(|_| client.fast());
            futures_util::future::join_all(exchanges).await;
            // The kernel's buffers between an HTTP/1.1 origin and the agent are not ours to bound.
            if place != Place::Http1 {
                assert!(
                    world.app.produced() <= HELD,
                    "{place:?}: {}",
                    world.app.produced()
                );
            }
            client.assert_open();
            drop(stalled);
            world.settled().await;
        }
    })
    .await;
}

#[tokio::test]
async fn fifty_stalled_readers_are_bounded_and_harm_no_other() {
    const READERS: u64 = 50;
    within(async {
        let world = World::new(Place::Agent).await;
        let mut client = H2::connect(world.addr()).await;
        let mut stalled = Vec::new();
        for _ in 0..READERS {
            stalled.push(http2::head(client.get("/endless").await.0).await);
        }
        world
            .app
            .producing(READERS * u64::from(DEFAULT_INITIAL_CREDIT))
            .await;
        futures_util::future::join_all((0..40).map(|_| client.fast())).await;
        let others = H2::connect(world.addr()).await;
        futures_util::future::join_all((0..90).map(|_| others.fast())).await;
        assert!(world.app.produced() <= READERS * HELD, "{}", world.app.produced());
        let granted = world.tunnel.gateway.credit().used() as u64;
        assert!(
            granted <= READERS * u64::from(DEFAULT_INITIAL_CREDIT),
            "{granted}"
        );
        // One that goes on reading gets more.
        let before = world.app.produced();
        let mut resumed = stalled.swap_remove(0).into_body();
        http2::read(&mut resumed, 4 * DEFAULT_INITIAL_CREDIT as usize).await;
        assert!(world.app.produced() > before);
        client.assert_open();
        drop((stalled, resumed));
        world.settled().await;
    })
    .await;
}

#[tokio::test]
async fn a_stalled_http1_reader_harms_no_other() {
    within(async {
        let world = World::new(Place::Agent).await;
        let mut stalled = Raw::get(world.addr(), "/endless").await;
        stalled.head().await;
        world.app.producing(u64::from(DEFAULT_INITIAL_CREDIT)).await;
        let client = H2::connect(world.addr()).await;
        futures_util::future::join_all((0..90).map(|_| client.fast())).await;
        stalled.reset();
        world.settled().await;
    })
    .await;
}

#[tokio::test]
async fn an_upload_that_nobody_reads_is_bounded_and_harms_no_other() {
    within(async {
        for place in PLACES {
            let world = World::new(place).await;
            let mut client = H2::connect(world.addr()).await;
            let (response, mut stream) = client.post("/held").await;
            // The sockets' buffers count as well where the app is behind one.
            let mut sent = 0;
            let piece = Bytes::from(vec![b'x'; 16 * 1024]);
            world.app.serving(1).await;
            let upload = async {
                for _ in 0..2_048 {
                    http2::send(&mut stream, piece.clone())
                        .await
                        .expect("the stream is open");
                    sent += piece.len();
                }
                stream.send_data(Bytes::new(), true).expect("the stream is open");
            };
            let others = async {
                for _ in 0..20 {
                    futures_util::future::join_all((0..10).map(|_| client.fast())).await;
                }
                world.app.release(1);
            };
            tokio::join!(upload, others);
            let answer = http2::head(response).await;
            assert_eq!(
                http2::read_all(answer.into_body()).await.expect("a whole body"),
                sent.to_string()
            );
            client.assert_open();
            world.settled().await;
        }
    })
    .await;
}
