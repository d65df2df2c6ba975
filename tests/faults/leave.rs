//! The outside client leaves: whatever serves it is dropped, wherever that runs.

use bytes::Bytes;

use crate::{
    app::FIRST,
    http1::{self, Raw},
    http2::{self, H2},
    world::{PLACES, World, within},
};

/// How an HTTP/1.1 client leaves.
#[derive(Clone, Copy, Debug)]
enum Leave {
    Fin,
    Reset,
}

impl Leave {
    async fn with(self, mut client: Raw) -> Option<Raw> {
        match self {
            Self::Fin => {
                client.fin().await;
                // It is still there, and does not read: only the FIN says that it left.
                Some(client)
            }
            Self::Reset => {
                client.reset();
                None
            }
        }
    }
}

const WAYS: [Leave; 2] = [Leave::Fin, Leave::Reset];

#[tokio::test]
async fn http1_before_the_head() {
    within(async {
        for place in PLACES {
            for leave in WAYS {
                let world = World::new(place).await;
                let client = Raw::get(world.addr(), "/wait").await;
                world.app.serving(1).await;
                let _client = leave.with(client).await;
                world.settled().await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn http1_before_the_head_with_the_next_request_sent_already() {
    within(async {
        for place in PLACES {
            for leave in WAYS {
                let world = World::new(place).await;
                let mut client = Raw::connect(world.addr()).await;
                client
                    .send(&(http1::head("GET", "/wait", "") + &http1::head("GET", "/fast", "")))
                    .await;
                world.app.serving(1).await;
                let _client = leave.with(client).await;
                world.settled().await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn http1_in_mid_download() {
    within(async {
        for place in PLACES {
            for leave in WAYS {
                let world = World::new(place).await;
                let mut client = Raw::get(world.addr(), "/chunked").await;
                client.head().await;
                client.read(FIRST).await;
                let _client = leave.with(client).await;
                world.settled().await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn http1_in_mid_download_with_the_next_request_sent_already() {
    within(async {
        for place in PLACES {
            for leave in WAYS {
                let world = World::new(place).await;
                let mut client = Raw::connect(world.addr()).await;
                client
                    .send(&(http1::head("GET", "/chunked", "") + &http1::head("GET", "/fast", "")))
                    .await;
                client.head().await;
                client.read(FIRST).await;
                let _client = leave.with(client).await;
                world.settled().await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn http1_in_mid_download_without_reading() {
    within(async {
        for place in PLACES {
            for leave in WAYS {
                let world = World::new(place).await;
                let mut client = Raw::get(world.addr(), "/endless").await;
                client.head().await;
                let _client = leave.with(client).await;
                world.settled().await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn http1_in_mid_upload() {
    within(async {
        for place in PLACES {
            for leave in WAYS {
                for framing in ["transfer-encoding: chunked\r\n", "content-length: 1000000\r\n"] {
                    let world = World::new(place).await;
                    let mut client = Raw::connect(world.addr()).await;
                    client.send(&http1::head("POST", "/upload", framing)).await;
                    client.send("5\r\nhello\r\n").await;
                    world.app.serving(1).await;
                    let _client = leave.with(client).await;
                    world.settled().await;
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn http2_before_the_head() {
    within(async {
        for place in PLACES {
            let world = World::new(place).await;
            let client = H2::connect(world.addr()).await;
            let (_response, mut stream) = client.get("/wait").await;
            world.app.serving(1).await;
            stream.send_reset(h2::Reason::CANCEL);
            world.settled().await;
            client.fast().await;
            world.settled().await;
        }
    })
    .await;
}

#[tokio::test]
async fn http2_in_mid_download() {
    within(async {
        for place in PLACES {
            let world = World::new(place).await;
            let client = H2::connect(world.addr()).await;
            let (response, mut stream) = client.get("/endless").await;
            let mut body = http2::head(response).await.into_body();
            http2::read(&mut body, FIRST).await;
            stream.send_reset(h2::Reason::CANCEL);
            world.settled().await;
            client.fast().await;
            world.settled().await;
        }
    })
    .await;
}

#[tokio::test]
async fn http2_in_mid_upload() {
    within(async {
        for place in PLACES {
            let world = World::new(place).await;
            let client = H2::connect(world.addr()).await;
            let (_response, mut stream) = client.post("/upload").await;
            http2::send(&mut stream, Bytes::from_static(b"hello"))
                .await
                .expect("the stream is open");
            world.app.serving(1).await;
            stream.send_reset(h2::Reason::CANCEL);
            world.settled().await;
            client.fast().await;
            world.settled().await;
        }
    })
    .await;
}

#[tokio::test]
async fn http2_with_the_connection() {
    within(async {
        for place in PLACES {
            let world = World::new(place).await;
            let client = H2::connect(world.addr()).await;
            let waiting = client.get("/wait").await;
            let download = client.get("/endless").await;
            let upload = client.post("/upload").await;
            world.app.serving(3).await;
            drop(client);
            world.settled().await;
            drop((waiting, download, upload));
        }
    })
    .await;
}
