//! 100,000 frames of 6 bytes to a reader that stands still, at each of the connections, beside a live exchange on the same
//! HTTP/2 connection. h2 closes a connection on which small frames pile up: none of ours may be closed.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::Response;
use tokio::{sync::watch, task::JoinSet};
use tunnel_tests::tunnel::{Tunnel, listener};
use tunnel_transport::Upstream;

use crate::{
    app::{DRIP, DRIPS},
    http2::{self, H2},
    world::{PLACES, World, within},
};

const ALL: usize = DRIPS as usize * DRIP.len();

/// Makes live exchanges on the client's connection until no more frames are sent beside them.
async fn until_still(frames: &watch::Receiver<u64>, client: &H2) {
    let mut before = 0;
    loop {
        for _ in 0..20 {
            client.fast().await;
        }
        let now = *frames.borrow();
        if now > 0 && now == before {
            println!("{now} frames were sent to a reader that stands still");
            break;
        }
        before = now;
    }
}

#[tokio::test]
async fn a_client_that_stops_reading_small_frames_keeps_its_connection() {
    within(async {
        for place in PLACES {
            let world = World::new(place).await;
            let session = world.tunnel.agents[0].connected().await;
            let mut client = H2::connect(world.addr()).await;
            let dripping = http2::head(client.get("/drip").await.0).await;
            assert_eq!(dripping.status(), 200);
            world.app.producing(DRIP.len() as u64 * 1_000).await;
            for _ in 0..20 {
                client.fast().await;
            }
            let whole = http2::read_all(dripping.into_body()).await.expect("a whole body");
            assert_eq!(whole.len(), ALL);
            client.fast().await;
            client.assert_open();
            assert_eq!(
                world.tunnel.agents[0].connected().await,
                session,
                "the tunnel's connection ended"
            );
            world.settled().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_handler_that_does_not_read_small_frames_keeps_the_clients_connection() {
    within(async {
        for place in PLACES {
            let world = World::new(place).await;
            let session = world.tunnel.agents[0].connected().await;
            let mut client = H2::connect(world.addr()).await;
            let (response, mut stream) = client.post("/held").await;
            world.app.serving(1).await;
            let sent = watch::Sender::new(0_u64);
            let upload = async {
                for _ in 0..DRIPS {
                    http2::send(&mut stream, Bytes::from_static(DRIP))
                        .await
                        .expect("the stream is open");
                    sent.send_modify(|frames| *frames += 1);
                }
                stream.send_data(Bytes::new(), true).expect("the stream is open");
            };
            let others = async {
                // What credit does not let into the tunnel waits in our entry's h2.
                until_still(&sent.subscribe(), &client).await;
                world.app.release(1);
            };
            tokio::join!(upload, others);
            let answer = http2::head(response).await;
            assert_eq!(
                http2::read_all(answer.into_body()).await.expect("a whole body"),
                ALL.to_string()
            );
            client.fast().await;
            client.assert_open();
            assert_eq!(
                world.tunnel.agents[0].connected().await,
                session,
                "the tunnel's connection ended"
            );
            world.settled().await;
        }
    })
    .await;
}

/// An HTTP/2 origin that sends each drip in a frame of its own. Its connections are counted, and how many of them the other
/// side has ended.
struct Origin {
    addr: SocketAddr,
    accepted: watch::Receiver<u32>,
    ended: watch::Receiver<u32>,
    frames: watch::Receiver<u64>,
    _tasks: JoinSet<()>,
}

impl Origin {
    async fn start() -> Self {
        let listener = listener().await;
        let addr = listener.local_addr().expect("bound");
        let (accepted, ended, frames) = (
            watch::Sender::new(0),
            watch::Sender::new(0),
            watch::Sender::new(0),
        );
        let receivers = (accepted.subscribe(), ended.subscribe(), frames.subscribe());
        let (ended, frames) = (Arc::new(ended), Arc::new(frames));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.expect("a connection");
                accepted.send_modify(|count| *count += 1);
                let (ended, frames) = (ended.clone(), frames.clone());
                connections.spawn(async move {
                    serve(socket, frames).await;
                    ended.send_modify(|count| *count += 1);
                });
            }
        });
        let (accepted, ended, frames) = receivers;
        Self {
            addr,
            accepted,
            ended,
            frames,
            _tasks: tasks,
        }
    }
}

async fn serve(socket: tokio::net::TcpStream, frames: Arc<watch::Sender<u64>>) {
    let mut connection = h2::server::handshake(socket).await.expect("HTTP/2");
    let mut streams = JoinSet::new();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let frames = frames.clone();
        streams.spawn(async move {
            if request.uri().path() != "/drip" {
                let mut body = respond
                    .send_response(Response::new(()), false)
                    .expect("the agent is there");
                return body
                    .send_data(Bytes::from_static(b"ok"), true)
                    .expect("the agent is there");
            }
            let mut body = respond
                .send_response(Response::new(()), false)
                .expect("the agent is there");
            for _ in 0..DRIPS {
                http2::send(&mut body, Bytes::from_static(DRIP))
                    .await
                    .expect("the agent is there");
                frames.send_modify(|count| *count += 1);
            }
            body.send_data(Bytes::new(), true).expect("the agent is there");
        });
    }
}

#[tokio::test]
async fn an_upstream_that_sends_small_frames_to_a_client_that_stopped_keeps_its_connection() {
    within(async {
        let origin = Origin::start().await;
        let upstream = Upstream::h2c(format!("http://{}", origin.addr)).expect("an address of our own");
        let tunnel = Tunnel::serve(upstream).await;
        let mut client = H2::connect(tunnel.addr).await;
        let dripping = http2::head(client.get("/drip").await.0).await;
        assert_eq!(dripping.status(), 200);
        // What credit does not let into the tunnel waits in our forwarder's h2.
        until_still(&origin.frames, &client).await;
        let whole = http2::read_all(dripping.into_body()).await.expect("a whole body");
        assert_eq!(whole.len(), ALL);
        client.fast().await;
        client.assert_open();
        assert_eq!(
            (*origin.accepted.borrow(), *origin.ended.borrow()),
            (1, 0),
            "the upstream's connection ended"
        );
        tunnel.settled().await;
    })
    .await;
}
