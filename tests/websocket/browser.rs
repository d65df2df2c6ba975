//! A real browser: a page that an app behind an agent serves opens a WebSocket.

use std::path::Path;

use axum::{
    Router,
    extract::ws::WebSocketUpgrade,
    response::{Html, Response},
    routing::{any, get},
};
use tunnel_tests::{browser::Browser, client::Version, wait::within_limit, websocket::echo};

use crate::world::{World, ways};

const PAGE: &str = include_str!("browser.html");

fn app() -> Router {
    Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        // A handshake is a CONNECT over HTTP/2.
        .route("/echo", any(echo))
}

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    echo::answer(upgrade.protocols(["second"]))
}

#[tokio::test]
async fn a_page_behind_an_agent_opens_a_websocket() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for way in ways(|way| way.near == Version::Http1) {
        within_limit(async {
            let Some(mut browser) = Browser::start("page", directory).await else {
                return;
            };
            let world = World::with_app(way, app()).await;
            let page = browser.open(&format!("http://{}/", world.addr)).await;
            let verdict = browser.evaluate(&page, "verdict").await;
            let picture = format!("websocket-{:?}.png", way.place).to_lowercase();
            browser.picture(&page, &directory.join(picture)).await;
            assert_eq!(verdict, "passed", "{way:?}");
            drop(browser);
            world.settled().await;
        })
        .await;
    }
}
