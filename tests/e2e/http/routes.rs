//! Rules, as an outside client sees them.

use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use tunnel_layers::{reject::Direct, route::Rule};
use tunnel_tests::{
    body,
    client::{Client, Version},
    origin::{Seen, recorder},
    tunnel::{GROUP, Tunnel, group},
    wait::within_limit,
};

/// A tunnel with these rules, one agent of [`GROUP`], and a client.
async fn start(version: Version, rules: Vec<Rule>) -> (Tunnel, Client, Seen) {
    let (app, seen) = recorder("app");
    let mut tunnel = Tunnel::builder().rules(rules).start().await;
    tunnel.add_agent(GROUP, app).await;
    let client = Client::connect(version, tunnel.addr).await;
    (tunnel, client, seen)
}

async fn on_both(check: impl AsyncFn(Version)) {
    within_limit(async {
        check(Version::Http1).await;
        check(Version::Http2).await;
    })
    .await;
}

fn to(host: &str, target: &str) -> Request<axum::body::Body> {
    Request::get(target)
        .header("host", host)
        .body(axum::body::Body::empty())
        .unwrap()
}

#[tokio::test]
async fn prefixes() {
    on_both(async |version| {
        let rules = vec![
            Rule::group("strip", group(GROUP))
                .path_prefix("/strip")
                .strip_prefix(),
            Rule::group("replace", group(GROUP))
                .path_prefix("/old")
                .replace_prefix("/new/v2"),
            Rule::group("keep", group(GROUP)),
        ];
        let (tunnel, mut client, mut seen) = start(version, rules).await;
        for (target, expected) in [
            ("/strip/a%2Fb//c?x=%zz&&=", "/a%2Fb//c?x=%zz&&="),
            ("/strip", "/"),
            ("/strip?q", "/?q"),
            ("/strip/", "/"),
            ("/stripped/a", "/stripped/a"),
            ("/%73trip/a", "/a"),
            ("/old/a?b", "/new/v2/a?b"),
            ("/old", "/new/v2"),
            ("/older", "/older"),
            ("/else/strip/a", "/else/strip/a"),
        ] {
            assert_eq!(client.get(target).await.status(), StatusCode::OK, "{target}");
            assert_eq!(
                seen.next().await.uri().path_and_query().unwrap().as_str(),
                expected,
                "{target}"
            );
        }
        tunnel.settled().await;
    })
    .await;
}

#[tokio::test]
async fn host_and_headers() {
    on_both(async |version| {
        let value = HeaderValue::from_static;
        let name = HeaderName::from_static;
        let rule = Rule::group("edit", group(GROUP))
            .rewrite_host("app.internal:8080")
            .set_request_header(name("x-set"), value("new"))
            .remove_request_header(name("x-removed"))
            .set_response_header(name("x-frame-options"), value("DENY"))
            .remove_response_header(header::CONTENT_TYPE);
        let (tunnel, mut client, mut seen) = start(version, vec![rule]).await;
        let mut request = to("out.example", "/a?b");
        for (name, value) in [
            ("x-set", "old"),
            ("x-set", "older"),
            ("x-removed", "1"),
            ("x-kept", "1"),
        ] {
            request.headers_mut().append(name, value.parse().unwrap());
        }
        let response = client.send(request).await.unwrap();
        assert_eq!(response.headers()["x-frame-options"], "DENY");
        assert!(!response.headers().contains_key(header::CONTENT_TYPE));
        assert_eq!(body::whole(response).await, "app");
        let headers = seen.headers().await;
        assert_eq!(headers["host"], "app.internal:8080");
        assert_eq!(headers["x-forwarded-host"], "out.example");
        assert!(headers.get_all("x-set").iter().eq(["new"]));
        assert!(!headers.contains_key("x-removed") && headers.contains_key("x-kept"));
        tunnel.settled().await;
    })
    .await;
}

