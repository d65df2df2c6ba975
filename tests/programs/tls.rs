//! The operator's programs with the certificates that `dev-certs` makes.

use axum::{Router, routing::get as on_get};
use tunnel_tests::{
    origin::Origin,
    pki::{Issued, TlsClient},
    wait::within_limit,
};

use crate::{
    program::{Running, output, program},
    world::{Files, RunningGateway, TO_WEB, agent_file, gateway_file},
};

#[tokio::test]
async fn every_connection_by_tls() {
    let files = Files::new();
    let certs = files.path("certs");
    let made = within_limit(output("dev-certs", &["--out", &certs])).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let again = within_limit(output("dev-certs", &["--out", &certs])).await;
    assert_eq!(again.code, Some(1), "nothing is written over: {again:?}");
    assert!(again.stderr.contains("ca.pem: "), "{again:?}");

    let certificates = "certificates: [{cert: certs/server.pem, key: certs/server.key}]";
    let gateway = gateway_file(TO_WEB)
        .replacen(
            "listen: 127.0.0.1:0",
            &format!(
                "listen:\n  address: 127.0.0.1:0\n  tls:\n    {certificates}\n    client_certificates: {{ca: certs/ca.pem, optional: true}}"
            ),
            1,
        )
        .replace(
            "  tokens:",
            &format!("  tls:\n    {certificates}\n    client_certificates: {{ca: certs/ca.pem, optional: true}}\n  tokens:"),
        );
    let file = files.write("gateway.yaml", &gateway);
    let gateway = RunningGateway::start("gateway", &["--config", &file]).await;

    let origin = Origin::http1(Router::new().route("/", on_get(|| async { "by TLS" }))).await;
    let tls = "ca: certs/ca.pem, client_certificate: {cert: certs/agent.pem, key: certs/agent.key}, server_name: localhost";
    let agent = agent_file(gateway.agents, &format!("{{url: \"{}\"}}", origin.uri()));
    let plain = format!("gateway: http://{}", gateway.agents);
    let secured = format!("gateway: {{url: \"https://{}\", tls: {{{tls}}}}}", gateway.agents);
    let file = files.write("agent.yaml", &agent.replace(&plain, &secured));
    let mut agent = Running::start(program("agent", &["--config", &file]));
    let ready = agent.line("ready ").await;
    assert_eq!(ready, format!("agent=web-1 gateway=https://{}", gateway.agents));

    // Another one that believes what the system believes.
    let by_name = format!("gateway: https://localhost:{}", gateway.agents.port());
    let file = files.write(
        "by_name.yaml",
        &agent_file(gateway.agents, "{url: http://127.0.0.1:3000}")
            .replace(&plain, &by_name)
            .replace("web-1", "web-2"),
    );
    let mut command = program("agent", &["--config", &file]);
    command
        .env("SSL_CERT_FILE", files.path("certs/ca.pem"))
        .env_remove("SSL_CERT_DIR");
    let mut second = Running::start(command);
    second.line("ready ").await;
    second.signal("TERM");
    assert_eq!(within_limit(second.ended()).await.code, Some(0));

    within_limit(async {
        let ca = files.read("certs/ca.pem");
        let shown = Issued {
            certificate: files.read("certs/agent.pem"),
            key: files.read("certs/agent.key"),
        };
        for client in [
            TlsClient::believing(&ca),
            TlsClient::believing(&ca).showing(&shown),
        ] {
            for alpn in ["http/1.1", "h2"] {
                let client = client.clone().offering(&[alpn]);
                let answer = client.get(gateway.listen, "localhost").await.expect("an answer");
                assert_eq!((answer.status.as_u16(), &*answer.text), (200, "by TLS"), "{alpn}");
            }
        }
    })
    .await;
    for program in [agent, gateway.program] {
        program.signal("TERM");
        let ended = within_limit(program.ended()).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
}
