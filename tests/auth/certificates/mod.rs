//! Callers that are known by their certificates: over real TLS, through the whole tunnel, in every protocol.

mod world;

use rustls::HandshakeKind;
use tunnel_tests::{
    pki::{Ca, HttpsClient},
    wait::within_limit,
};

use self::world::{Came, World, came, get};

#[tokio::test]
async fn certificates_in_every_protocol() {
    within_limit(async {
        let world = World::new().await;
        let known = |name: &str| [(); 4].map(|()| Came::In(name.to_owned()));
        for (shown, expected, calls) in [
            (None, [(); 4].map(|()| Came::Unknown), 0),
            (Some("web"), known("spiffe://test/web"), 4),
            (Some("one.fleet"), known("one.fleet.clients.test"), 4),
            // Of the same CA, and with no right.
            (Some("db"), [(); 4].map(|()| Came::Forbidden), 0),
        ] {
            let issued = shown.map(|name| world.clients.client(name));
            for client in [
                world.client(issued.as_ref()),
                world.client(issued.as_ref()).tls12(),
            ] {
                let before = world.calls();
                assert_eq!(world.everywhere(&client).await, expected, "{shown:?}");
                assert_eq!(world.calls() - before, calls, "what came to the app");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_is_no_connection_in_any_protocol() {
    within_limit(async {
        let world = World::new().await;
        let foreign = Ca::new("foreign").client("web");
        let expired = world.clients.expired_client("web");
        for (issued, alert) in [(foreign, "UnknownCA"), (expired, "CertificateExpired")] {
            for came in world.everywhere(&world.client(Some(&issued))).await {
                let Came::NoConnection(why) = &came else {
                    panic!("there was a connection: {came:?}")
                };
                assert!(why.contains(alert), "{alert}: {why}");
            }
            // Not even for what is for everybody.
            let came = world.http(&world.client(Some(&issued)), "h2", "/public/").await;
            assert!(matches!(came, Came::NoConnection(_)), "{came:?}");
        }
        assert_eq!(world.calls(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_public_rule_asks_for_nothing_and_tells_nobody() {
    within_limit(async {
        let world = World::new().await;
        let web = world.clients.client("web");
        for shown in [None, Some(&web)] {
            for alpn in ["http/1.1", "h2"] {
                let came = world.http(&world.client(shown), alpn, "/public/").await;
                assert_eq!(came, Came::In("nobody".to_owned()));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn every_request_and_every_connection_has_the_identity_of_its_own_handshake() {
    within_limit(async {
        let world = World::new().await;
        let web = world.clients.client("web");
        let expected = Came::In("spiffe://test/web".to_owned());
        for (alpn, is_tls12) in [("http/1.1", false), ("h2", false), ("h2", true)] {
            let client = world.client(Some(&web)).offering(&[alpn]);
            let client = if is_tls12 { client.tls12() } else { client };
            // It would resume the session of its last connection, if it had got a ticket.
            let client = client.keeping_sessions();
            for _ in 0..3 {
                let stream = world.connect(&client).await.expect("a handshake");
                let kind = stream.get_ref().1.handshake_kind();
                let mut client = HttpsClient::on(stream).await.expect("HTTP");
                for _ in 0..3 {
                    let answer = client.send(get("/")).await.expect("an answer");
                    assert_eq!(came(answer.status().as_u16(), answer.headers()), expected);
                }
                let whole = [HandshakeKind::Full, HandshakeKind::FullWithHelloRetryRequest];
                assert!(kind.is_some_and(|kind| whole.contains(&kind)), "{kind:?}");
            }
        }
    })
    .await;
}
