//! What the page does with texts that are not its own, and when its gateway is away.

use tunnel_tests::tunnel::APART;
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