/// Every answer says which rule gave it.
#[tokio::test]
async fn matchers() {
    on_both(async |version| {
        let answer = |id: &'static str| Rule::direct(id, Direct::new(StatusCode::OK).body(id));
        let name = HeaderName::from_static;
        let rules = vec![
            answer("any"),
            answer("exact-host").host("a.example"),
            answer("wildcard").host("*.example"),
            answer("exact-path").path_exact("/exact"),
            answer("prefix").path_prefix("/prefix"),
            answer("pattern").path_regex("/users/[0-9]+"),
            answer("method")
                .path_prefix("/prefix")
                .method(Method::PUT)
                .method(Method::POST),
            answer("header")
                .header(name("x-canary"), HeaderValue::from_static("yes"))
                .priority(1),
            answer("header-pattern")
                .header_regex(name("x-version"), "v[0-9]")
                .priority(1),
            answer("header-there")
                .header_present(name("x-there"))
                .priority(-1)
                .path_exact("/there"),
        ]
        .into_iter()
        .map(|rule| rule.set_response_header(name("x-rule"), HeaderValue::from_static("1")))
        .collect::<Vec<_>>();
        let (tunnel, mut client, mut seen) = start(version, rules).await;
        for (request, expected) in [
            (to("other", "/"), "any"),
            (to("a.example", "/"), "exact-host"),
            (to("A.Example:8080", "/"), "exact-host"),
            (to("b.example", "/"), "wildcard"),
            (to("c.b.example", "/"), "wildcard"),
            (to("example", "/"), "any"),
            (to("badexample", "/"), "any"),
            (to("other", "/exact"), "exact-path"),
            (to("other", "/exact?q"), "exact-path"),
            (to("other", "/exact/"), "any"),
            (to("other", "/prefix/a"), "prefix"),
            (to("other", "//prefix//a"), "prefix"),
            (to("other", "/prefixed"), "any"),
            (to("other", "/users/42"), "pattern"),
            (to("other", "/users/42/posts"), "any"),
        ] {
            let uri = request.uri().clone();
            let response = client.send(request).await.unwrap();
            assert_eq!(response.headers()["x-rule"], "1");
            assert_eq!(body::whole(response).await, expected, "{uri}");
        }
        let mut request = to("a.example", "/prefix");
        request
            .headers_mut()
            .insert("x-canary", HeaderValue::from_static("yes"));
        assert_eq!(body::whole(client.send(request).await.unwrap()).await, "header");
        let mut request = to("other", "/prefix");
        request
            .headers_mut()
            .insert("x-version", HeaderValue::from_static("v12"));
        assert_eq!(body::whole(client.send(request).await.unwrap()).await, "prefix");
        seen.assert_none();
        tunnel.settled().await;
    })
    .await;
}

#[tokio::test]
async fn direct_answers() {
    on_both(async |version| {
        let moved = Direct::new(StatusCode::PERMANENT_REDIRECT)
            .header(header::LOCATION, HeaderValue::from_static("https://example.com/"));
        let page = Direct::new(StatusCode::SERVICE_UNAVAILABLE).body("back soon");
        let rules = vec![
            Rule::direct("moved", moved).path_exact("/moved"),
            Rule::direct("page", page).path_exact("/page"),
            Rule::direct("none", Direct::new(StatusCode::NO_CONTENT)).path_exact("/none"),
        ];
        let (tunnel, mut client, mut seen) = start(version, rules).await;
        let response = client.get("/moved").await;
        assert_eq!(
            (response.status(), &response.headers()["location"]),
            (
                StatusCode::PERMANENT_REDIRECT,
                &"https://example.com/".parse().unwrap()
            )
        );
        assert_eq!(body::whole(response).await, "");
        let response = client.get("/page").await;
        assert_eq!(
            (response.status(), &response.headers()["content-length"]),
            (StatusCode::SERVICE_UNAVAILABLE, &"9".parse().unwrap())
        );
        assert!(
            !response.headers().contains_key("x-tunnel-error"),
            "it is no failure of the tunnel"
        );
        assert_eq!(body::whole(response).await, "back soon");
        let mut head = to("a", "/page");
        *head.method_mut() = Method::HEAD;
        let response = client.send(head).await.unwrap();
        assert_eq!(response.headers()["content-length"], "9");
        assert_eq!(body::whole(response).await, "");
        let response = client.get("/none").await;
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        assert!(!response.headers().contains_key("content-length"));
        seen.assert_none();
        tunnel.settled().await;
    })
    .await;
}

/// Two groups: a request reaches the one that its host names, whatever else it says.
#[tokio::test]
async fn groups_are_kept_apart() {
    on_both(async |version| {
        let rules = vec![
            Rule::group("public", group("public")).host("public.example"),
            Rule::group("private", group("private")).host("private.example"),
        ];
        let mut tunnel = Tunnel::builder().rules(rules).start().await;
        let (public, _seen_public) = recorder("public");
        let (private, mut seen_private) = recorder("private");
        tunnel.add_agent("public", public).await;
        tunnel.add_agent("private", private).await;
        let mut client = Client::connect(version, tunnel.addr).await;
        let mut request = to("public.example", "/");
        for name in ["x-forwarded-host", "x-original-host", "x-host", "x-original-url"] {
            request
                .headers_mut()
                .insert(name, HeaderValue::from_static("private.example"));
        }
        assert_eq!(body::whole(client.send(request).await.unwrap()).await, "public");
        seen_private.assert_none();
        assert_eq!(
            body::whole(client.send(to("private.example", "/")).await.unwrap()).await,
            "private"
        );
        tunnel.settled().await;
    })
    .await;
}
