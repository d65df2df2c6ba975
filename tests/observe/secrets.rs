//! Secrets never stand in a log.

use http::{HeaderValue, header};
use tunnel_tests::wait::within_limit;

use crate::{
    app::{Stuck, app},
    world::{Plan, TOKEN, World, exchange, get},
};

#[tokio::test]
async fn neither_side_tells_a_secret() {
    within_limit(async {
        let world = World::with_app(Plan::default(), app(Stuck::default())).await;
        let mut client = world.client().await;
        for path in [
            "/private/ok/x?token=query-secret",
            "/app/ok/x?token=query-secret",
            "/none?q=query-secret",
        ] {
            for (name, value) in [
                (header::AUTHORIZATION, format!("Bearer {TOKEN}")),
                (header::AUTHORIZATION, "Bearer wrong-secret".to_owned()),
                (header::COOKIE, "session=cookie-secret".to_owned()),
            ] {
                let mut request = get(path);
                let value = HeaderValue::from_str(&value).unwrap();
                request.headers_mut().insert(name, value);
                exchange(&mut client, request).await.unwrap();
            }
        }
        world.told(9, 4).await;
        for line in [world.gateway_lines.all(), world.agent_lines.all()].concat() {
            let line = line.to_string();
            assert!(!line.contains("secret"), "{line}");
            assert!(line.contains("?redacted"), "{line}");
        }
        assert!(!world.scrape().0.contains("secret"));
    })
    .await;
}
