//! What belongs to one hop stays there, and what the outside says about itself is not believed.

use axum::body::Body;
use http::Response;
use tunnel_tests::{
    body,
    client::Version,
    origin::{app, recorder},
};

use super::world::{Far, Way, World, get};

on_every_way! { requests, te_trailers, responses, forwarded }

/// Fields of one hop, and values that no codec takes amiss.
const HOP: &[(&str, &str)] = &[
    ("keep-alive", "timeout=5"),
    ("proxy-connection", "keep-alive"),
    ("proxy-authenticate", "Basic"),
    ("proxy-authorization", "Basic Zm9v"),
    ("proxy-authentication-info", "x"),
    ("http2-settings", "AAMAAABkAAQAAP__"),
    ("te", "gzip"),
];

async fn requests(way: Way) {
    let (app, mut seen) = recorder("");
    let mut world = World::new(way, app).await;
    let mut request = get("/");
    for (name, value) in HOP {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    for (name, value) in [
        ("x-hop", "1"),
        ("x-kept", "1"),
        ("authorization", "Basic Zm9v"),
        ("cookie", "a=1"),
    ] {
        request.headers_mut().append(name, value.parse().unwrap());
    }
    // Nobody can make us hide from the upstream who asks.
    let nominated = "x-hop, X-Absent, authorization, cookie, x-forwarded-for, host";
    request
        .headers_mut()
        .append("connection", nominated.parse().unwrap());
    if way.client == Version::Http2 {
        // No field of a connection may be there at all; hyper and h2 see to it at the client.
        for name in ["connection", "te", "x-hop"] {
            request.headers_mut().remove(name);
        }
    }
    assert_eq!(world.send(request).await.status(), 200);
    let headers = seen.headers().await;
    for (name, _) in HOP
        .iter()
        .chain(&[("x-hop", ""), ("connection", ""), ("upgrade", "")])
    {
        assert!(!headers.contains_key(*name), "{name}: {headers:?}");
    }
    for name in ["x-kept", "authorization", "cookie", "x-forwarded-for"] {
        assert!(headers.contains_key(name), "{name}");
    }
    world.settled().await;
}

async fn te_trailers(way: Way) {
    let (app, mut seen) = recorder("");
    let mut world = World::new(way, app).await;
    let mut request = get("/");
    if way.client == Version::Http1 {
        request.headers_mut().append("connection", "te".parse().unwrap());
        request
            .headers_mut()
            .append("te", "gzip;q=0.5, trailers".parse().unwrap());
    } else {
        request.headers_mut().append("te", "trailers".parse().unwrap());
    }
    assert_eq!(world.send(request).await.status(), 200);
    let headers = seen.headers().await;
    assert_eq!(headers["te"], "trailers");
    if way.far == Far::Http1 {
        assert_eq!(headers["connection"], "te");
    }
    world.settled().await;
}

async fn responses(way: Way) {
    let app = app(move |_| async move {
        let mut response = Response::new(Body::from("hello"));
        let headers = response.headers_mut();
        headers.append("x-hop", "1".parse().unwrap());
        headers.append("x-kept", "1".parse().unwrap());
        for (name, value) in HOP {
            headers.append(*name, value.parse().unwrap());
        }
        headers.append("upgrade", "other/1".parse().unwrap());
        if way.far == Far::H2c {
            headers.remove("x-hop");
        } else {
            headers.append("connection", "x-hop, set-cookie".parse().unwrap());
        }
        headers.append("set-cookie", "a=1".parse().unwrap());
        response
    });
    let mut world = World::new(way, app).await;
    let response = world.client.get("/").await;
    for (name, _) in HOP.iter().chain(&[
        ("x-hop", ""),
        ("connection", ""),
        ("upgrade", ""),
        ("transfer-encoding", ""),
    ]) {
        assert!(
            !response.headers().contains_key(*name),
            "{name}: {:?}",
            response.headers()
        );
    }
    assert_eq!(response.headers()["x-kept"], "1");
    assert_eq!(response.headers()["set-cookie"], "a=1");
    assert_eq!(body::whole(response).await, "hello");
    world.settled().await;
}

async fn forwarded(way: Way) {
    let (app, mut seen) = recorder("");
    let mut world = World::new(way, app).await;
    let mut request = get("/");
    let forged = [
        ("host", "app.example:8080"),
        ("forwarded", "for=203.0.113.9;host=evil.example;proto=https"),
        ("forwarded", "for=203.0.113.10"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "1"),
        ("x-forwarded-prefix", "/admin"),
        ("x-real-ip", "203.0.113.9"),
        ("x_forwarded_for", "203.0.113.9"),
        ("true-client-ip", "203.0.113.9"),
    ];
    for (name, value) in forged {
        request.headers_mut().append(name, value.parse().unwrap());
    }
    assert_eq!(world.send(request).await.status(), 200);
    let headers = seen.headers().await;
    let all = |name| {
        headers
            .get_all(name)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        all("forwarded"),
        ["for=127.0.0.1;host=\"app.example:8080\";proto=http"]
    );
    assert_eq!(all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(all("x-forwarded-host"), ["app.example:8080"]);
    assert_eq!(all("x-forwarded-proto"), ["http"]);
    let gone = [
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-real-ip",
        "x_forwarded_for",
        "true-client-ip",
    ];
    assert!(
        gone.into_iter().all(|name| !headers.contains_key(name)),
        "{headers:?}"
    );
    world.settled().await;
}

/// A wish to switch to HTTP/2 is for one hop and ignored; the request is then an ordinary one. Any other wish goes to the far
/// end, which may ignore it: then what follows on the connection is nothing that anybody reads.
async fn unanswered_upgrade(far: Far) {
    let (app, mut seen) = recorder("plain");
    let world = World::new(
        Way {
            client: Version::Http1,
            far,
        },
        app,
    )
    .await;
    let mut raw = world.raw().await;
    let asking = |protocol| {
        format!(
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nupgrade: {protocol}\r\n\
             http2-settings: AAMAAABkAAQAAP__\r\n\r\n"
        )
    };
    for _ in 0..2 {
        let response = raw.call(asking("h2c")).await;
        assert_eq!(
            (response.status.as_u16(), &response.body[..]),
            (200, &b"plain"[..])
        );
        let headers = seen.headers().await;
        assert!(
            ["connection", "upgrade", "http2-settings"]
                .iter()
                .all(|name| !headers.contains_key(*name))
        );
    }
    // Over HTTP/2 a success is a grant, so a server that ignores the wish cannot say so.
    if far != Far::H2c {
        let response = raw.call(asking("other/1")).await;
        assert_eq!(
            (response.status.as_u16(), &response.body[..]),
            (200, &b"plain"[..])
        );
        assert_eq!(response.headers["connection"], "close");
        let headers = seen.headers().await;
        assert_eq!(headers["upgrade"], "other/1");
        assert!(!headers.contains_key("http2-settings"));
    }
    drop(raw);
    world.settled().await;
}

on_every_far_end! { unanswered_upgrade }
