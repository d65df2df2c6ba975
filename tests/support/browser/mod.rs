//! A real browser without a window, driven over its debugging port.
//!
//! It runs where the environment variable `CHROMIUM` names the program; `.ci/websocket` and `.ci/page` install it.

mod devtools;
mod hands;
mod watch;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStderr, Command},
};

use self::devtools::DevTools;

/// Names the program.
const PROGRAM: &str = "CHROMIUM";

/// What its standard error says before the address of the debugging port.
const LISTENING: &str = "DevTools listening on ws://";

const ARGUMENTS: [&str; 9] = [
    "--headless=new",
    "--remote-debugging-port=0",
    // There may be no kernel support for the sandbox, and the pages are our own.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--no-first-run",
    "--window-size=800,600",
];

/// A browser. It is killed when the value is dropped.
#[derive(Debug)]
pub struct Browser {
    devtools: DevTools,
    profile: PathBuf,
    child: Child,
    _log: Lines<BufReader<ChildStderr>>,
}

/// A page that is open.
#[derive(Debug)]
pub struct Page {
    session: String,
}

impl Browser {
    /// The program of the environment; without one the test is to be skipped, and this says so.
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub async fn start(test: &str, directory: &Path) -> Option<Self> {
        let Some(program) = env::var_os(PROGRAM) else {
            println!("{test}: skipped, since {PROGRAM} does not name chromium (.ci/websocket installs it)");
            return None;
        };
        let profile = directory.join(format!("chromium-{}-{test}", std::process::id()));
        let mut child = Command::new(program)
            .args(ARGUMENTS)
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{PROGRAM} does not run: {error}"));
        let stderr = child.stderr.take().expect("it is piped");
        let mut log = BufReader::new(stderr).lines();
        let mut seen = Vec::new();
        let url = loop {
            let Ok(Some(line)) = log.next_line().await else {
                panic!("it does not listen: {seen:#?}")
            };
            if let Some(url) = line.strip_prefix(LISTENING) {
                break url.to_owned();
            }
            seen.push(line);
        };
        Some(Self {
            devtools: DevTools::connect(&url).await,
            profile,
            child,
            _log: log,
        })
    }

    /// Opens a page, and waits until it is loaded.
    ///
    /// # Panics
    ///
    /// When it cannot be reached.
    pub async fn open(&mut self, url: &str) -> Page {
        let page = self.blank().await;
        self.go(&page, url).await;
        page
    }

    /// A page with nothing in it.
    pub async fn blank(&mut self) -> Page {
        let target = json!({ "url": "about:blank" });
        let target = self.devtools.call(None, "Target.createTarget", &target).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.devtools.call(None, "Target.attachToTarget", &attach).await;
        let session = session["sessionId"].as_str().expect("a name").to_owned();
        self.devtools
            .call(Some(&session), "Page.enable", &json!({}))
            .await;
        Page { session }
    }

    /// Goes somewhere, and waits until that is loaded.
    ///
    /// # Panics
    ///
    /// When it cannot be reached.
    pub async fn go(&mut self, page: &Page, url: &str) {
        let url = json!({ "url": url });
        let done = self
            .devtools
            .call(Some(&page.session), "Page.navigate", &url)
            .await;
        assert!(done["errorText"].is_null(), "{url}: {done}");
        self.devtools.event(&page.session, "Page.loadEventFired").await;
    }

    /// The value of an expression, awaited if it is a promise, as text.
    ///
    /// # Panics
    ///
    /// When it throws, or the page goes elsewhere meanwhile.
    pub async fn evaluate(&mut self, page: &Page, expression: &str) -> String {
        match self.try_to_evaluate(page, expression).await {
            Ok(value) => value,
            Err(error) => panic!("{expression}: {error}"),
        }
    }

    async fn try_to_evaluate(&mut self, page: &Page, expression: &str) -> Result<String, Value> {
        let what = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self
            .devtools
            .attempt(Some(&page.session), "Runtime.evaluate", &what)
            .await?;
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        let value = &answer["result"]["value"];
        Ok(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }

    /// Waits until this is true of the page, and looks whenever its document changes; also in the next document, if the page begins
    /// anew.
    ///
    /// # Panics
    ///
    /// When it throws.
    pub async fn until(&mut self, page: &Page, condition: &str) {
        let promise = format!(
            "new Promise(done => {{
                const look = () => ({condition}) && (observer.disconnect(), done('so'));
                const observer = new MutationObserver(look);
                observer.observe(document, {{ attributes: true, characterData: true, childList: true, subtree: true }});
                look();
            }})"
        );
        loop {
            match self.try_to_evaluate(page, &promise).await {
                Ok(value) => return assert_eq!(value, "so"),
                Err(error) => assert!(error.to_string().contains("navigated"), "{condition}: {error}"),
            }
        }
    }

    /// Writes a picture of the page to a file.
    ///
    /// # Panics
    ///
    /// When the file cannot be written.
    pub async fn picture(&mut self, page: &Page, file: &Path) {
        let what = json!({ "format": "png" });
        let answer = self
            .devtools
            .call(Some(&page.session), "Page.captureScreenshot", &what)
            .await;
        let picture = BASE64_STANDARD.decode(answer["data"].as_str().expect("a picture"));
        let picture = picture.expect("it is in base64");
        assert!(picture.len() > 1_000, "{}", picture.len());
        fs::write(file, picture).expect("the directory is there");
        println!("the picture is {}", file.display());
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may be gone already, and what it still writes is in a directory for such files.
        let _ = self.child.start_kill();
        let _ = fs::remove_dir_all(&self.profile);
    }
}
