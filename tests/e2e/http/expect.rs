//! `Expect: 100-continue`: the far end decides whether the body is sent at all.

use axum::body::Body;
use http::{Response, StatusCode};
use tunnel_tests::{
    body,
    client::Version,
    origin::{app, recorder},
};

use super::world::{Way, World, post};

on_every_way! { wanted, refused }

const HEAD: &str = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";

/// The 100 comes when the app asks for the body. hyper has none for HTTP/2; there the body has to pass without it.
async fn wanted(way: Way) {
    let (app, mut seen) = recorder("fine");
    let mut world = World::new(way, app).await;
    if way.client == Version::Http2 {
        let mut request = post("hello");
        request
            .headers_mut()
            .insert("expect", "100-continue".parse().unwrap());
        let response = world.send(request).await;
        assert_eq!(
            (response.status(), body::whole(response).await),
            (StatusCode::OK, "fine".into())
        );
        assert_eq!(seen.next().await.into_body().to_bytes(), "hello");
    } else {
        let mut raw = world.raw().await;
        for _ in 0..2 {
            raw.send(HEAD).await;
            assert_eq!(raw.head().await.0, StatusCode::CONTINUE);
            raw.send("hello").await;
            let response = raw.response().await;
            assert_eq!(
                (response.status, &response.body[..]),
                (StatusCode::OK, &b"fine"[..])
            );
            assert_eq!(seen.next().await.into_body().to_bytes(), "hello");
        }
        // Who does not wait may be told or not.
        raw.send(format!("{HEAD}hello")).await;
        let response = raw.final_response().await;
        assert_eq!(
            (response.status, &response.body[..]),
            (StatusCode::OK, &b"fine"[..])
        );
        assert_eq!(seen.next().await.into_body().to_bytes(), "hello");
    }
    world.settled().await;
}

/// No 100 stands before an answer that does without the body.
async fn refused(way: Way) {
    let app = app(|request| async move {
        let status: u16 = request.headers()["x-status"].to_str().unwrap().parse().unwrap();
        Response::builder().status(status).body(Body::from("no")).unwrap()
    });
    let mut world = World::new(way, app).await;
    for status in ["413", "401", "302"] {
        if way.client == Version::Http2 {
            let (feed, upload) = body::fed();
            let mut request = post(upload);
            request
                .headers_mut()
                .insert("expect", "100-continue".parse().unwrap());
            request.headers_mut().insert("x-status", status.parse().unwrap());
            let response = world.send(request).await;
            assert_eq!(response.status().as_str(), status);
            assert_eq!(body::whole(response).await, "no");
            drop(feed);
        } else {
            let mut raw = world.raw().await;
            raw.send(HEAD.replace("\r\n\r\n", &format!("\r\nx-status: {status}\r\n\r\n")))
                .await;
            let response = raw.response().await;
            assert_eq!(
                (response.status.as_str(), &response.body[..]),
                (status, &b"no"[..])
            );
        }
    }
    world.settled().await;
}
