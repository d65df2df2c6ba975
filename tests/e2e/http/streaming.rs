//! Nothing is held back: what one end has said, the other hears before the first goes on.

use axum::body::Body;
use http::{HeaderValue, Response, header};
use tokio::sync::{mpsc, oneshot};
use tunnel_tests::{body, origin::app};

use super::world::{Way, World, get, post, single};

on_every_way! { events, ping_pong, head_before_body, answer_before_body, half_closed_request }

/// The app sends the next event only after the client has got the one before.
async fn events(way: Way) {
    let (feed, stream) = body::fed();
    let stream = single(stream);
    let app = app(move |_| {
        let stream = stream.take();
        async {
            let mut response = Response::new(stream);
            response.headers_mut().insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/event-stream"),
            );
            response
        }
    });
    let mut world = World::new(way, app).await;
    let mut response = world.send(get("/")).await;
    let mut feed = feed;
    for number in 0..50 {
        let event = format!("id: {number}\ndata: {}\n\n", "x".repeat(number));
        feed.send_data(event.clone().into()).await.unwrap();
        assert_eq!(body::next(response.body_mut()).await, event);
    }
    drop(feed);
    assert_eq!(body::whole(response).await, "");
    world.settled().await;
}

/// Both directions of one exchange, in turn.
async fn ping_pong(way: Way) {
    let app = app(|request| async { Response::new(request.into_body()) });
    let mut world = World::new(way, app).await;
    let (mut feed, upload) = body::fed();
    feed.send_data("first".into()).await.unwrap();
    let mut response = world.send(post(upload)).await;
    assert_eq!(body::next(response.body_mut()).await, "first");
    for number in 0..200 {
        let ping = format!("ping {number}");
        feed.send_data(ping.clone().into()).await.unwrap();
        assert_eq!(body::next(response.body_mut()).await, ping);
    }
    drop(feed);
    assert_eq!(body::whole(response).await, "");
    world.settled().await;
}

/// The head of the response comes while there is not one byte of its body.
async fn head_before_body(way: Way) {
    let (feed, stream) = body::fed();
    let stream = single(stream);
    let app = app(move |_| {
        let stream = stream.take();
        async {
            Response::builder()
                .status(202)
                .header("x-app", "1")
                .body(stream)
                .unwrap()
        }
    });
    let mut world = World::new(way, app).await;
    let mut response = world.send(get("/")).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-app"]),
        (202, &HeaderValue::from_static("1"))
    );
    let mut feed = feed;
    feed.send_data("body".into()).await.unwrap();
    assert_eq!(body::next(response.body_mut()).await, "body");
    drop(feed);
    assert_eq!(body::whole(response).await, "");
    world.settled().await;
}

/// The head of the response comes while there is not one byte of the request's body.
async fn answer_before_body(way: Way) {
    let app = app(|request| async {
        Response::builder()
            .header("x-app", "1")
            .body(request.into_body())
            .unwrap()
    });
    let mut world = World::new(way, app).await;
    let (mut feed, upload) = body::fed();
    let mut response = world.send(post(upload)).await;
    assert_eq!(response.headers()["x-app"], "1");
    feed.send_data("late".into()).await.unwrap();
    assert_eq!(body::next(response.body_mut()).await, "late");
    drop(feed);
    assert_eq!(body::whole(response).await, "");
    world.settled().await;
}

/// The end of the request is heard while the response goes on.
async fn half_closed_request(way: Way) {
    let (ended, end) = oneshot::channel();
    let ended = single(ended);
    let (feed, stream) = body::fed();
    let stream = single(stream);
    let app = app(move |request| {
        let (ended, stream) = (ended.take(), stream.take());
        async move {
            tokio::spawn(async move { ended.send(body::whole(request.into_body()).await) });
            Response::new(stream)
        }
    });
    let mut world = World::new(way, app).await;
    let (mut upload, request) = body::fed();
    let mut response = world.send(post(request)).await;
    let mut feed = feed;
    feed.send_data("before".into()).await.unwrap();
    assert_eq!(body::next(response.body_mut()).await, "before");
    upload.send_data("all of it".into()).await.unwrap();
    drop(upload);
    assert_eq!(end.await.unwrap(), "all of it");
    feed.send_data("after".into()).await.unwrap();
    assert_eq!(body::next(response.body_mut()).await, "after");
    drop(feed);
    assert_eq!(body::whole(response).await, "");
    world.settled().await;
}

/// Many streams of events on one connection of HTTP/2, each at its own pace.
#[tokio::test]
async fn streams_do_not_wait_for_each_other() {
    tunnel_tests::wait::within_limit(async {
        let (streams, mut opened) = mpsc::channel(16);
        let app = app(move |_| {
            let streams = streams.clone();
            async move {
                let (feed, stream) = body::fed();
                streams.send(feed).await.unwrap();
                Response::new(stream)
            }
        });
        let way = Way {
            client: tunnel_tests::client::Version::Http2,
            far: super::world::Far::H2c,
        };
        let mut world = World::new(way, app).await;
        let mut open = Vec::new();
        for _ in 0..16 {
            let response = world.send(get("/")).await;
            open.push((opened.recv().await.unwrap(), response.into_body()));
        }
        for round in 0..5 {
            for (index, (feed, events)) in open.iter_mut().enumerate().rev() {
                let event = format!("{index} {round}");
                feed.send_data(event.clone().into()).await.unwrap();
                assert_eq!(body::next(events).await, event);
            }
        }
        for (feed, events) in open {
            drop(feed);
            assert_eq!(body::whole(Body::new(events)).await, "");
        }
        world.settled().await;
    })
    .await;
}
