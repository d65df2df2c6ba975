//! Content-Length is kept, and an unknown length stays unknown.

use axum::body::Body;
use http::{Method, Response, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tunnel_tests::{
    body,
    client::Version,
    origin::{app, recorder},
};

use super::world::{Far, Way, World, get, post};

on_every_way! { request_lengths, response_lengths, get_with_a_body, short_response }

async fn request_lengths(way: Way) {
    let (app, mut seen) = recorder("");
    let mut world = World::new(way, app).await;

    // Without a body, nothing says that there is one.
    assert_eq!(world.send(get("/")).await.status(), 200);
    let headers = seen.headers().await;
    assert!(
        !headers.contains_key(header::CONTENT_LENGTH) && !headers.contains_key(header::TRANSFER_ENCODING)
    );

    for content in ["", "hello"] {
        let mut request = post(content);
        request
            .headers_mut()
            .insert(header::CONTENT_LENGTH, content.len().into());
        assert_eq!(world.send(request).await.status(), 200);
        let (parts, body) = seen.next().await.into_parts();
        assert_eq!(parts.headers[header::CONTENT_LENGTH], content.len().to_string());
        assert!(!parts.headers.contains_key(header::TRANSFER_ENCODING));
        assert_eq!(body.to_bytes(), content);
    }

    // An empty one may be known to be empty by then.
    for len in [1, 5, 70_000] {
        assert_eq!(world.send(post(body::streamed(len))).await.status(), 200);
        let (parts, body) = seen.next().await.into_parts();
        assert!(
            !parts.headers.contains_key(header::CONTENT_LENGTH),
            "{len}: {:?}",
            parts.headers
        );
        assert_eq!(body.to_bytes().len() as u64, len);
    }
    world.settled().await;
}

async fn response_lengths(way: Way) {
    let app = app(|request| async move {
        let len = request.uri().query().unwrap().parse().unwrap();
        let is_sized = request.uri().path() == "/sized";
        Response::new(if is_sized {
            body::sized(len)
        } else {
            body::streamed(len)
        })
    });
    let mut world = World::new(way, app).await;
    for len in [0, 5, 70_000] {
        let response = world.client.get(&format!("/sized?{len}")).await;
        assert_eq!(response.headers()[header::CONTENT_LENGTH], len.to_string());
        assert!(!response.headers().contains_key(header::TRANSFER_ENCODING));
        assert_eq!(response.body().size_hint().exact(), Some(len));
        body::assert_pattern(response, len).await;

        let response = world.client.get(&format!("/streamed?{len}")).await;
        if len == 0 {
            // It may be known to be empty by then.
            assert_eq!(body::whole(response).await, "");
            continue;
        }
        assert!(
            !response.headers().contains_key(header::CONTENT_LENGTH),
            "{len}: {:?}",
            response.headers()
        );
        assert_eq!(
            response.headers().contains_key(header::TRANSFER_ENCODING),
            way.client == Version::Http1
        );
        body::assert_pattern(response, len).await;
    }
    world.settled().await;
}

/// No method takes a body away, whether or not its length is known.
async fn get_with_a_body(way: Way) {
    let (app, mut seen) = recorder("");
    let mut world = World::new(way, app).await;
    for method in [Method::GET, Method::DELETE, Method::OPTIONS] {
        for body in [Body::from("hello"), body::streamed(5)] {
            let is_streamed = body.size_hint().exact().is_none();
            let mut request = post(body);
            request.method_mut().clone_from(&method);
            if is_streamed && way.client == Version::Http1 {
                request
                    .headers_mut()
                    .insert(header::TRANSFER_ENCODING, "chunked".parse().unwrap());
            }
            assert_eq!(world.send(request).await.status(), 200);
            let (parts, body) = seen.next().await.into_parts();
            assert_eq!(body.to_bytes().len(), 5, "{method}");
            let coded = parts.headers.contains_key(header::TRANSFER_ENCODING);
            assert_eq!(coded, is_streamed && way.far == Far::Http1, "{method}");
        }
    }
    world.settled().await;
}

/// A body that is shorter than its head said is no complete one for anybody.
async fn short_response(way: Way) {
    let app = app(|_| async {
        let response = Response::builder().header(header::CONTENT_LENGTH, 8);
        response.body(body::streamed(5)).unwrap()
    });
    let mut world = World::new(way, app).await;
    // The failure may overtake the head, here or at the upstream.
    if let Ok(response) = world.client.send(get("/")).await {
        let status = response.status().as_u16();
        let body = response.into_body().collect().await;
        assert!(
            (status == 200 && body.is_err()) || status == 502,
            "{status} {body:?}"
        );
    }
    world.settled().await;
}
