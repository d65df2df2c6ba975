//! `auth`, `rate_limits`, `concurrency` and `timeouts`.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};

use super::*;

/// A good file, with a provider of each kind that needs no server.
const GUARDED: &str = r#"listen: 127.0.0.1:8080
agents:
  listen: 127.0.0.1:7000
  auth: keys
auth:
  default: any
  providers:
    people: {basic: {htpasswd: users.htpasswd}}
    keys:
      bearer:
        - {name: ci, token_env: WEB_TOKEN, groups: [web]}
    shared: {jwt: {algorithms: [HS256], issuers: [me], audiences: [api], secret_env: WEB_TOKEN}}
    asked:
      introspection: {url: "http://127.0.0.1:9/x", client_id: gw, client_secret_env: WEB_TOKEN}
  policies:
    any: {any_of: [people, keys, shared, asked]}
rate_limits:
  - {name: callers, key: principal, rate: 10/s}
  - {name: first, key: address, rate: 20/s, before_auth: true}
concurrency: {max: 10}
timeouts: {head: 5s}
rules:
  - id: web
    auth: any
    rate_limit: {limit: callers, rate: 1/s}
    group: web
"#;

/// The user alice, whose password is `correct horse`.
const USERS: &str = "alice:$2y$04$Sp/Mi6usANC067kwOk13jep5hVHr7JtE4L9AHOSnIUQi/.WDNeZXO\n";

/// A directory with what the files name, which goes with the value.
struct Files(PathBuf);

