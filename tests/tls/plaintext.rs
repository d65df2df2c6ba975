//! Plain bytes on a port that speaks TLS, and the reverse.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tunnel_tests::{
    pki::{Ca, TlsClient},
    wait::within_limit,
};
use tunnel_transport::{entry::Entry, tls::ServerTls};

use crate::world::{Port, teller};

async fn port() -> Port {
    let identity = Ca::new("test").server(&["a.test"]).identity();
    Port::telling(
        &ServerTls::builder()
            .certificate(identity)
            .build()
            .expect("certificates"),
    )
    .await
}

/// Everything that comes back.
async fn said_to(port: &Port, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(port.addr).await.expect("the port is open");
    socket.write_all(bytes).await.expect("it reads");
    let mut answer = Vec::new();
    // A reset after the answer is all right.
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn plain_http_is_told_to_use_https() {
    within_limit(async {
        let port = port().await;
        let answer = said_to(&port, b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(answer.ends_with("use https, not http.\r\n"), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn other_plain_bytes_are_answered_with_nothing() {
    within_limit(async {
        let port = port().await;
        for bytes in [
            &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
            b"\0\0\0",
            b"hello",
            b"SSH-2.0-x\r\n",
        ] {
            assert_eq!(said_to(&port, bytes).await, "");
        }
    })
    .await;
}

#[tokio::test]
async fn tls_on_a_plain_port_fails_at_once() {
    within_limit(async {
        let port = Port::open(Entry::new(), teller()).await;
        let client = TlsClient::new(&Ca::new("test"));
        let error = client
            .get(port.addr, "a.test")
            .await
            .expect_err("no TLS there")
            .to_string();
        assert!(error.contains("corrupt message"), "{error}");
        // It is answered like any request that is none.
        assert!(
            said_to(&port, b"\x16\x03\x01\0\x05hello\r\n\r\n")
                .await
                .starts_with("HTTP/1.1 400 ")
        );
    })
    .await;
}
