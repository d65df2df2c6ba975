//! Responses that end before the request does.

use axum::body::Body;
use http::{Response, StatusCode};
use tokio::sync::oneshot;
use tunnel_tests::{
    body::{self, Feed},
    client::Version,
    origin::app,
};

use super::world::{Way, World, get, post, single};

on_every_way! { goes_on_after_the_response, is_stopped_by_an_answer, is_dropped_unread }

/// The app answers in full, and reads the request's body after that, to its end.
async fn goes_on_after_the_response(way: Way) {
    const LEN: usize = 1 << 20;
    let (got, all) = oneshot::channel();
    let got = single(got);
    let app = app(move |request| {
        let got = got.take();
        async move {
            tokio::spawn(async move { got.send(body::whole(request.into_body()).await) });
            Response::new(Body::from("early"))
        }
    });
    let mut world = World::new(way, app).await;
    let (mut feed, upload) = body::fed();
    let response = world.send(post(upload)).await;
    assert_eq!(body::whole(response).await, "early");
    for _ in 0..LEN / 16_384 {
        feed.send_data(vec![7; 16_384].into()).await.unwrap();
    }
    drop(feed);
    let all = all.await.unwrap();
    assert_eq!((all.len(), all.iter().all(|byte| *byte == 7)), (LEN, true));
    world.settled().await;
}

/// The app answers with an error in full and drops the request's body; then the client's next request is served.
async fn is_stopped_by_an_answer(way: Way) {
    let mut world = World::new(way, answers_early()).await;
    let (feed, upload) = body::fed();
    let response = world.send(post(upload)).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(body::whole(response).await, "too large");
    push(feed).await;
    another(&mut world).await;
    world.settled().await;
}

/// The same for a body that is on its way already, more than all windows and buffers hold.
async fn is_dropped_unread(way: Way) {
    const LEN: u64 = 16 << 20;
    let mut world = World::new(way, answers_early()).await;
    let response = world.client.send(post(body::sized(LEN))).await;
    match response {
        Ok(response) => {
            assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
            assert_eq!(body::whole(response).await, "too large");
        }
        // The connection may be closed before the client of HTTP/1.1, which is still writing, reads the answer.
        Err(error) => assert_eq!(way.client, Version::Http1, "{error:?}"),
    }
    another(&mut world).await;
    world.settled().await;
}

fn answers_early() -> axum::Router {
    app(|request| async move {
        let (parts, body) = request.into_parts();
        drop(body);
        match parts.method.as_str() {
            "POST" => Response::builder()
                .status(413)
                .body(Body::from("too large"))
                .unwrap(),
            _ => Response::new(Body::from("fine")),
        }
    })
}

/// Goes on with the upload until it is done, or somebody stops it.
async fn push(mut feed: Feed) {
    for _ in 0..64 {
        if feed.send_data(vec![7; 16_384].into()).await.is_err() {
            return;
        }
    }
}

/// HTTP/2 goes on on the same connection; HTTP/1.1 on the same or a new one.
async fn another(world: &mut World) {
    let response = match world.client.send(get("/")).await {
        Ok(response) => response,
        Err(error) => {
            assert_eq!(world.way.client, Version::Http1, "{error:?}");
            world.reconnect().await;
            world.send(get("/")).await
        }
    };
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(body::whole(response).await, "fine");
}
