//! Who may ask.

use std::time::Duration;

use tunnel_core::{TlsIdentity, auth::SubjectAltName};

use super::*;
use crate::admin::{access::Who, check_address, logins::Logins};

#[tokio::test]
async fn without_credentials_nothing_is_told_and_nothing_is_done() {
    let asks = Asks::new(Admin::gateway(&gateway()).access(token()));
    let wrong = [
        asks.clone(),
        asks.with("authorization", "Bearer 0123456789abcdeF"),
        asks.with("authorization", "Bearer "),
        asks.with("authorization", &format!("Basic {TOKEN}")),
        asks.with("cookie", &format!("tunnel_admin={TOKEN}")),
    ];
    for asks in &wrong {
        for path in ROUTES {
            for method in METHODS {
                let told = asks.send(method.clone(), path, "").await;
                assert_eq!(told.status, 401, "{method} {path}: {}", told.text);
                assert!(
                    told.headers["www-authenticate"]
                        .to_str()
                        .unwrap()
                        .starts_with("Bearer")
                );
            }
        }
    }
    assert_eq!(asks.with_token().get("/api/overview").await.status, 200);
    assert_eq!(asks.with_token().get("/api/nothing").await.status, 404);
    assert_eq!(asks.with_token().post("/api/agents", "").await.status, 405);
}

#[tokio::test]
async fn probes_are_open_where_that_is_set_and_tell_no_reasons() {
    let asks = Asks::new(Admin::gateway(&gateway()).access(token().open_probes(true)));
    assert_eq!(asks.get("/livez").await.status, 200);
    let told = asks.get("/readyz").await;
    assert_eq!(
        (told.status.as_u16(), told.text.as_str()),
        (503, "{\"ready\":false,\"reasons\":[]}")
    );
    let told = asks.with_token().get("/readyz").await;
    assert!(
        told.status == 503 && told.text.contains("no agent is connected"),
        "{}",
        told.text
    );
    assert_eq!(asks.get("/api/overview").await.status, 401);
}

#[tokio::test]
async fn without_a_token_only_this_machine_may_ask() {
    let asks = Asks::new(Admin::gateway(&gateway()));
    assert_eq!(asks.get("/api/overview").await.status, 200);
    assert_eq!(
        asks.from(Some(([192, 0, 2, 1], 1).into()))
            .get("/api/overview")
            .await
            .status,
        403
    );
    assert_eq!(asks.from(None).get("/api/overview").await.status, 403);
    let mapped = "[::ffff:127.0.0.1]:1".parse().unwrap();
    assert_eq!(asks.from(Some(mapped)).get("/livez").await.status, 200);
    let anywhere = ["0.0.0.0:9", "[::]:9", "192.0.2.1:9"].map(|text| text.parse().unwrap());
    for address in anywhere {
        let refused = check_address(&AdminAccess::local().open_probes(true), address).unwrap_err();
        assert!(refused.to_string().contains("token"), "{refused}");
        check_address(&token(), address).unwrap();
    }
    for address in ["127.0.0.1:9", "127.9.9.9:9", "[::1]:9"] {
        check_address(&AdminAccess::local(), address.parse().unwrap()).unwrap();
    }
}

#[tokio::test]
async fn a_port_that_others_reach_is_not_served_without_credentials() {
    let port = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let admin = Admin::gateway(&gateway()).build();
    let error = admin.serve(crate::entry::Entry::new(), port).unwrap_err();
    assert!(error.to_string().contains("without credentials"), "{error}");
}

#[tokio::test]
async fn names_that_lead_here_are_no_names_of_the_interface() {
    let access = token().hosts(["Admin.example".to_owned()]);
    let asks = Asks::new(Admin::gateway(&gateway()).access(access)).with_token();
    for host in [
        "127.0.0.1",
        "localhost:9090",
        "[::1]:9090",
        "10.0.0.1",
        "admin.example:1",
        "LOCALHOST",
    ] {
        assert_eq!(
            asks.with("host", host).get("/api/overview").await.status,
            200,
            "{host}"
        );
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:9090",
        "admin.example.evil",
    ] {
        for path in ["/api/overview", "/livez", "/", "/api/login"] {
            assert_eq!(
                asks.with("host", host).get(path).await.status,
                421,
                "{host} {path}"
            );
        }
    }
    assert_eq!(asks.with("host", "").get("/api/overview").await.status, 400);
}

