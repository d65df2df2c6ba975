//! Files that change while connections are open.

use std::{fs, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
};
use http_body_util::{BodyExt as _, channel::Channel};
use rustls::HandshakeKind;
use tunnel_tests::{
    pki::{Ca, HttpsClient, TlsClient, replace},
    wait::{eventually, within_limit},
};
use tunnel_transport::{
    entry::Entry,
    tls::{Pem, ServerTls},
};

use crate::world::{Directory, Port};

/// Sends every frame of the request back as it comes.
fn echo() -> Router {
    Router::new().fallback(async |request: Request| request.into_body())
}

#[tokio::test]
async fn new_connections_get_the_new_certificate_and_old_ones_go_on() {
    within_limit(async {
        let (old, new, directory) = (Ca::new("old"), Ca::new("new"), Directory::new());
        let identity = old.server(&["a.test"]).write(directory.path(), "a");
        let tls = ServerTls::builder()
            .certificate(identity)
            .build()
            .expect("certificates");
        let port = Port::open(Entry::new().tls(tls.clone()), echo()).await;

        let (mut feed, body) = Channel::<Bytes>::new(1);
        let client = TlsClient::new(&old).offering(&["h2"]);
        let stream = client.connect(port.addr, "a.test").await.expect("a handshake");
        let mut client = HttpsClient::on(stream).await.expect("HTTP/2");
        let request = http::Request::post("https://a.test/")
            .body(Body::new(body))
            .expect("a request");
        feed.send_data(Bytes::from_static(b"before"))
            .await
            .expect("it is read");
        let mut response = client.send(request).await.expect("a response").into_body();
        assert_eq!(next(&mut response).await, "before");

        new.server(&["a.test"]).write(directory.path(), "a");
        assert_eq!(tls.reload(), Ok(true));
        assert_eq!(tls.reload(), Ok(false), "nothing has changed since");

        assert!(TlsClient::new(&new).connect(port.addr, "a.test").await.is_ok());
        assert!(TlsClient::new(&old).connect(port.addr, "a.test").await.is_err());
        feed.send_data(Bytes::from_static(b"after"))
            .await
            .expect("it is read");
        assert_eq!(next(&mut response).await, "after");
        drop(feed);
        let rest = response.collect().await.expect("it ends as it should");
        assert!(rest.to_bytes().is_empty());
    })
    .await;
}

async fn next(body: &mut hyper::body::Incoming) -> Bytes {
    let frame = body.frame().await.expect("a frame").expect("no error");
    frame.into_data().expect("data")
}

#[tokio::test]
async fn files_that_are_wrong_change_nothing() {
    within_limit(async {
        let (ca, directory) = (Ca::new("test"), Directory::new());
        let issued = ca.server(&["a.test"]);
        let identity = issued.write(directory.path(), "a");
        let tls = ServerTls::builder()
            .certificate(identity)
            .build()
            .expect("certificates");
        let port = Port::telling(&tls).await;
        let (pem, key) = (directory.file("a.pem"), directory.file("a.key"));
        let client = TlsClient::new(&ca);

        // The new certificate is there before its key.
        let next = ca.server(&["a.test"]);
        replace(&pem, &next.certificate);
        let error = tls.reload().expect_err("they do not belong together");
        assert_eq!(error.file(), Some(&*key));
        assert!(client.get(port.addr, "a.test").await.is_ok());

        replace(&pem, "nothing");
        let error = tls.reload().expect_err("that is no PEM").to_string();
        assert!(error.contains("a.pem: there is no certificate in it"), "{error}");
        fs::remove_file(&pem).expect("it was there");
        let error = tls.reload().expect_err("it is gone").to_string();
        assert!(error.contains("a.pem: the file cannot be read"), "{error}");
        assert!(client.get(port.addr, "a.test").await.is_ok());

        replace(&pem, &next.certificate);
        replace(&key, &next.key);
        assert_eq!(tls.reload(), Ok(true));
        assert!(client.get(port.addr, "a.test").await.is_ok());
    })
    .await;
}

