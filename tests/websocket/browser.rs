//! A real browser: a page that an app behind an agent serves opens a WebSocket.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use axum::{
    Router,
    extract::{State, ws::WebSocketUpgrade},
    response::{Html, Response},
    routing::{get, post},
};
use http::StatusCode;
use tokio::{process::Command, sync::Semaphore};
use tunnel_tests::{client::Version, wait::within_limit, websocket::echo};

use crate::world::{World, ways};

/// Names the program.
const PROGRAM: &str = "CHROMIUM";
const PAGE: &str = include_str!("browser.html");

/// Opened when the page's script is done.
type Told = Arc<Semaphore>;

fn app() -> Router {
    Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route("/echo", get(echo))
        .route("/told", post(told))
        .route("/held", get(held))
        .with_state(Arc::new(Semaphore::new(0)))
}

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    echo::answer(upgrade.protocols(["second"]))
}

async fn told(State(told): State<Told>) {
    told.add_permits(1);
}

async fn held(State(told): State<Told>) -> StatusCode {
    told.acquire().await.expect("nobody closes it").forget();
    StatusCode::NO_CONTENT
}

/// A headless browser.
struct Chromium(PathBuf);

impl Chromium {
    /// The one of the environment.
    fn find() -> Option<Self> {
        let program = env::var_os(PROGRAM);
        if program.is_none() {
            println!("browser: skipped, since {PROGRAM} does not name chromium (.ci/websocket installs it)");
        }
        program.map(|program| Self(program.into()))
    }

    /// Opens a page, takes a picture of it, and gives what became of the document.
    async fn visit(&self, url: &str, picture: &Path) -> String {
        let profile = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("chromium-{}", std::process::id()));
        let output = Command::new(&self.0)
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ])
            .args(["--no-first-run", "--disable-extensions", "--window-size=800,600"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(format!("--screenshot={}", picture.display()))
            .args(["--dump-dom", url])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .unwrap_or_else(|error| panic!("{PROGRAM} does not run: {error}"));
        // The directory is one for such files.
        let _ = fs::remove_dir_all(&profile);
        let document = String::from_utf8(output.stdout).expect("the document is text");
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(document.contains("</html>"), "{log}");
        document
    }
}

#[tokio::test]
async fn a_page_behind_an_agent_opens_a_websocket() {
    let Some(chromium) = Chromium::find() else { return };
    for way in ways(|way| way.near == Version::Http1) {
        within_limit(async {
            let world = World::with_app(way, app()).await;
            let picture = format!("websocket-{:?}.png", way.place).to_lowercase();
            let picture = Path::new(env!("CARGO_TARGET_TMPDIR")).join(picture);
            let document = chromium.visit(&format!("http://{}/", world.addr), &picture).await;
            assert!(
                document.contains(r#"<p id="verdict">passed</p>"#),
                "{way:?}: {document}"
            );
            assert!(document.contains("<li>200 messages</li>"), "{document}");
            let size = fs::metadata(&picture).expect("there is a picture").len();
            assert!(size > 1_000, "{size}");
            println!("{way:?}: {}", picture.display());
            world.settled().await;
        })
        .await;
    }
}
