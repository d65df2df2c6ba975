//! Methods, and responses that have no body.

use axum::body::Body;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::Body as _;
use tunnel_tests::{
    body,
    client::Version,
    origin::{app, recorder},
};

use super::world::{Way, World, get};

on_every_way! { served, refused, statuses, head, bodiless, not_modified, options_of_all }

async fn served(way: Way) {
    let (app, mut seen) = recorder("answer");
    let mut world = World::new(way, app).await;
    let extensions =
        ["PROPFIND", "MKCOL", "M-SEARCH", "BREW"].map(|name| Method::from_bytes(name.as_bytes()).unwrap());
    let common = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    for method in common.into_iter().chain(extensions) {
        let request = Request::builder()
            .method(&method)
            .uri("/")
            .body(Body::empty())
            .unwrap();
        let response = world.send(request).await;
        assert_eq!(response.status(), StatusCode::OK, "{method}");
        assert_eq!(body::whole(response).await, "answer", "{method}");
        assert_eq!(seen.next().await.method(), method);
    }
    world.settled().await;
}

async fn refused(way: Way) {
    let (app, mut seen) = recorder("");
    let mut world = World::new(way, app).await;
    for (method, uri) in [(Method::TRACE, "/"), (Method::CONNECT, "example.com:443")] {
        let request = Request::builder()
            .method(&method)
            .uri(uri)
            .body(Body::empty())
            .unwrap();
        let response = world.send(request).await;
        assert_eq!(response.status(), StatusCode::NOT_IMPLEMENTED, "{method}");
        assert_eq!(response.headers()["x-tunnel-error"], "method-not-served");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert!(body::whole(response).await.starts_with(b"{"), "{method}");
        world.reconnect().await;
    }
    seen.assert_none();
    world.settled().await;
}

/// What the app answers passes untouched, failures of its own too.
async fn statuses(way: Way) {
    let app = app(|request| async move {
        let status = request.uri().path()[1..].parse::<u16>().unwrap();
        Response::builder()
            .status(status)
            .header("x-tunnel", "1")
            .body(Body::from("as it is"))
            .unwrap()
    });
    let mut world = World::new(way, app).await;
    for status in [
        200, 201, 203, 206, 226, 299, 300, 308, 400, 401, 404, 418, 429, 431, 451, 499, 500, 502, 503, 504,
        599, 999,
    ] {
        let response = world.client.get(&format!("/{status}")).await;
        assert_eq!(response.status(), status);
        assert!(!response.headers().contains_key("x-tunnel-error"), "{status}");
        assert_eq!(response.headers()["content-length"], "8");
        assert_eq!(body::whole(response).await, "as it is", "{status}");
    }
    world.settled().await;
}

async fn head(way: Way) {
    let app = app(|request| async move {
        let body = match request.uri().path() {
            "/sized" => Body::from("hello"),
            _ => body::streamed(5),
        };
        Response::builder().header("x-app", "1").body(body).unwrap()
    });
    let mut world = World::new(way, app).await;
    for target in ["/sized", "/streamed", "/sized"] {
        let head = world
            .send(Request::head(target).body(Body::empty()).unwrap())
            .await;
        assert_eq!(head.status(), StatusCode::OK);
        assert_eq!(head.headers()["x-app"], "1");
        let length = head.headers().get("content-length");
        assert_eq!(
            length.map(HeaderValue::as_bytes),
            (target == "/sized").then_some(&b"5"[..])
        );
        assert_eq!(body::whole(head).await, "");
        // On the same connection: nothing of the answer to HEAD is left in it.
        assert_eq!(body::whole(world.client.get(target).await).await.len(), 5);
    }
    world.settled().await;
}

async fn bodiless(way: Way) {
    let app = app(|request| async move {
        let status = request.uri().path()[1..].parse::<u16>().unwrap();
        Response::builder()
            .status(status)
            .header("etag", "\"1\"")
            .body(Body::empty())
            .unwrap()
    });
    let mut world = World::new(way, app).await;
    for status in [204, 304, 205, 301, 404, 500] {
        let response = world.client.get(&format!("/{status}")).await;
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["etag"], "\"1\"");
        assert!(!response.headers().contains_key("transfer-encoding"));
        if status == 204 || status == 304 {
            assert!(response.body().is_end_stream(), "{status}");
        }
        if status == 204 {
            assert!(!response.headers().contains_key("content-length"));
        }
        assert_eq!(body::whole(response).await, "");
    }
    world.settled().await;
}

/// A 304 may say the length of what it does not send (RFC 9110, section 8.6).
async fn not_modified(way: Way) {
    let app = app(|_| async {
        let response = Response::builder()
            .status(StatusCode::NOT_MODIFIED)
            .header("etag", "\"1\"");
        response.header("content-length", 5).body(Body::empty()).unwrap()
    });
    let mut world = World::new(way, app).await;
    for _ in 0..2 {
        let response = world.client.get("/").await;
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(response.headers()["etag"], "\"1\"");
        assert_eq!(body::whole(response).await, "");
    }
    world.settled().await;
}

async fn options_of_all(way: Way) {
    let (app, mut seen) = recorder("");
    let mut world = World::new(way, app).await;
    let mut request = get("*");
    *request.method_mut() = Method::OPTIONS;
    if way.client == Version::Http2 {
        let mut uri = request.uri().clone().into_parts();
        uri.scheme = Some(http::uri::Scheme::HTTP);
        uri.authority = Some("example.com".parse().unwrap());
        *request.uri_mut() = Uri::from_parts(uri).unwrap();
    }
    assert_eq!(world.send(request).await.status(), StatusCode::OK);
    let seen = seen.next().await;
    assert_eq!((seen.method(), seen.uri().path()), (&Method::OPTIONS, "*"));
    world.settled().await;
}
