//! An agent has the same page, of its gateways.

use std::future::IntoFuture as _;

use tunnel_tests::tunnel::{address, listener};
use tunnel_transport::{
    admin::{Admin, AdminAccess},
    entry::Entry,
};

use crate::world::{TOKEN, World, log_in};

#[tokio::test]
async fn an_agent_shows_its_gateways() {
    let mut world = World::new().await;
    let (agent, handle) = world.begin("web-1", "web");
    agent.connected().await;
    let port = listener().await;
    let url = format!("http://{}", address(&port));
    let access = AdminAccess::local().token(TOKEN).expect("it is long enough");
    let admin = Admin::agent(&agent).access(access).build();
    let serve = admin.serve(Entry::new(), port).expect("it has a token");
    world.tasks.spawn(serve.into_future());
    let Some(mut viewer) = log_in("agent", &url).await else {
        return;
    };
    viewer
        .until("document.getElementById('role').textContent === 'agent'")
        .await;
    viewer
        .until("/connected/.test(document.getElementById('gateways-table').textContent)")
        .await;
    viewer.until("document.getElementById('agents').hidden").await;
    world.open_exchange("/web/slow").await;
    viewer
        .until("document.getElementById('exchanges-count').textContent === '1'")
        .await;
    viewer.pictures("agent").await;
    viewer.is_content(&["401"]);
    handle.abort();
}
