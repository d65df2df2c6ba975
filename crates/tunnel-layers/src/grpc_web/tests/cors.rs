//! What pages of other sites are told.

use std::time::Duration;

use super::*;

#[tokio::test]
async fn preflights_are_answered_if_pages_of_other_sites_are_allowed() {
    let probe = Probe::new();
    let calls = probe.calls();
    let origins = Cors::origins_with_credentials([PAGE]).unwrap();
    let layer = GrpcWebLayer::new().cors(origins.max_age(Duration::from_secs(600)));
    let answer = layer
        .layer(probe.clone())
        .oneshot(preflight("content-type, X-Grpc-Web,x-user-agent"))
        .await
        .unwrap();
    assert_eq!(answer.status(), 204);
    for (name, value) in [
        ("access-control-allow-origin", PAGE),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "POST"),
        (
            "access-control-allow-headers",
            "content-type, X-Grpc-Web,x-user-agent",
        ),
        ("access-control-max-age", "600"),
    ] {
        assert_eq!(answer.headers()[name], value, "{name}");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);

    let stranger = from_page(preflight("x-grpc-web"), "https://app.example.com.evil.example");
    let answer = layer.layer(probe.clone()).oneshot(stranger).await.unwrap();
    assert_eq!(
        answer.headers().len(),
        1,
        "nothing but vary: {:?}",
        answer.headers()
    );

    let same_site = GrpcWebLayer::new().layer(probe);
    let answer = same_site.oneshot(preflight("x-grpc-web")).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(calls.load(Ordering::SeqCst), 1, "the app behind answers it");
}

#[tokio::test]
async fn pages_see_what_they_may() {
    let inner = || answering(|| response([]));
    let answer = with_cors()
        .layer(inner())
        .oneshot(from_page(binary(), PAGE))
        .await
        .unwrap();
    let headers = answer.headers();
    assert_eq!(headers["access-control-allow-origin"], PAGE);
    assert_eq!(headers["vary"], "origin");
    assert!(!headers.contains_key("access-control-allow-credentials"));
    let exposed: Vec<_> = headers.get_all("access-control-expose-headers").iter().collect();
    for name in [
        "grpc-status",
        "grpc-message",
        "grpc-status-details-bin",
        "x-tunnel-error",
        "x-trace-id",
    ] {
        assert!(exposed.iter().any(|value| **value == name), "{name}");
    }

    let any = Cors::any_origin().expose([HeaderName::from_static("x-own")]);
    let any = GrpcWebLayer::new().cors(any).layer(inner());
    let answer = any.oneshot(from_page(binary(), "null")).await.unwrap();
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    let mut exposed = answer.headers().get_all("access-control-expose-headers").iter();
    assert!(exposed.any(|value| value == "x-own"));

    for (layer, request) in [
        (with_cors(), from_page(binary(), "https://other.example")),
        (with_cors(), binary()),
        (GrpcWebLayer::new(), from_page(binary(), PAGE)),
    ] {
        let answer = layer.layer(inner()).oneshot(request).await.unwrap();
        let is_told = answer
            .headers()
            .keys()
            .any(|name| name.as_str().starts_with("access-"));
        assert!(!is_told, "{:?}", answer.headers());
    }
}
