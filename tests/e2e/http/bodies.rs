//! Bodies of every size, both ways.

use axum::body::Body;
use http::{Response, StatusCode};
use tunnel_tests::{body, client::Version, origin::app};

use super::world::{Far, Way, World, post};

on_every_way! { sizes, large_download, large_upload, large_echo }

const MIB: u64 = 1 << 20;

/// Around the sizes of chunks, frames and windows.
const SIZES: &[u64] = &[
    0,
    1,
    2,
    1_000,
    16_384,
    32_767,
    32_768,
    32_769,
    65_537,
    262_143,
    262_145,
    MIB + 1,
];

/// The app sends as many bytes as the path says, asserts that it got as many as the query says, or echoes.
fn mirror() -> axum::Router {
    app(|request| async move {
        let number = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok());
        let down = number(request.uri().path().strip_prefix("/down/"));
        let up = number(request.uri().query());
        match (down, up) {
            (_, Some(len)) => {
                body::assert_pattern(request.into_body(), len).await;
                Response::new(Body::from("complete"))
            }
            (Some(len), _) => Response::new(body::sized(len)),
            (None, None) => Response::new(request.into_body()),
        }
    })
}

async fn upload(world: &mut World, body: Body, len: u64) {
    let mut request = post(body);
    *request.uri_mut() = format!("/?{len}").parse().unwrap();
    let response = world.send(request).await;
    assert_eq!(response.status(), StatusCode::OK, "{len}");
    assert_eq!(body::whole(response).await, "complete", "{len}");
}

async fn download(world: &mut World, len: u64) {
    let response = world.client.get(&format!("/down/{len}")).await;
    body::assert_pattern(response, len).await;
}

async fn echo(world: &mut World, len: u64) {
    let response = world.send(post(body::streamed(len))).await;
    body::assert_pattern(response, len).await;
}

async fn sizes(way: Way) {
    let mut world = World::new(way, mirror()).await;
    for &len in SIZES {
        upload(&mut world, body::sized(len), len).await;
        upload(&mut world, body::streamed(len), len).await;
        download(&mut world, len).await;
        echo(&mut world, len).await;
    }
    world.settled().await;
}

async fn large_download(way: Way) {
    let mut world = World::new(way, mirror()).await;
    download(&mut world, 64 * MIB).await;
    world.settled().await;
}

async fn large_upload(way: Way) {
    let mut world = World::new(way, mirror()).await;
    upload(&mut world, body::sized(64 * MIB), 64 * MIB).await;
    world.settled().await;
}

/// Up and down at the same time.
async fn large_echo(way: Way) {
    let mut world = World::new(way, mirror()).await;
    echo(&mut world, 16 * MIB).await;
    world.settled().await;
}

#[tokio::test]
#[ignore = "moves 4 GiB"]
async fn one_gibibyte_each_way() {
    for client in [Version::Http1, Version::Http2] {
        let mut world = World::new(
            Way {
                client,
                far: Far::Http1,
            },
            mirror(),
        )
        .await;
        download(&mut world, 1024 * MIB).await;
        upload(&mut world, body::sized(1024 * MIB), 1024 * MIB).await;
        world.settled().await;
    }
}