#[tokio::test]
async fn pages_of_elsewhere_can_have_nothing_done() {
    let open = Asks::new(Admin::gateway(&gateway()));
    let json = open.with("content-type", "application/json; charset=utf-8");
    assert_eq!(
        open.post("/api/reload", "").await.status,
        415,
        "a form could be this"
    );
    assert_eq!(
        open.with("content-type", "text/plain")
            .post("/api/reload", "")
            .await
            .status,
        415
    );
    assert_eq!(json.post("/api/reload", "").await.status, 404, "there is no file");
    assert_eq!(
        json.with("origin", "http://127.0.0.1:9090")
            .post("/api/reload", "")
            .await
            .status,
        404
    );
    let secret = Asks::new(Admin::gateway(&gateway()).access(token())).with_token();
    assert_eq!(
        secret.post("/api/reload", "").await.status,
        404,
        "no page has the token"
    );
    for asks in [json, secret] {
        for (name, value) in [
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("origin", "http://127.0.0.1:9091"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            for (method, path) in [
                (Method::POST, "/api/reload"),
                (Method::PUT, "/api/log"),
                (Method::POST, "/api/login"),
            ] {
                let told = asks.with(name, value).send(method, path, "{}").await;
                assert_eq!(told.status, 403, "{name}: {value} {path}");
            }
        }
        assert_eq!(
            asks.with("sec-fetch-site", "same-origin")
                .post("/api/reload", "")
                .await
                .status,
            404
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_browser_has_a_cookie_in_the_place_of_the_token() {
    let asks = Asks::new(Admin::gateway(&gateway()).access(token())).with("content-type", "application/json");
    let wrong = asks.post("/api/login", "{\"token\": \"0123456789abcdeF\"}").await;
    assert_eq!(
        (wrong.status.as_u16(), wrong.headers.get("set-cookie")),
        (401, None)
    );
    assert_eq!(asks.post("/api/login", "0123456789abcdef").await.status, 400);
    assert_eq!(asks.post("/api/login", &"x".repeat(100_000)).await.status, 400);
    let told = asks
        .post("/api/login", &format!("{{\"token\": \"{TOKEN}\"}}"))
        .await;
    assert_eq!(told.status, 204);
    let set = told.headers["set-cookie"].to_str().unwrap();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age="] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains(TOKEN) && !set.contains("Secure"), "{set}");
    let browser = asks.with("cookie", set.split(';').next().unwrap());
    assert_eq!(browser.get("/api/overview").await.status, 200);
    assert_eq!(
        browser
            .with("content-type", "text/plain")
            .post("/api/reload", "")
            .await
            .status,
        415
    );
    assert_eq!(browser.post("/api/reload", "").await.status, 404);
    let other = asks.with("cookie", set.split(';').next().unwrap());
    assert_eq!(browser.post("/api/logout", "").await.status, 204);
    assert_eq!(other.get("/api/overview").await.status, 401);
    let again = asks
        .post("/api/login", &format!("{{\"token\": \"{TOKEN}\"}}"))
        .await;
    let again = asks.with(
        "cookie",
        again.headers["set-cookie"]
            .to_str()
            .unwrap()
            .split(';')
            .next()
            .unwrap(),
    );
    tokio::time::advance(Duration::from_secs(8 * 3_600 - 1)).await;
    assert_eq!(again.get("/api/overview").await.status, 200);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(again.get("/api/overview").await.status, 401);
}

#[tokio::test]
async fn another_token_ends_the_logins_of_the_old_one() {
    let asks = Asks::new(Admin::gateway(&gateway()).access(token())).with("content-type", "application/json");
    let told = asks
        .post("/api/login", &format!("{{\"token\": \"{TOKEN}\"}}"))
        .await;
    let browser = asks.with(
        "cookie",
        told.headers["set-cookie"]
            .to_str()
            .unwrap()
            .split(';')
            .next()
            .unwrap(),
    );
    asks.admin.replace_access(token().open_probes(true)).unwrap();
    assert_eq!(
        browser.get("/api/overview").await.status,
        200,
        "the token is the same"
    );
    let other = AdminAccess::local().token("fedcba9876543210").unwrap();
    asks.admin.replace_access(other).unwrap();
    assert_eq!(browser.get("/api/overview").await.status, 401);
    assert_eq!(asks.with_token().get("/api/overview").await.status, 401);
    asks.admin.replace_access(AdminAccess::local()).unwrap_err();
    assert_eq!(
        asks.get("/api/overview").await.status,
        401,
        "it does not become open"
    );
}

#[test]
fn certificates_are_enough_where_they_are_asked_for() {
    let shown = |names: &[&str]| {
        let names = names.iter().map(|name| SubjectAltName::Dns((*name).into()));
        let mut request = Request::new(());
        request.extensions_mut().insert(TlsIdentity::new(names));
        request.into_parts().0
    };
    let who = |access: &AdminAccess, names: &[&str]| access.identify(&shown(names), &Logins::default()).ok();
    let any = AdminAccess::local().certificates([]);
    let named = AdminAccess::local().certificates(["dns:ops.example".to_owned()]);
    assert_eq!(
        who(&any, &["a.example"]),
        Some(Who::Certificate("dns:a.example".to_owned()))
    );
    assert_eq!(who(&named, &["a.example"]), None);
    let ops = Some(Who::Certificate("dns:ops.example".to_owned()));
    assert_eq!(who(&named, &["a.example", "ops.example"]), ops);
    assert_eq!(
        who(&token(), &["ops.example"]),
        None,
        "the port's TLS was for something else"
    );
    assert!(any.has_credentials() && named.has_credentials());
}

#[test]
fn weak_tokens_are_refused_and_none_is_printed() {
    assert!(AdminAccess::local().token("short").is_err());
    assert!(AdminAccess::local().token("with a space in it").is_err());
    assert!(!format!("{:?} {:?}", token(), Admin::gateway(&gateway()).access(token())).contains(TOKEN));
}
