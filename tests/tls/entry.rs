//! Names, protocols and versions.

use http::Version;
use tunnel_tests::{
    pki::{Ca, TlsClient},
    wait::within_limit,
};
use tunnel_transport::{entry::Entry, tls::ServerTls};

use crate::world::{Port, teller};

/// The names in the certificate that a client gets when it asks for `name`.
async fn shown(port: &Port, client: &TlsClient, name: &'static str) -> Vec<u8> {
    let stream = client.connect(port.addr, name).await.expect("a handshake");
    let chain = stream
        .get_ref()
        .1
        .peer_certificates()
        .expect("a server shows one");
    chain[0].to_vec()
}

fn der(pem: &str) -> Vec<u8> {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};
    CertificateDer::from_pem_slice(pem.as_bytes())
        .expect("a certificate")
        .to_vec()
}

#[tokio::test]
async fn the_certificate_follows_the_name_that_was_asked_for() {
    within_limit(async {
        let ca = Ca::new("test");
        // Valid for every name here, so that the client takes whatever it gets.
        let all = [
            "a.test",
            "x.b.test",
            "b.test",
            "deep.x.b.test",
            "c.test",
            "other.test",
        ];
        let (default, exact) = (ca.server(&all), ca.server(&["A.test"]));
        let (wildcard, given) = (ca.server(&["*.b.test"]), ca.server(&all));
        let tls = ServerTls::builder()
            .certificate(default.identity().for_names(["default.test"]))
            .certificate(exact.identity())
            .certificate(wildcard.identity())
            .certificate(given.identity().for_names(["C.test"]))
            .build()
            .expect("certificates");
        let port = Port::telling(&tls).await;
        let client = TlsClient::new(&ca);
        for (name, expected) in [
            ("a.test", &exact),
            ("x.b.test", &wildcard),
            ("b.test", &default),
            ("deep.x.b.test", &default),
            ("c.test", &given),
            ("other.test", &default),
        ] {
            let is_expected = shown(&port, &client, name).await == der(&expected.certificate);
            assert!(is_expected, "{name}");
        }
        let answer = client.get(port.addr, "x.b.test").await.expect("an answer");
        assert_eq!(answer.text, "https TLSv1.3 x.b.test -");
    })
    .await;
}

#[tokio::test]
async fn of_several_with_one_name_the_first_is_shown() {
    within_limit(async {
        let ca = Ca::new("test");
        let (first, second) = (ca.server(&["a.test", "b.test"]), ca.server(&["a.test", "b.test"]));
        let tls = ServerTls::builder()
            .certificate(first.identity().for_names(["a.test"]))
            .certificate(second.identity())
            .build()
            .expect("certificates");
        let port = Port::telling(&tls).await;
        let client = TlsClient::new(&ca);
        assert!(shown(&port, &client, "a.test").await == der(&first.certificate));
        assert!(shown(&port, &client, "b.test").await == der(&second.certificate));
    })
    .await;
}

#[tokio::test]
async fn a_client_without_a_name_gets_the_default() {
    within_limit(async {
        let ca = Ca::new("test");
        let tls = ServerTls::builder()
            .certificate(ca.server(&["127.0.0.1"]).identity())
            .certificate(ca.server(&["a.test"]).identity())
            .build()
            .expect("certificates");
        let port = Port::telling(&tls).await;
        // No SNI is sent for an address (RFC 6066, section 3).
        let answer = TlsClient::new(&ca).get(port.addr, "127.0.0.1").await;
        assert_eq!(answer.expect("an answer").text, "https TLSv1.3 - -");
    })
    .await;
}

#[tokio::test]
async fn the_http_is_chosen_by_alpn() {
    within_limit(async {
        let ca = Ca::new("test");
        let identity = ca.server(&["a.test"]).identity();
        let tls = ServerTls::builder()
            .certificate(identity)
            .build()
            .expect("certificates");
        let port = Port::telling(&tls).await;
        for (offered, expected) in [
            (&["h2", "http/1.1"][..], Version::HTTP_2),
            (&["http/1.1", "h2"], Version::HTTP_2),
            (&["h2"], Version::HTTP_2),
            (&["http/1.1"], Version::HTTP_11),
            (&[], Version::HTTP_11),
        ] {
            let client = TlsClient::new(&ca).offering(offered);
            let answer = client.get(port.addr, "a.test").await.expect("an answer");
            assert_eq!(answer.version, expected, "{offered:?}");
            assert_eq!(answer.text, "https TLSv1.3 a.test -");
        }
        let refused = TlsClient::new(&ca)
            .offering(&["imap"])
            .connect(port.addr, "a.test")
            .await;
        let error = refused.expect_err("nobody serves that").to_string();
        assert!(error.contains("NoApplicationProtocol"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn tls_12_is_taken_unless_it_is_refused() {
    within_limit(async {
        let ca = Ca::new("test");
        let both = ServerTls::builder().certificate(ca.server(&["a.test"]).identity());
        let only_13 = both.clone().tls13_only().build().expect("certificates");
        let (both, only_13) = (
            Port::telling(&both.build().expect("certificates")).await,
            Port::telling(&only_13).await,
        );
        let old = TlsClient::new(&ca).tls12();
        let answer = old.get(both.addr, "a.test").await.expect("an answer");
        assert_eq!(answer.text, "https TLSv1.2 a.test -");
        let error = old
            .get(only_13.addr, "a.test")
            .await
            .expect_err("too old")
            .to_string();
        assert!(error.contains("ProtocolVersion"), "{error}");
        let answer = TlsClient::new(&ca).get(only_13.addr, "a.test").await;
        assert_eq!(answer.expect("an answer").text, "https TLSv1.3 a.test -");
    })
    .await;
}

#[tokio::test]
async fn a_client_that_dawdles_is_closed_and_keeps_nobody_waiting() {
    use tokio::{io::AsyncReadExt as _, net::TcpStream};

    within_limit(async {
        let ca = Ca::new("test");
        let identity = ca.server(&["a.test"]).identity();
        let tls = ServerTls::builder()
            .certificate(identity)
            .build()
            .expect("certificates");
        let entry = Entry::new()
            .tls(tls)
            .handshake_timeout(std::time::Duration::from_millis(200));
        let port = Port::open(entry, teller()).await;
        let mut silent = TcpStream::connect(port.addr).await.expect("the port is open");
        // It comes after the silent one, and does not wait for it.
        assert!(TlsClient::new(&ca).get(port.addr, "a.test").await.is_ok());
        let read = silent.read(&mut [0; 64]).await.expect("a FIN");
        assert_eq!(read, 0);
    })
    .await;
}
