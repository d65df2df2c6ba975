//! TLS, and certificates in the place of a token.

use tunnel_tests::wait::within_limit;

use super::knowing;
use crate::{
    program::{Running, output},
    world::{Files, RunningGateway, TO_WEB, gateway_file},
};

#[tokio::test]
async fn a_certificate_is_as_good_as_the_token() {
    let files = Files::new();
    let certs = files.path("certs");
    let made = within_limit(output("dev-certs", &["--out", &certs])).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let admin = "admin:
  listen: 127.0.0.1:0
  token_env: TUNNEL_ADMIN_TOKEN
  tls:
    certificates: [{cert: certs/server.pem, key: certs/server.key}]
    client_certificates: {ca: certs/ca.pem, optional: true}
";
    let file = files.write("gateway.yaml", &(gateway_file(TO_WEB) + admin));
    let gateway = RunningGateway::of(knowing("gateway", &["--config", &file])).await;
    let url = format!("https://{}", gateway.admin.expect("the file has it"));
    let (ca, cert, key) = (
        files.path("certs/ca.pem"),
        files.path("certs/agent.pem"),
        files.path("certs/agent.key"),
    );
    let tls = ["--admin", &url, "--ca", &ca, "--server-name", "localhost"];
    let shown = ["--cert", &cert, "--key", &key];
    let token = ["--token-env", "TUNNEL_ADMIN_TOKEN"];
    for (more, code) in [(&[][..], 1), (&token, 0), (&shown, 0)] {
        let arguments = [&["status"], &tls[..], more].concat();
        let ended = within_limit(Running::start(knowing("gateway", &arguments)).ended()).await;
        assert_eq!(ended.code, Some(code), "{more:?} {ended:?}");
    }
    let arguments = [&["reload"], &tls[..], &shown[..]].concat();
    let ended = within_limit(Running::start(knowing("gateway", &arguments)).ended()).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let log = gateway.program.log();
    assert!(log.contains("who=certificate "), "{log}");
    let other = ["status", "--admin", &url, "--token-env", "TUNNEL_ADMIN_TOKEN"];
    let ended = within_limit(Running::start(knowing("gateway", &other)).ended()).await;
    assert_eq!(ended.code, Some(3), "nobody said whom to believe: {ended:?}");
}
