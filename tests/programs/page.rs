//! The live page of the operator's gateway, in a real browser: what only the program has.

use std::time::Duration;

use axum::{Router, routing::get as on_get};
use tunnel_tests::{live_page::Viewer, origin::Origin, wait::within_limit};

use crate::{
    program::{Running, program},
    world::Files,
};

const TOKEN: &str = "an-admin-token-of-the-tests";

/// After this the test hangs: a browser and two programs have to start.
const LIMIT: Duration = Duration::from_secs(120);

/// A gateway that pushes something that its agent does not allow, with an upstream of two servers, and these rules.
fn gateway_file(servers: &[Origin; 2], rules: &str) -> String {
    let [one, two] = servers.each_ref().map(Origin::uri);
    format!(
        "listen: 127.0.0.1:0
lame_duck: 1ms
reload: {{interval: off}}
admin: {{listen: 127.0.0.1:0, token: {TOKEN}}}
agents:
  listen: 127.0.0.1:0
  tokens: [{{name: web-agents, token_env: TUNNEL_TOKEN, groups: [web]}}]
  push: {{web: {{upstream: {{url: \"http://169.254.169.254:80\"}}}}}}
upstreams:
  site: {{endpoints: [\"{one}\", \"{two}\"]}}
rules:
  - {{id: site, path: /site, upstream: site}}
{rules}"
    )
}

fn agent_file(agents: &str) -> String {
    format!(
        "gateway: http://{agents}
id: web-1
groups: [web]
token_env: TUNNEL_TOKEN
upstream: {{url: http://127.0.0.1:3000}}
pushed: {{allow: [\"127.0.0.1\"]}}
"
    )
}

async fn server() -> Origin {
    Origin::http1(Router::new().route("/site", on_get(|| async { "here" }))).await
}

/// Whether a text stands in an element.
fn has(id: &str, text: &str) -> String {
    format!("document.getElementById('{id}').textContent.includes('{text}')")
}

#[tokio::test]
async fn the_page_of_a_gateway_operates_it() {
    if std::env::var_os("CHROMIUM").is_none() {
        println!("page: skipped, since CHROMIUM does not name chromium (.ci/page installs it)");
        return;
    }
    let files = Files::new();
    let servers = [server().await, server().await];
    let rules = "  - {id: web, group: web}\n";
    let file = files.write("gateway.yaml", &gateway_file(&servers, rules));
    let command = program("gateway", &["--config", &file]);
    let test = async {
        let mut gateway = Running::start(command);
        let ready = gateway.line("ready ").await;
        let field = |name: &str| {
            let mut fields = ready.split_whitespace().filter_map(|field| field.split_once('='));
            fields
                .find(|(known, _)| *known == name)
                .expect("it is told")
                .1
                .to_owned()
        };
        let agent = files.write("agent.yaml", &agent_file(&field("agents")));
        let mut agent = Running::start(program("agent", &["--config", &agent]));
        agent.line("ready ").await;

        let url = format!("http://{}", field("admin"));
        let directory = env!("CARGO_TARGET_TMPDIR").as_ref();
        let mut viewer = Viewer::log_in("operate", directory, &url, TOKEN)
            .await
            .expect("there is one");
        refusals_are_explained(&mut viewer).await;
        the_file_is_reloaded(&mut viewer, &files, &servers).await;
        a_server_gets_a_rest(&mut viewer, &servers[1].uri().to_string()).await;
        the_log_is_set(&mut viewer).await;
        viewer.pictures("program").await;
        // Reloading what is wrong is answered by 422.
        viewer.is_content(&["401", "422"]);
    };
    assert!(
        tokio::time::timeout(LIMIT, test).await.is_ok(),
        "the test waits for something that does not happen"
    );
    within_limit(async { drop(servers) }).await;
}

async fn refusals_are_explained(viewer: &mut Viewer) {
    viewer.until(&has("config-body", "1 agent")).await;
    viewer.click("#refusing button").await;
    viewer
        .until(&has("detail-body", "169.254.169.254:80 is not allowed here"))
        .await;
    viewer.click("#detail-close").await;
}

async fn the_file_is_reloaded(viewer: &mut Viewer, files: &Files, servers: &[Origin; 2]) {
    files.write(
        "gateway.yaml",
        &gateway_file(servers, "  - {id: web, gruop: web}\n"),
    );
    viewer.click("#do-reload").await;
    viewer.click("#dialog-yes").await;
    viewer.until(&has("dialog-error", "gruop")).await;
    viewer.click("#dialog-no").await;
    viewer.until(&has("config-body", "refused")).await;
    let rules = "  - {id: web, group: web}\n  - {id: brand-new, path: /new, group: web}\n";
    files.write("gateway.yaml", &gateway_file(servers, rules));
    viewer.click("#do-reload").await;
    viewer.confirm().await;
    viewer.until(&has("toast", "changed")).await;
    viewer.until(&has("rules-table", "brand-new")).await;
}

async fn a_server_gets_a_rest(viewer: &mut Viewer, uri: &str) {
    let button = |action: &str| format!("[aria-label^='{action} site {}']", uri.trim_end_matches('/'));
    viewer.click(&button("Drain")).await;
    viewer.confirm().await;
    viewer.until(&has("upstreams-table", "drained")).await;
    viewer
        .until(&format!("document.querySelector(\"{}\")", button("Resume")))
        .await;
    viewer.click(&button("Resume")).await;
    viewer.confirm().await;
    viewer
        .until(&format!("!({})", has("upstreams-table", "drained")))
        .await;
}

async fn the_log_is_set(viewer: &mut Viewer) {
    viewer.click("#do-log").await;
    viewer.until("document.activeElement.id === 'dialog-input'").await;
    assert_eq!(viewer.value("document.activeElement.value").await, "info");
    // All of it is marked, so that it is written over.
    viewer
        .browser
        .write(&viewer.page, "info,tunnel_transport=debug")
        .await;
    viewer.browser.press(&viewer.page, "Enter").await;
    viewer.until(&has("toast", "tunnel_transport=debug")).await;
}
