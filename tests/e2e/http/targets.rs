//! Path and query come out byte for byte.

use tunnel_tests::{body, client::Version, origin::recorder};

use super::world::{Far, Way, World, get};

const TARGETS: &[&str] = &[
    "/",
    "/?",
    "//",
    "//a//b",
    "/a%2Fb//c?x=%zz&&=",
    "/a%2fb",
    "/%7Ea/~b/%41",
    "/a?b?c/../d",
    "/a;v=1/b;w",
    "/%E2%82%AC/\u{20ac}",
    "/~a!$&'()*+,;=:@-._",
    "/a%20b+c?d%20e+f",
    "/a?q=%00%0d%0a",
    "/a?x[]=1&x[]={2}|^`",
    "/trailing/",
];

on_every_way! { targets, long_target }

async fn targets(way: Way) {
    let (app, mut seen) = recorder("");
    let mut world = World::new(way, app).await;
    for target in TARGETS {
        let response = world.send(get(target)).await;
        assert_eq!(response.status(), 200, "{target}");
        body::whole(response).await;
        let seen = seen.next().await;
        assert_eq!(seen.uri().path_and_query().unwrap().as_str(), *target);
    }
    world.settled().await;
}

async fn long_target(way: Way) {
    let (app, mut seen) = recorder("");
    let mut world = World::new(way, app).await;
    let target = format!("/{}?{}", "a".repeat(4_000), "b".repeat(4_000));
    assert_eq!(world.send(get(&target)).await.status(), 200);
    assert_eq!(seen.next().await.uri().path_and_query().unwrap().as_str(), target);
    world.settled().await;
}

/// The authority of the absolute form wins over `Host`, for the rules and for the app.
async fn absolute_form(far: Far) {
    let (app, mut seen) = recorder("");
    let world = World::new(
        Way {
            client: Version::Http1,
            far,
        },
        app,
    )
    .await;
    let mut raw = world.raw().await;
    for (target, expected) in [
        ("http://B.example:80/a%2Fb?c", "/a%2Fb?c"),
        ("http://b.example?c", "/?c"),
    ] {
        let response = raw
            .call(format!("GET {target} HTTP/1.1\r\nhost: a.example\r\n\r\n"))
            .await;
        assert_eq!(response.status, 200);
        let seen = seen.next().await;
        assert_eq!(seen.uri().path_and_query().unwrap().as_str(), expected);
        let host = seen.headers().get("host").map(|host| host.to_str().unwrap());
        assert_eq!(
            host.or(seen.uri().authority().map(|authority| authority.as_str())),
            Some("b.example")
        );
        assert_eq!(seen.headers()["x-forwarded-host"], "b.example");
    }
    drop(raw);
    world.settled().await;
}

on_every_far_end! { absolute_form }
