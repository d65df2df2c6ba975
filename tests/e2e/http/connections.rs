//! Many requests on one connection, one after the other and at the same time.

use std::sync::Arc;

use axum::body::Body;
use futures_util::future::join_all;
use http::Response;
use tokio::sync::Barrier;
use tunnel_tests::{
    body,
    client::Version,
    origin::{app, recorder},
    tunnel::GROUP,
};

use super::world::{Far, Way, World, get, post};

on_every_way! { one_after_the_other }

/// Answers with the target of the request and its body.
fn echo() -> axum::Router {
    app(|request| async move {
        let target = request.uri().path().to_owned();
        let body = body::whole(request.into_body()).await;
        Response::new(Body::from([target.as_bytes(), &body[..]].concat()))
    })
}

async fn one_after_the_other(way: Way) {
    let mut world = World::new(way, echo()).await;
    for index in 0..100 {
        let target = format!("/{index}");
        assert_eq!(body::whole(world.client.get(&target).await).await, target);
        let response = world.send(post(target.clone())).await;
        assert_eq!(body::whole(response).await, format!("/{target}"));
    }
    world.settled().await;
}

/// Answers to pipelined requests come in the order of the requests, those with a body among them.
async fn pipelined(far: Far) {
    let world = World::new(
        Way {
            client: Version::Http1,
            far,
        },
        echo(),
    )
    .await;
    let mut raw = world.raw().await;
    let request = |index: usize| match index % 2 {
        0 => format!("GET /{index} HTTP/1.1\r\nhost: a\r\n\r\n"),
        _ => format!("PUT /{index} HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello"),
    };
    raw.send((0..40).map(request).collect::<String>()).await;
    for index in 0..40 {
        let expected = if index % 2 == 0 {
            format!("/{index}")
        } else {
            format!("/{index}hello")
        };
        assert_eq!(raw.response().await.body, expected);
    }
    raw.send("GET /last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await;
    let last = raw.response().await;
    assert_eq!(
        (&last.body[..], &last.headers["connection"]),
        (&b"/last"[..], &"close".parse().unwrap())
    );
    raw.closed().await;
    world.settled().await;
}

/// The app answers only when as many requests are there as one connection may have: they do not wait for each other.
async fn at_the_same_time(far: Far) {
    const REQUESTS: usize = 200;
    const AT_ONCE: usize = 100;
    let barrier = Arc::new(Barrier::new(AT_ONCE));
    let app = app(move |request| {
        let barrier = Arc::clone(&barrier);
        async move {
            barrier.wait().await;
            let target = request.uri().path().to_owned();
            let body = body::whole(request.into_body()).await;
            Response::new(Body::from([target.as_bytes(), &body[..]].concat()))
        }
    });
    let world = World::new(
        Way {
            client: Version::Http2,
            far,
        },
        app,
    )
    .await;
    let calls = (0..REQUESTS).map(|index| {
        let mut client = world.client.share();
        async move {
            let mut request = post(format!(" {index}"));
            *request.uri_mut() = format!("/{index}").parse().unwrap();
            let response = client.send(request).await.unwrap();
            assert_eq!(body::whole(response).await, format!("/{index} {index}"));
        }
    });
    join_all(calls).await;
    world.settled().await;
}

/// Each gets its own bytes, whatever travels beside them, on one lane and on several.
async fn bodies_at_the_same_time(far: Far) {
    let echo = app(|request| async { Response::new(request.into_body()) });
    let mut world = World::new(
        Way {
            client: Version::Http2,
            far,
        },
        echo.clone(),
    )
    .await;
    let agent = world.tunnel.agent(GROUP).lanes(4);
    world.tunnel.run_agent(agent, echo).await;
    let calls = (0..40_u8).map(|index| {
        let mut client = world.client.share();
        async move {
            let content = vec![index; usize::from(index).pow(2) * 500];
            let response = client.send(post(content.clone())).await.unwrap();
            assert!(body::whole(response).await == content, "{index}");
        }
    });
    join_all(calls).await;
    world.settled().await;
}

/// A client of HTTP/1.0 gets an answer that it can read, and its connection is closed.
async fn http10(far: Far) {
    let (app, mut seen) = recorder("answer");
    let world = World::new(
        Way {
            client: Version::Http1,
            far,
        },
        app,
    )
    .await;
    let mut raw = world.raw().await;
    raw.send("GET /a HTTP/1.0\r\nhost: a\r\n\r\n").await;
    let mut answer = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut raw.socket, &mut answer)
        .await
        .unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.0 200") && answer.ends_with(b"\r\n\r\nanswer"),
        "{answer:?}"
    );
    assert_eq!(seen.next().await.uri().path(), "/a");
    world.settled().await;
}

/// Cookies that HTTP/2 may split are one field again behind us.
async fn split_cookies(far: Far) {
    let (app, mut seen) = recorder("");
    let mut world = World::new(
        Way {
            client: Version::Http2,
            far,
        },
        app,
    )
    .await;
    let mut request = get("/");
    for crumb in ["a=1", "b=2", "c=3"] {
        request.headers_mut().append("cookie", crumb.parse().unwrap());
    }
    assert_eq!(world.send(request).await.status(), 200);
    assert_eq!(seen.headers().await["cookie"], "a=1; b=2; c=3");
    world.settled().await;
}

on_every_far_end! { pipelined, at_the_same_time, bodies_at_the_same_time, http10, split_cookies }
