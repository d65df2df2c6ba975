use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::Instant,
};

use super::*;
use crate::tls::{Alpn, ClientTls, Identity, Pem, ServerTls};

/// A server for `a.test`, and a client that believes it.
fn made() -> (ServerTls, ClientTls) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["a.test".to_owned()]).expect("a name");
    let certificate = Pem::bytes(params.self_signed(&key).expect("a certificate").pem());
    let identity = Identity::new(certificate.clone(), Pem::bytes(key.serialize_pem()));
    let server = ServerTls::builder().certificate(identity).build();
    let client = ClientTls::builder().ca(certificate).build();
    (server.expect("a server"), client.expect("a client"))
}

#[tokio::test(start_paused = true)]
async fn a_handshake_has_ten_seconds() {
    let (dialer, pipes) = pipes();
    tokio::spawn(Entry::new().tls(made().0).serve(pipes, ok()).into_future());
    let (start, mut client) = (Instant::now(), dialer.dial().await);
    // The beginning of a handshake is not enough.
    client.write_all(b"\x16\x03\x01").await.expect("a reader");
    assert_eq!(client.read(&mut [0; 1]).await.expect("a good end"), 0);
    assert_eq!(start.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn the_time_for_the_first_bytes_begins_behind_the_handshake() {
    let (server, client) = made();
    let (dialer, pipes) = pipes();
    let entry = Entry::new().tls(server).handshake_timeout(Duration::from_secs(3));
    tokio::spawn(entry.serve(pipes, ok()).into_future());
    let pipe = dialer.dial().await;
    let mut stream = client
        .connect("a.test", Alpn::Http1, pipe)
        .await
        .expect("a handshake");
    let start = Instant::now();
    assert!(to_end(&mut stream).await.0.is_empty());
    assert_eq!(start.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_handshake_is_cut_when_the_entry_stops() {
    let (dialer, pipes) = pipes();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serve = Entry::new()
        .tls(made().0)
        .serve(pipes, ok())
        .with_graceful_shutdown(async {
            let _ = stopped.await;
        });
    let served = tokio::spawn(serve.into_future());
    let (start, mut client) = (Instant::now(), dialer.dial().await);
    tokio::task::yield_now().await;
    stop.send(()).expect("it runs");
    served.await.expect("no panic");
    assert_eq!(client.read(&mut [0; 1]).await.expect("a good end"), 0);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

/// hyper has the second request already and reads nothing more, so nobody but the socket can tell.
#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_behind_a_second_request_is_seen_through_tls() {
    struct Told(Option<tokio::sync::oneshot::Sender<()>>);
    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.take().expect("once").send(());
        }
    }

    let (server, client) = made();
    let (dialer, pipes) = pipes();
    let (sender, dropped) = tokio::sync::oneshot::channel();
    let told = std::sync::Arc::new(std::sync::Mutex::new(Some(Told(Some(sender)))));
    let slow = app(move |_| {
        let told = told.lock().expect("no panic").take();
        async move {
            let _told = told;
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    });
    tokio::spawn(Entry::new().tls(server).serve(pipes, slow).into_future());
    let pipe = dialer.dial().await;
    let mut stream = client
        .connect("a.test", Alpn::Http1, pipe)
        .await
        .expect("a handshake");
    let request = b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";
    stream
        .write_all(&[&request[..], &request[..]].concat())
        .await
        .expect("a reader");
    stream.flush().await.expect("a reader");
    tokio::time::sleep(Duration::from_secs(5)).await;
    stream.shutdown().await.expect("a reader");
    drop(stream);
    dropped.await.expect("the exchange is dropped");
}
