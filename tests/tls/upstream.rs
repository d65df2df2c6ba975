//! Upstreams with TLS.

use axum::{Router, body::Body, extract::Request};
use http::{Response, StatusCode, Version};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use tunnel_core::{Cause, PeerInfo, Sent, TunnelError};
use tunnel_tests::{pki::Ca, wait::within_limit};
use tunnel_transport::{
    Upstream,
    entry::Entry,
    tls::{ClientTls, ClientTlsBuilder, Pem, ServerTls},
    upstream::{UpstreamBuilder, UpstreamProtocol},
};

use crate::world::{Directory, Port, teller};

/// A server whose certificate is valid for 127.0.0.1 and `up.test`.
struct World {
    ca: Ca,
    clients: Ca,
    port: Port,
}

impl World {
    async fn new(mutual: bool) -> Self {
        let (ca, clients) = (Ca::new("servers"), Ca::new("clients"));
        let mut tls = ServerTls::builder().certificate(ca.server(&["127.0.0.1", "up.test"]).identity());
        if mutual {
            tls = tls.require_client_certificates([clients.believed()]);
        }
        let app = Router::new()
            .route(
                "/echo",
                axum::routing::post(async |request: Request| request.into_body()),
            )
            .route("/version", axum::routing::get(version))
            .fallback_service(teller());
        let port = Port::open(Entry::new().tls(tls.build().expect("certificates")), app).await;
        Self { ca, clients, port }
    }

    fn upstream(&self, tls: ClientTlsBuilder) -> UpstreamBuilder {
        Upstream::builder(format!("https://{}", self.port.addr)).tls(tls)
    }

    fn believing(&self) -> ClientTlsBuilder {
        ClientTls::builder().ca(self.ca.believed())
    }
}

async fn version(request: Request) -> String {
    let scheme = &request
        .extensions()
        .get::<PeerInfo>()
        .expect("an entry puts it there")
        .scheme;
    format!(
        "{:?} {scheme} {:?}",
        request.version(),
        request.uri().scheme_str()
    )
}

async fn send(
    upstream: &Upstream,
    request: http::Request<Body>,
) -> Result<(StatusCode, String), TunnelError> {
    let response: Response<_> = upstream.clone().oneshot(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8(body.to_vec()).expect("text")))
}

fn get(path: &str) -> http::Request<Body> {
    http::Request::get(format!("http://out.test{path}"))
        .body(Body::empty())
        .expect("a request")
}

#[tokio::test]
async fn the_http_is_negotiated_or_as_told() {
    within_limit(async {
        let world = World::new(false).await;
        for (protocol, expected) in [
            (None, Version::HTTP_2),
            (Some(UpstreamProtocol::Negotiated), Version::HTTP_2),
            (Some(UpstreamProtocol::Http2), Version::HTTP_2),
            (Some(UpstreamProtocol::Http1), Version::HTTP_11),
        ] {
            let builder = world.upstream(world.believing());
            let builder = protocol.into_iter().fold(builder, UpstreamBuilder::protocol);
            let upstream = builder.build().expect("an upstream");
            for _ in 0..2 {
                let (status, text) = send(&upstream, get("/version")).await.expect("an answer");
                assert_eq!(status, StatusCode::OK);
                assert!(
                    text.starts_with(&format!("{expected:?} https ")),
                    "{protocol:?}: {text}"
                );
                if expected == Version::HTTP_2 {
                    assert!(text.ends_with(r#"Some("https")"#), "{text}");
                }
            }
            let body = "body ".repeat(100_000);
            let request = http::Request::post("http://out.test/echo").body(Body::from(body.clone()));
            let (_, echoed) = send(&upstream, request.expect("a request"))
                .await
                .expect("an answer");
            assert_eq!(echoed, body);
        }
    })
    .await;
}

#[tokio::test]
async fn an_upstream_that_has_only_http1_is_spoken_to_in_it() {
    use hyper_util::{rt::TokioIo, service::TowerToHyperService};
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

    within_limit(async {
        let ca = Ca::new("servers");
        let issued = ca.server(&["127.0.0.1"]);
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        // It does not know ALPN at all.
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(issued.certificate.as_bytes()).expect("one")],
                PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("one"),
            )
            .expect("they belong together");
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
        let listener = tunnel_tests::tunnel::listener().await;
        let addr = tunnel_tests::tunnel::address(&listener);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(socket).await else {
                        return;
                    };
                    let app =
                        Router::new().fallback(async |request: Request| format!("{:?}", request.version()));
                    let served = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
                    drop(served.await);
                });
            }
        });
        let builder = |protocol| {
            let tls = ClientTls::builder().ca(ca.believed());
            let builder = Upstream::builder(format!("https://{addr}"))
                .tls(tls)
                .protocol(protocol);
            builder.build().expect("an upstream")
        };
        let (_, text) = send(&builder(UpstreamProtocol::Negotiated), get("/"))
            .await
            .expect("an answer");
        assert_eq!(text, "HTTP/1.1");
        let error = send(&builder(UpstreamProtocol::Http2), get("/"))
            .await
            .expect_err("no HTTP/2 there");
        assert_eq!(error.sent(), Sent::No);
        assert!(source(&error).contains("does not offer HTTP/2"), "{error:?}");
    })
    .await;
}

