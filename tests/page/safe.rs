//! What the page does with texts that are not its own, and when its gateway is away.

use http_body_util::BodyExt as _;
use tunnel_tests::{
    client::{Client, Version},
    tunnel::APART,
};
use tunnel_transport::admin::{RuleInfo, RuleTarget};

use crate::world::{World, log_in};

/// Whatever a name says, it is shown, and does nothing.
#[tokio::test]
async fn no_text_becomes_html() {
    let evil = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>";
    let told = RuleInfo {
        id: evil.to_owned(),
        listener: "main".to_owned(),
        matches: evil.to_owned(),
        target: RuleTarget::Upstream(evil.to_owned()),
    };
    let port = tunnel_tests::tunnel::listener().await;
    let world = World::with(vec![told], port).await;
    let Some(mut viewer) = log_in("safe", &world.url()).await else {
        return;
    };
    viewer
        .until("document.getElementById('rules-table').textContent.includes('<img src=x')")
        .await;
    assert_eq!(
        viewer
            .value("document.querySelectorAll('img, td script').length")
            .await,
        "0"
    );
    assert_ne!(viewer.value("document.title").await, "owned");
    // The policy forbids what the page does not do.
    let tried = viewer
        .value("(() => { try { document.body.innerHTML = '<b>x</b>'; return 'it may'; } catch { return 'it may not'; } })()")
        .await;
    assert_eq!(tried, "it may not");
}

/// The gateway goes away, and comes back: the page says so, and goes on.
#[tokio::test]
async fn the_page_connects_again() {
    let port = tokio::net::TcpListener::bind((APART, 0))
        .await
        .expect("a free port");
    let world = World::with(Vec::new(), port).await;
    let (addr, url) = (world.admin_addr, world.url());
    let Some(mut viewer) = log_in("again", &url).await else {
        return;
    };
    let mut tasks = world.tasks;
    tasks.shutdown().await;
    viewer
        .until("document.getElementById('live').textContent === 'connecting again'")
        .await;
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("a socket");
    socket.bind(addr).expect("nobody else takes it");
    // Another process, which has never heard of this browser: it has to log in again.
    let mut world = World::with(Vec::new(), socket.listen(64).expect("a port")).await;
    world.agent("web-1", "web").await;
    viewer
        .until("document.getElementById('login')?.hidden === false")
        .await;
    viewer.enter(crate::world::TOKEN).await;
    viewer
        .until("document.getElementById('live')?.textContent === 'live'")
        .await;
    viewer
        .until("document.getElementById('agents-count').textContent === '1'")
        .await;
}

/// Needs no browser: the files are for everybody, under a policy that lets nothing in from elsewhere, and what they show is not.
#[tokio::test]
async fn files_are_for_everybody_and_what_they_show_is_not() {
    let world = World::new().await;
    let mut client = Client::connect(Version::Http1, world.admin_addr).await;
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/page/main.js", "text/javascript; charset=utf-8"),
        ("/page/style.css", "text/css; charset=utf-8"),
        ("/page/icon.svg", "image/svg+xml"),
    ] {
        let answer = client.get(path).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (200, &kind.parse().unwrap())
        );
        let policy = answer.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';"),
            "{policy}"
        );
        for forbidden in ["unsafe", "data:", "http:", "https:", "*"] {
            assert!(!policy.contains(forbidden), "{policy}");
        }
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers()["x-frame-options"], "DENY");
        let _ = answer.into_body().collect().await;
    }
    for path in [
        "/api/overview",
        "/api/events",
        "/api/agents?brief=true",
        "/metrics",
        "/page/nothing.js",
    ] {
        let answer = client.get(path).await;
        assert_eq!(answer.status(), 401, "{path}");
        let _ = answer.into_body().collect().await;
    }
}