/// As Kubernetes does it: files are links into a directory behind a link, and that link is replaced.
#[cfg(unix)]
#[tokio::test]
async fn a_served_port_finds_a_swapped_directory_by_itself() {
    use std::os::unix::fs::symlink;

    within_limit(async {
        let (old, new, directory) = (Ca::new("old"), Ca::new("new"), Directory::new());
        for (name, ca) in [("v1", &old), ("v2", &new)] {
            fs::create_dir(directory.file(name)).expect("a directory");
            ca.server(&["a.test"]).write(&directory.file(name), "a");
        }
        symlink("v1", directory.file("..data")).expect("a link");
        for file in ["a.pem", "a.key"] {
            symlink(format!("..data/{file}"), directory.file(file)).expect("a link");
        }
        let identity =
            tunnel_transport::tls::Identity::files(directory.file("a.pem"), directory.file("a.key"));
        let tls = ServerTls::builder()
            .certificate(identity)
            .reload_interval(Duration::from_millis(10))
            .build()
            .expect("certificates");
        let port = Port::telling(&tls).await;
        let client = TlsClient::new(&new);
        assert!(client.connect(port.addr, "a.test").await.is_err());

        symlink("v2", directory.file("..next")).expect("a link");
        fs::rename(directory.file("..next"), directory.file("..data")).expect("it is replaced");
        while client.connect(port.addr, "a.test").await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_ca_of_clients_that_was_taken_out_counts_at_once() {
    within_limit(async {
        let (ca, first, second, directory) = (
            Ca::new("test"),
            Ca::new("first"),
            Ca::new("second"),
            Directory::new(),
        );
        let cas = directory.file("clients.pem");
        replace(&cas, &first.pem);
        let tls = ServerTls::builder()
            .certificate(ca.server(&["a.test"]).identity())
            .require_client_certificates([Pem::file(&cas)])
            .build()
            .expect("certificates");
        let port = Port::telling(&tls).await;
        for version in ["1.3", "1.2"] {
            replace(&cas, &first.pem);
            tls.reload().expect("right");
            let client = TlsClient::new(&ca).showing(&first.client("web"));
            let client = if version == "1.2" { client.tls12() } else { client };
            // It would offer to resume, if it had been given something to resume with.
            let client = client.keeping_sessions();
            for _ in 0..2 {
                let answer = client.get(port.addr, "a.test").await.expect("an answer");
                assert!(answer.text.contains("uri:spiffe://test/web"), "{}", answer.text);
            }
            replace(&cas, &second.pem);
            assert_eq!(tls.reload(), Ok(true));
            assert!(client.get(port.addr, "a.test").await.is_err(), "{version}");
        }
    })
    .await;
}

#[tokio::test]
async fn sessions_are_resumed_until_the_files_change() {
    within_limit(async {
        let (ca, directory) = (Ca::new("test"), Directory::new());
        let identity = ca.server(&["a.test"]).write(directory.path(), "a");
        let tls = ServerTls::builder()
            .certificate(identity)
            .build()
            .expect("certificates");
        let port = Port::telling(&tls).await;
        for client in [TlsClient::new(&ca), TlsClient::new(&ca).tls12()] {
            let client = client.keeping_sessions();
            let kind = async || {
                let stream = client.connect(port.addr, "a.test").await.expect("a handshake");
                let kind = stream.get_ref().1.handshake_kind();
                // Tickets of TLS 1.3 come after the handshake.
                let mut client = HttpsClient::on(stream).await.expect("HTTP/1.1");
                client.get("https://a.test/").await.expect("an answer");
                kind
            };
            assert_eq!(kind().await, Some(HandshakeKind::Full));
            assert_eq!(kind().await, Some(HandshakeKind::Resumed));
            ca.server(&["a.test"]).write(directory.path(), "a");
            assert_eq!(tls.reload(), Ok(true));
            assert_eq!(kind().await, Some(HandshakeKind::Full));
        }
    })
    .await;
}

#[tokio::test]
async fn nobody_watches_files_that_nobody_uses() {
    within_limit(async {
        let (ca, directory) = (Ca::new("test"), Directory::new());
        let identity = ca.server(&["a.test"]).write(directory.path(), "a");
        let tls = ServerTls::builder()
            .certificate(identity)
            .reload_interval(Duration::from_millis(10))
            .build()
            .expect("certificates");
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let before = tasks();
        let port = Port::telling(&tls).await;
        assert!(TlsClient::new(&ca).get(port.addr, "a.test").await.is_ok());
        drop((port, tls));
        eventually(|| tasks() == before).await;
    })
    .await;
}