impl Files {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("tunnel-guards-{}-{number}", std::process::id()));
        let certs = path.join("dev-certs");
        fs::create_dir_all(&certs).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        for name in ["ca.pem", "server.pem"] {
            fs::write(certs.join(name), certificate.pem()).unwrap();
        }
        fs::write(certs.join("server.key"), key.serialize_pem()).unwrap();
        let issuer = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        fs::write(certs.join("issuer.pem"), issuer.public_key_pem()).unwrap();
        fs::write(path.join("users.htpasswd"), USERS).unwrap();
        fs::write(
            path.join("weak.htpasswd"),
            "alice:{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk=\n",
        )
        .unwrap();
        Self(path)
    }

    fn gateway(&self, text: &str) -> Result<GatewayConfig, String> {
        let around = Surroundings {
            env: &|name| {
                (name != "UNSET").then(|| [SECRET, if name == "CI_TOKEN" { "2" } else { "" }].concat())
            },
            directory: &self.0,
            files: None,
            allow: None,
        };
        parse_gateway("gateway.yaml", text, &around).map_err(|error| error.to_string())
    }

    /// Replaces, and asserts where the one problem is and what is said.
    #[track_caller]
    fn wrong(&self, from: &str, to: &str, place: &str, right: &str) {
        assert!(GUARDED.contains(from), "{from}");
        let error = self.gateway(&GUARDED.replacen(from, to, 1)).unwrap_err();
        assert!(
            error.starts_with(&format!("gateway.yaml:{place}: ")) && error.contains(right),
            "{to}\n{error}"
        );
        assert!(!error.contains(SECRET), "{error}");
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_full_sample_is_good() {
    let files = Files::new();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/full-gateway.yaml");
    let config = files.gateway(&fs::read_to_string(sample).unwrap()).unwrap();
    assert_eq!(
        config.to_string(),
        "listen 127.0.0.1:8443 with TLS, agents 127.0.0.1:7443 with TLS by auth, tokens 1, auth, rules for agents 1, rules 5"
    );
}

/// The README's excerpt, with the ports that it leaves out.
#[test]
fn the_excerpt_of_the_readme_is_good() {
    let files = Files::new();
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let (_, excerpt) = readme.split_once("```yaml\n").unwrap();
    let (excerpt, _) = excerpt.split_once("```").unwrap();
    let (ports, _) = GATEWAY.split_once("rules:").unwrap();
    let config = files.gateway(&format!("{ports}{excerpt}")).unwrap();
    assert!(config.has_auth && config.listeners[0].rules.len() == 3);
}

#[test]
fn guards_are_read() {
    let files = Files::new();
    let config = files.gateway(GUARDED).unwrap();
    assert_eq!(config.access, Access::Credentials(0));
    assert_eq!(
        config.listeners[0]
            .rules
            .policies()
            .into_iter()
            .collect::<Vec<_>>(),
        ["any"]
    );
    let told = format!("{config:?}");
    assert!(
        told.contains("callers") && told.contains("first") && told.contains("10"),
        "{told}"
    );
    assert!(!told.contains(SECRET), "{told}");
}

/// A section that says nothing is no way to say that nobody is asked.
#[test]
fn what_is_there_and_empty_is_refused() {
    let files = Files::new();
    let rules = "rules:\n  - id: web\n    group: web\n";
    let before = GATEWAY.strip_suffix(rules).unwrap();
    for section in [
        "auth:",
        "auth: ~",
        "auth: {}",
        "auth: []",
        "auth: public",
        "auth: {default: public}",
        "auth: {default: public, providers: }",
        "auth: {default: public, providers: {}}",
        "auth: {default: public, providers: {a: }}",
        "auth: {default: public, providers: {a: {}}}",
        "auth: {default: public, providers: {a: {bearer: }}}",
        "auth: {default: public, providers: {a: {bearer: []}}}",
        "auth: {default: public, providers: {a: {certificate: {names: []}}}}",
        "rate_limits:",
        "rate_limits: []",
        "rate_limits: {}",
    ] {
        let error = files.gateway(&format!("{before}{section}\n{rules}")).unwrap_err();
        let is_told =
            error.starts_with("gateway.yaml:8:") || error.starts_with("gateway.yaml: the key `default`");
        assert!(is_told, "{section}\n{error}");
    }
    for empty in ["", " ~", " {}", " {policy: keys}", " {policy: keys, rights: []}"] {
        let error = files.gateway(&GUARDED.replacen("  auth: keys", &format!("  auth:{empty}"), 1));
        assert!(error.unwrap_err().starts_with("gateway.yaml:4:"), "{empty}");
    }
}

#[test]
fn names_that_nobody_knows_are_found_at_their_lines() {
    let files = Files::new();
    files.wrong(
        "auth: any\n",
        "auth: all\n",
        "24:11",
        "unknown policy `all`: did you mean `any`?",
    );
    files.wrong("default: any", "default: some", "6:12", "unknown policy `some`");
    files.wrong(
        "any_of: [people",
        "any_of: [peple",
        "16:20",
        "did you mean `people`?",
    );
    files.wrong("auth: keys", "auth: key", "4:9", "did you mean `keys`?");
    files.wrong(
        "limit: callers",
        "limit: caller",
        "25:25",
        "did you mean `callers`?",
    );
    let without = GATEWAY.replace("    group: web", "    group: web\n    auth: staff");
    let error = gateway(&without).unwrap_err();
    assert!(
        error.starts_with("gateway.yaml:11:11: this file has no `auth`"),
        "{error}"
    );
    gateway(&without.replace("staff", "public")).unwrap();
    let agents = GATEWAY.replace("  tokens:", "  auth: staff\n  tokens:");
    assert!(gateway(&agents).unwrap_err().starts_with("gateway.yaml:4:9: "));
}

#[test]
fn wrong_providers_are_found_at_their_lines() {
    let files = Files::new();
    for (from, to, place, right) in [
        (
            "users.htpasswd",
            "nobody.htpasswd",
            "8:32",
            "the file cannot be read",
        ),
        ("users.htpasswd", "weak.htpasswd", "8:32", "bcrypt"),
        ("basic:", "basik:", "8:14", "did you mean `basic`?"),
        (
            "token_env: WEB_TOKEN, groups",
            "token_env: UNSET, groups",
            "11:33",
            "`UNSET` is not set",
        ),
        (
            "token_env: WEB_TOKEN, groups",
            "token: short, groups",
            "11:29",
            "fewer than 16",
        ),
        ("token_env: WEB_TOKEN, ", "", "11:11", "has no secret"),
        ("[HS256]", "[HS265]", "12:33", "unknown algorithm `HS265`"),
        ("[HS256]", "[none]", "12:33", "unknown algorithm `none`"),
        ("[HS256]", "[RS256]", "12:86", "none could have made a signature"),
        ("[HS256]", "[]", "12:32", "algorithms"),
        ("issuers: [me], ", "", "12:13", "`issuers: ["),
        ("audiences: [api], ", "", "12:13", "`audiences: [api]`"),
        ("secret_env: WEB_TOKEN}}", "}}", "12:13", "`keys_file: PATH`"),
        (
            "secret_env: WEB_TOKEN}}",
            "keys_file: no.pem}}",
            "12:85",
            "no.pem",
        ),
        (
            "secret_env: WEB_TOKEN}}",
            "jwks_url: \"http://id.example/\"}}",
            "12:84",
            "write https",
        ),
        ("secret_env: WEB_TOKEN}}", "secret: hush}}", "12:82", "32"),
        (
            "secret_env: WEB_TOKEN}}",
            "secret_env: WEB_TOKEN, leeway: 11m}}",
            "12:105",
            "10 minutes",
        ),
        (
            "http://127.0.0.1:9/x",
            "http://id.example/x",
            "14:28",
            "write https",
        ),
        (
            "http://127.0.0.1:9/x",
            "id.example",
            "14:28",
            "such as https://id.example.com/path",
        ),
        (
            "http://127.0.0.1:9/x",
            "https://a:b@id.example/",
            "14:28",
            "take them out",
        ),
        (
            ", client_secret_env: WEB_TOKEN",
            "",
            "14:7",
            "`client_secret_env: NAME`",
        ),
        (
            "{any_of: [people, keys, shared, asked]}",
            "{}",
            "16:10",
            "`any_of: [NAME, NAME]`",
        ),
        (
            "{any_of: [people, keys, shared, asked]}",
            "{any_of: []}",
            "16:19",
            "name at least one provider",
        ),
        (
            "{any_of: [people, keys, shared, asked]}",
            "{any_of: [keys], scopes: [\"\"]}",
            "16:36",
            "scope",
        ),
        (
            "default: any",
            "default: any\n  principal_header: host",
            "7:21",
            "use a name of your own",
        ),
        (
            "default: any",
            "default: any\n  principal_header: \"a b\"",
            "7:21",
            "such as x-user",
        ),
        ("default: any", "default: any\n  realm: \"\"", "7:10", "realm"),
    ] {
        files.wrong(from, to, place, right);
    }
    let names = "    people: {certificate: {names: [\"dns:a.example\"]}}\n    keys:";
    let people = "    people: {basic: {htpasswd: users.htpasswd}}\n    keys:";
    files.wrong(people, names, "8:5", "no port asks clients for certificates");
    let error = files
        .gateway(&GUARDED.replace(people, &names.replace("dns:a", "a")))
        .unwrap_err();
    assert!(
        error.contains("gateway.yaml:8:36: ") && error.contains("dns:NAME"),
        "{error}"
    );
    for (name, right) in [("public", "and not `public`"), ("keys", "already")] {
        let twice = GUARDED.replace(
            "  policies:\n",
            &format!("  policies:\n    {name}: {{any_of: [keys]}}\n"),
        );
        let error = files.gateway(&twice).unwrap_err();
        assert!(
            error.starts_with("gateway.yaml:16:5: ") && error.contains(right),
            "{error}"
        );
    }
}

#[test]
fn wrong_limits_are_found_at_their_lines() {
    let files = Files::new();
    for (from, to, place, right) in [
        ("rate: 10/s", "rate: 10", "18:43", "such as 100/s"),
        (
            "key: principal",
            "key: principle",
            "18:26",
            "did you mean `principal`?",
        ),
        (
            "key: principal",
            "key: {header: \"a b\"}",
            "18:35",
            "such as x-api-key",
        ),
        (
            "key: principal",
            "key: {address: {ipv6_prefix: 129}}",
            "18:50",
            "0 to 128",
        ),
        (
            "name: callers",
            "name: first",
            "19:12",
            "two limits with the name `first`",
        ),
        ("name: callers", "name: \"a b\"", "18:12", "no name"),
        (
            "key: address",
            "key: principal",
            "19:24",
            "before anybody was asked",
        ),
        ("limit: callers, ", "", "25:17", "say which one"),
        ("rate: 1/s}", "rate: 1/x}", "25:40", "such as 100/s"),
        ("{max: 10}", "{max: 0}", "20:20", "at least 1"),
        ("{max: 10}", "{per_key: {max: 1}}", "20:25", "`key` is missing"),
        ("{max: 10}", "{mx: 10}", "20:15", "did you mean `max`?"),
        ("{head: 5s}", "{head: 5}", "21:18", "write 5s"),
        ("{head: 5s}", "{haed: 5s}", "21:12", "did you mean `head`?"),
        (
            "    group: web\n",
            "    concurrency: no\n    group: web\n",
            "26:18",
            "and not `unlimited`",
        ),
        (
            "    group: web\n",
            "    timeout: 1s\n    timeouts: {whole: 1s}\n    group: web\n",
            "27:15",
            "keep one of",
        ),
        (
            "    group: web\n",
            "    respond: {status: 200}\n",
            "24:11",
            "answers itself",
        ),
    ] {
        files.wrong(from, to, place, right);
    }
    let more = "  - {name: x, key: route, rate: 1/s}\n  - {name: y, key: group, rate: 1/s}\nconcurrency:";
    files.wrong("concurrency:", more, "21:5", "there is room for 2 limits");
    for (rate, limits) in [
        ("10/s", ""),
        ("unlimited", ""),
        ("{rate: 10/s, burst: 3}", ""),
        ("10/s", "rate_limits: [{key: everyone, rate: 1/s}]\n"),
    ] {
        let text = GATEWAY.replace(
            "    group: web",
            &format!("    group: web\n    rate_limit: {rate}"),
        );
        gateway(&text.replace("rules:", &format!("{limits}rules:"))).unwrap();
    }
}

#[test]
fn what_agents_may_register_is_checked() {
    let files = Files::new();
    let rights = |text: &str| format!("  auth: {{policy: keys, rights: [{text}]}}");
    let with = |text: &str| files.gateway(&GUARDED.replacen("  auth: keys", &rights(text), 1));
    with("{name: ci, groups: [web]}").unwrap();
    with("{name: \"*\", groups: \"*\", services: [acme.*]}").unwrap();
    let error = with("{name: ci, groups: [api]}").unwrap_err();
    assert!(error.contains("the group `web` of the rule `web`"), "{error}");
    for wrong in [
        "{name: \"\", groups: [web]}",
        "{name: ci, groups: []}",
        "{name: ci, groups: [a b]}",
    ] {
        assert!(with(wrong).unwrap_err().starts_with("gateway.yaml:4:"), "{wrong}");
    }
    let error = with("{name: ci, groups: [web], services: []}").unwrap_err();
    assert!(error.contains("no service is allowed"), "{error}");
    with("{name: ci, groups: [web], hosts: [a.example, \"*.b.example\"]}").unwrap();
    let error = with("{name: ci, groups: [web], hosts: []}").unwrap_err();
    assert!(error.contains("no host is allowed"), "{error}");
    let error = with("{name: ci, groups: [web], hosts: [\"*\"]}").unwrap_err();
    assert!(
        error.starts_with("gateway.yaml:4:") && error.contains("*.example.com"),
        "{error}"
    );
    files.wrong(
        "  auth: keys",
        "  auth: keys\n  open: true",
        "3:3",
        "keep one of `open`",
    );
}
