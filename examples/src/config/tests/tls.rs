use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use rcgen::{CertificateParams, KeyPair};

use super::*;

const LISTEN: &str = "listen:
  address: 127.0.0.1:8443
  tls:
    certificates:
      - cert: one.pem
        key: one.key
      - {cert: two.pem, key: two.key, names: [\"*.example.com\"]}
    client_certificates:
      ca: one.pem
      optional: true
    tls13_only: true
    handshake_timeout: 5s
    reload_interval: 10s
";

const DIALS: &str = "gateway:
  url: https://127.0.0.1:7000
  tls:
    ca: one.pem
    client_certificate: {cert: two.pem, key: two.key}
    server_name: gateway.test
";

/// Two certificates and their keys, in a directory of the test that goes with it.
struct Files(PathBuf);

impl Files {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("tunnel-config-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        for name in ["one", "two"] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new([format!("{name}.test")]).unwrap();
            let certificate = params.self_signed(&key).unwrap();
            fs::write(path.join(format!("{name}.pem")), certificate.pem()).unwrap();
            fs::write(path.join(format!("{name}.key")), key.serialize_pem()).unwrap();
        }
        Self(path)
    }

    fn around(&self) -> Surroundings<'_> {
        Surroundings {
            directory: &self.0,
            files: None,
            ..around()
        }
    }

    fn gateway(&self, text: &str) -> Result<GatewayConfig, String> {
        parse_gateway("gateway.yaml", text, &self.around()).map_err(|error| error.to_string())
    }

    fn agent(&self, text: &str) -> Result<AgentConfig, String> {
        parse_agent("agent.yaml", text, &self.around()).map_err(|error| error.to_string())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn secured() -> String {
    GATEWAY.replace("listen: 127.0.0.1:8080\n", LISTEN).replace(
        "  tokens:",
        "  tls: {certificates: [{cert: one.pem, key: one.key}]}\n  tokens:",
    )
}

fn dials() -> String {
    AGENT.replace("gateway: http://127.0.0.1:7000\n", DIALS).replace(
        "http://127.0.0.1:3000",
        "https://127.0.0.1:3000\n  protocol: http2\n  tls: {ca: two.pem}",
    )
}

#[test]
fn every_key_of_tls() {
    let files = Files::new();
    assert_eq!(
        files.gateway(&secured()).unwrap().to_string(),
        "listen 127.0.0.1:8443 with TLS, agents 127.0.0.1:7000 with TLS, tokens 1, rules 1"
    );
    assert_eq!(
        files.agent(&dials()).unwrap().to_string(),
        "gateway https://127.0.0.1:7000, groups web, upstreams 1"
    );
    let agent = AGENT.replace("http://127.0.0.1:7000", "{url: \"http://127.0.0.1:7000\"}");
    files.agent(&agent).unwrap();
    let gateway = GATEWAY.replace("127.0.0.1:8080", "{address: \"127.0.0.1:8080\"}");
    assert!(!files.gateway(&gateway).unwrap().listeners[0].has_tls);
}

#[test]
fn a_gateways_mistakes_are_found_at_their_lines() {
    let files = Files::new();
    let good = secured();
    for (from, to, place, right) in [
        ("cert: one.pem", "cert: x.pem", "5:15", "the file cannot be read"),
        (
            "cert: one.pem",
            "cert: one.key",
            "5:15",
            "the key stands in the place of the certificate",
        ),
        (
            "key: one.key",
            "key: two.pem",
            "6:14",
            "there is no private key in it",
        ),
        (
            "key: one.key",
            "key: two.key",
            "6:14",
            "does not belong to the first certificate in",
        ),
        (
            "*.example.com",
            "*.*.com",
            "7:46",
            "write one such as app.example.com",
        ),
        ("ca: one.pem", "ca: one.key", "9:11", "no certificate"),
        (
            "address: 127.0.0.1:8443",
            "address: here",
            "2:12",
            "write IP:PORT",
        ),
        (
            "  address: 127.0.0.1:8443\n",
            "",
            "2:3",
            "`address: 127.0.0.1:8443`",
        ),
        ("optional: true", "mode: required", "10:7", "unknown key `mode`"),
        (
            "handshake_timeout: 5s",
            "handshake_timeout: 5",
            "12:24",
            "write 5s",
        ),
    ] {
        assert!(good.contains(from), "{from}");
        let error = files.gateway(&good.replacen(from, to, 1)).unwrap_err();
        let place = format!("gateway.yaml:{place}: ");
        assert!(
            error.starts_with(&place) && error.contains(right),
            "{to}\n{error}"
        );
    }
}

/// A key without a value is no way to say that there is no TLS.
#[test]
fn what_is_there_and_empty_is_refused() {
    let files = Files::new();
    for text in [
        "tls:",
        "tls: {}",
        "tls: ~",
        "tls: {certificates: []}",
        "tls: {certificates: }",
    ] {
        let listen = format!("listen:\n  address: 127.0.0.1:8443\n  {text}\n");
        let error = files.gateway(&GATEWAY.replace("listen: 127.0.0.1:8080\n", &listen));
        assert!(error.unwrap_err().starts_with("gateway.yaml:3:"), "{text}");
        let error = files.gateway(&GATEWAY.replace("  tokens:", &format!("  {text}\n  tokens:")));
        assert!(error.unwrap_err().starts_with("gateway.yaml:4:"), "{text}");
    }
    let tls = |text: &str| GATEWAY.replace("127.0.0.1:8080\n", text);
    let clients = "\n  address: 127.0.0.1:8443
  tls:
    certificates: [{cert: one.pem, key: one.key}]
    client_certificates:\n";
    let error = files.gateway(&tls(clients)).unwrap_err();
    assert!(error.contains("the key `ca` is missing"), "{error}");
    // What is dialled is verified whatever stands there.
    let error = files.agent(&AGENT.replace("http://127.0.0.1:7000\n", "\n  url: http://g\n  tls:\n"));
    assert!(error.unwrap_err().contains("write https instead of http"));
}

#[test]
fn an_agents_mistakes_are_found_at_their_lines() {
    let files = Files::new();
    let good = dials();
    for (from, to, place, right) in [
        (
            "https://127.0.0.1:7000",
            "http://127.0.0.1:7000",
            "2:8",
            "write https instead of http",
        ),
        ("ca: one.pem", "ca: x.pem", "4:9", "the file cannot be read"),
        ("two.key}", "one.key}", "5:46", "does not belong to"),
        ("two.key}", "two.key, names: [a]}", "5:62", "take them out"),
        ("gateway.test", "\"a b\"", "6:18", "no name of a server"),
        ("https://127.0.0.1:3000", "http://127.0.0.1:3000", "10:8", "`h2c`"),
        ("protocol: http2", "protocol: h2c", "10:8", "`http2`"),
        ("ca: two.pem", "ca: two.key", "12:13", "no certificate"),
    ] {
        assert!(good.contains(from), "{from}");
        let error = files.agent(&good.replacen(from, to, 1)).unwrap_err();
        let place = format!("agent.yaml:{place}: ");
        assert!(
            error.starts_with(&place) && error.contains(right),
            "{to}\n{error}"
        );
    }
}

/// What stands in the comments of the sample files can be used as it is.
#[test]
fn the_commented_samples_are_good() {
    let files = Files::new();
    fs::create_dir(files.0.join("dev-certs")).unwrap();
    for (from, to) in [
        ("one.pem", "ca.pem"),
        ("one.pem", "server.pem"),
        ("one.key", "server.key"),
        ("two.pem", "agent.pem"),
        ("two.key", "agent.key"),
    ] {
        fs::copy(files.0.join(from), files.0.join("dev-certs").join(to)).unwrap();
    }
    let sample = |name: &str| {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
        fs::read_to_string(directory.join(name)).unwrap()
    };
    let around = Surroundings {
        env: &|_| Some(SECRET.to_owned()),
        directory: &files.0,
        files: None,
        allow: None,
    };
    let gateway = sample("gateway.yaml").replace("listen: 127.0.0.1:8080\n", "");
    let gateway = uncommented(&uncommented(&gateway, "# listen:"), "  # tls:");
    let gateway = uncommented(&gateway, "# reload:\n");
    let config = parse_gateway("gateway.yaml", &gateway, &around).unwrap();
    assert!(config.listeners[0].has_tls && config.agents_tls.is_some());
    let agent = sample("agent.yaml").replace("gateway: http://127.0.0.1:7000\n", "");
    let agent = uncommented(&(agent + "\n\n"), "# pushed:\n");
    let agent = uncommented(&agent, "# reload:\n");
    parse_agent("agent.yaml", &uncommented(&agent, "# gateway:\n"), &around).unwrap();
}

/// The text without the marks of the comment that begins so, down to the next empty line.
fn uncommented(text: &str, beginning: &str) -> String {
    let (before, rest) = text.split_once(beginning).unwrap();
    let (block, after) = rest.split_once("\n\n").unwrap();
    let block = format!("{beginning}{block}")
        .replace("\n# ", "\n")
        .replace("\n  # ", "\n  ");
    format!("{before}{}\n\n{after}", block.replacen("# ", "", 1))
}