/// The text of an error's source.
fn source(error: &TunnelError) -> String {
    let source = std::error::Error::source(error);
    source.map(ToString::to_string).unwrap_or_default()
}

#[tokio::test]
async fn an_upstream_that_cannot_be_verified_gets_nothing() {
    within_limit(async {
        let world = World::new(false).await;
        let expired = {
            let identity = world.ca.expired_server(&["127.0.0.1"]).identity();
            Port::telling(
                &ServerTls::builder()
                    .certificate(identity)
                    .build()
                    .expect("certificates"),
            )
            .await
        };
        let plain = Port::open(Entry::new(), teller()).await;
        for (addr, tls, reason) in [
            (
                world.port.addr,
                ClientTls::builder().ca(Ca::new("foreign").believed()),
                "UnknownIssuer",
            ),
            (
                world.port.addr,
                world.believing().server_name("other.test"),
                "not valid for name",
            ),
            (expired.addr, world.believing(), "expired"),
            (plain.addr, world.believing(), "does not speak TLS"),
        ] {
            let upstream = Upstream::builder(format!("https://{addr}")).tls(tls);
            for protocol in [UpstreamProtocol::Http1, UpstreamProtocol::Negotiated] {
                let upstream = upstream.clone().protocol(protocol).build().expect("an upstream");
                let error = send(&upstream, get("/")).await.expect_err(reason);
                assert_eq!((error.cause(), error.sent()), (Cause::Upstream, Sent::No));
                assert!(source(&error).contains(reason), "{reason}: {}", source(&error));
                // What goes to outside clients has no address in it.
                assert_eq!(error.to_string(), "the upstream could not be reached");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_name_may_be_another_than_the_address() {
    within_limit(async {
        let world = World::new(false).await;
        let tls = world.believing().server_name("up.test");
        let upstream = world.upstream(tls).build().expect("an upstream");
        let (_, text) = send(&upstream, get("/")).await.expect("an answer");
        assert_eq!(text, "https TLSv1.3 up.test -");
    })
    .await;
}

#[tokio::test]
async fn an_upstream_that_asks_is_shown_a_certificate_that_may_change() {
    within_limit(async {
        let (world, directory) = (World::new(true).await, Directory::new());
        let identity = world.clients.client("one").write(directory.path(), "client");
        let tls = world.believing().client_certificate(identity);
        // Each request on a connection of its own.
        let builder = world.upstream(tls.reload_interval(std::time::Duration::from_millis(10)));
        let upstream = builder
            .protocol(UpstreamProtocol::Http1)
            .max_idle(0)
            .build()
            .expect("an upstream");
        let (_, text) = send(&upstream, get("/")).await.expect("an answer");
        assert!(text.contains("uri:spiffe://test/one"), "{text}");

        world.clients.client("two").write(directory.path(), "client");
        while !send(&upstream, get("/"))
            .await
            .expect("an answer")
            .1
            .contains("spiffe://test/two")
        {}

        let without = world.upstream(world.believing()).build().expect("an upstream");
        assert!(send(&without, get("/")).await.is_err());
    })
    .await;
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let tls = || ClientTls::builder().ca(Ca::new("test").believed());
    let https = || Upstream::builder("https://up.test").tls(tls());
    let http = || Upstream::builder("http://up.test");
    for (builder, hint) in [
        (https().protocol(UpstreamProtocol::H2c), "`http2`"),
        (http().protocol(UpstreamProtocol::Http2), "`h2c`"),
        (
            http().protocol(UpstreamProtocol::Negotiated),
            "nothing is negotiated",
        ),
        (http().tls(tls()), "write https"),
        (https().tls(tls().server_name("a b")), "no name of a server"),
        (
            https().tls(tls().ca(Pem::file("/nowhere.pem"))),
            "/nowhere.pem: the file cannot be read",
        ),
    ] {
        let error = builder.build().expect_err(hint).to_string();
        assert!(error.contains(hint), "{error}");
    }
}
