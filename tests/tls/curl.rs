//! Another implementation on the other side, where there is one.

use std::process::Command;

use tunnel_tests::{
    pki::{Ca, replace},
    wait::within_limit,
};
use tunnel_transport::tls::ServerTls;

use crate::world::{Directory, Port};

/// Whether there is a curl that knows HTTP/2.
fn is_there() -> bool {
    let version = Command::new("curl").arg("--version").output();
    version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("HTTP2"))
}

/// The HTTP and the text that curl got, or what it complains of.
async fn curl(directory: &Directory, port: &Port, arguments: &[&str]) -> String {
    let mut command = tokio::process::Command::new("curl");
    command
        .current_dir(directory.path())
        .args([
            "--silent",
            "--show-error",
            "--write-out",
            " HTTP/%{http_version}",
            "--cacert",
            "ca.pem",
        ])
        .args(["--resolve", &format!("a.test:{}:127.0.0.1", port.addr.port())])
        .args(arguments)
        .arg(format!("https://a.test:{}/", port.addr.port()));
    let output = command.output().await.expect("curl runs");
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn curl_is_served() {
    if !is_there() {
        eprintln!("skipped: there is no curl with HTTP/2");
        return;
    }
    within_limit(async {
        let (ca, clients, directory) = (Ca::new("servers"), Ca::new("clients"), Directory::new());
        let tls = ServerTls::builder()
            .certificate(ca.server(&["a.test"]).identity())
            .request_client_certificates([clients.believed()]);
        let port = Port::telling(&tls.build().expect("certificates")).await;
        replace(&directory.file("ca.pem"), &ca.pem);
        replace(&directory.file("foreign.pem"), &Ca::new("foreign").pem);
        clients.client("web").write(directory.path(), "web");
        for (arguments, expected) in [
            (&["--http1.1"][..], "https TLSv1.3 a.test - HTTP/1.1"),
            (&["--http2"], "https TLSv1.3 a.test - HTTP/2"),
            (&["--no-alpn"], "https TLSv1.3 a.test - HTTP/1.1"),
            (&["--tls-max", "1.2", "--http2"], "https TLSv1.2 a.test - HTTP/2"),
            (
                &["--cert", "web.pem", "--key", "web.key"],
                "web dns:web.clients.test uri:spiffe://test/web email:web@clients.test HTTP/2",
            ),
            (&["--tls-max", "1.1"], "curl: (35)"),
            (&["--cacert", "foreign.pem"], "curl: (60)"),
        ] {
            let got = curl(&directory, &port, arguments).await;
            assert!(got.contains(expected), "{arguments:?}: {got}");
        }
    })
    .await;
}
