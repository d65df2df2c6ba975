//! What is told.

use std::sync::{Arc, Mutex};

use super::*;
use crate::admin::{RuleInfo, RuleTarget, view};

fn rule(id: &str, target: RuleTarget) -> RuleInfo {
    RuleInfo {
        id: id.to_owned(),
        target,
        ..RuleInfo::default()
    }
}

#[tokio::test]
async fn a_gateway_is_ready_while_a_rule_can_be_followed() {
    let gateway = gateway();
    let rules = Arc::new(Mutex::new(vec![rule("web", RuleTarget::Group("web".to_owned()))]));
    let said = rules.clone();
    let asks = Asks::new(Admin::gateway(&gateway).rules(move || said.lock().unwrap().clone()));
    let is_ready = || async { asks.get("/readyz").await.status == 200 };
    assert!(!is_ready().await);
    let others = gateway.agents().fill(1, &["other"]);
    let told = asks.get("/readyz").await;
    assert!(
        told.text.contains("no agent of the group `web` takes requests"),
        "{}",
        told.text
    );
    drop(others);
    let agents = gateway.agents().fill(1, &["web"]);
    assert!(is_ready().await);
    gateway.rest_agent(&"agent-0000".parse().unwrap());
    assert!(!is_ready().await, "it gets nothing new");
    gateway.resume_agent(&"agent-0000".parse().unwrap());
    assert!(is_ready().await);
    drop(agents);
    assert!(!is_ready().await);
    rules.lock().unwrap()[0].target = RuleTarget::Direct;
    assert!(is_ready().await, "fixed answers need nobody");
    gateway.leave(std::time::Duration::ZERO);
    let told = asks.get("/readyz").await;
    assert!(
        told.status == 503 && told.text.contains("stopping"),
        "{}",
        told.text
    );
    assert_eq!(asks.get("/livez").await.status, 200);
}

#[tokio::test]
async fn a_gateway_is_ready_by_an_upstream_that_takes_requests() {
    let upstream = crate::Upstream::http1("http://127.0.0.1:1").unwrap();
    let (of_rules, of_hook) = (
        rule("own", RuleTarget::Upstream("own".to_owned())),
        upstream.clone(),
    );
    let admin = Admin::gateway(&gateway())
        .rules(move || vec![of_rules.clone()])
        .upstreams(move || vec![("own".to_owned(), of_hook.clone())]);
    let asks = Asks::new(admin).with("content-type", "application/json");
    assert_eq!(asks.get("/readyz").await.status, 200);
    let state = || async {
        let list: Vec<view::Upstream> = asks.read("/api/upstreams").await;
        (list[0].available, list[0].endpoints[0].state.clone())
    };
    assert_eq!(state().await, (true, "ok".to_owned()));
    let told = asks
        .post("/api/upstreams/own/drain?endpoint=http%3A%2F%2F127.0.0.1%3A1", "")
        .await;
    assert_eq!(told.status, 200, "{}", told.text);
    assert_eq!(state().await, (false, "drained".to_owned()));
    assert!(asks.get("/readyz").await.text.contains("the upstream `own`"));
    assert_eq!(
        asks.post("/api/upstreams/own/resume?endpoint=http://127.0.0.1:1", "")
            .await
            .status,
        200
    );
    assert_eq!(state().await, (true, "ok".to_owned()));
    assert_eq!(asks.post("/api/upstreams/own/drain", "").await.status, 200);
    assert!(upstream.is_draining());
    let again: view::Done =
        serde_json::from_str(&asks.post("/api/upstreams/own/drain", "").await.text).unwrap();
    assert!(!again.changed);
    for (path, text) in [
        ("/api/upstreams/none/drain", "there are `own`"),
        (
            "/api/upstreams/own/drain?endpoint=x",
            "it has `http://127.0.0.1:1`",
        ),
    ] {
        let told = asks.post(path, "").await;
        assert!(told.status == 404 && told.text.contains(text), "{}", told.text);
    }
}

#[tokio::test]
async fn agents_are_told_in_pages_and_by_group() {
    let gateway = gateway();
    let _agents = gateway.agents().fill(150, &["web"]);
    let asks = Asks::new(Admin::gateway(&gateway));
    let page: view::Page<view::Agent> = asks.read("/api/agents").await;
    assert_eq!((page.total, page.offset, page.items.len()), (150, 0, 100));
    let page: view::Page<view::Agent> = asks.read("/api/agents?offset=140&limit=50").await;
    assert_eq!((page.total, page.offset, page.items.len()), (150, 140, 10));
    assert_eq!(page.items[0].id, "agent-0140");
    let page: view::Page<view::Agent> = asks.read("/api/agents?group=group-7").await;
    assert_eq!(
        (page.total, page.items[0].groups.clone()),
        (1, vec!["web".to_owned(), "group-7".to_owned()])
    );
    let one: view::Agent = asks.read("/api/agents/agent-0007").await;
    assert_eq!(
        (
            one.state.as_str(),
            one.sessions[0].lanes.len(),
            one.sessions[0].version.as_str()
        ),
        ("ok", 1, "test")
    );
    for (path, status) in [
        ("/api/agents/nobody", 404),
        ("/api/agents?limit=0", 400),
        ("/api/agents?limit=1001", 400),
        ("/api/agents?page=2", 400),
        ("/api/gateways", 404),
        ("/metrics", 404),
        ("/api/log", 404),
    ] {
        assert_eq!(asks.get(path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn what_is_done_to_agents_is_seen_and_told_once() {
    let gateway = gateway();
    let _agents = gateway.agents().fill(2, &["web"]);
    let asks = Asks::new(Admin::gateway(&gateway)).with("content-type", "application/json");
    let done = |text: String| serde_json::from_str::<view::Done>(&text).unwrap();
    let told = done(asks.post("/api/agents/agent-0000/drain", "").await.text);
    assert_eq!((told.changed, told.sessions), (true, 1));
    assert!(
        !done(
            asks.post("/api/agents/agent-0000/drain", "{\"within_ms\": 60000}")
                .await
                .text
        )
        .changed
    );
    let groups: Vec<view::Group> = asks.read("/api/groups").await;
    let web = groups.iter().find(|group| group.name == "web").unwrap();
    assert_eq!((web.agents, web.available, web.draining), (2, 1, 1));
    assert!(done(asks.post("/api/agents/agent-0000/resume", "").await.text).changed);
    assert!(!done(asks.post("/api/agents/agent-0000/resume", "").await.text).changed);
    assert_eq!(
        done(asks.post("/api/agents/agent-0001/disconnect", "").await.text).sessions,
        1
    );
    for path in [
        "/api/agents/nobody/drain",
        "/api/agents/nobody/resume",
        "/api/agents/%00/disconnect",
    ] {
        assert_eq!(asks.post(path, "").await.status, 404, "{path}");
    }
    assert_eq!(
        asks.post("/api/agents/agent-0000/drain", "{\"within\": 5}")
            .await
            .status,
        400
    );
    assert!(
        gateway.agents().drained().is_empty(),
        "what was wrong has done nothing"
    );
}

#[tokio::test]
async fn names_that_nobody_has_are_not_revoked() {
    let gateway = gateway();
    let _agents = gateway.agents().fill(2, &["web"]);
    let admin = Admin::gateway(&gateway).token_names(|| vec!["edge".to_owned()]);
    let asks = Asks::new(admin).with("content-type", "application/json");
    let told = asks.post("/api/tokens/egde/revoke", "").await;
    assert!(
        told.status == 404 && told.text.contains("`edge`"),
        "{}",
        told.text
    );
    assert!(gateway.revoked().is_empty());
    assert_eq!(asks.post("/api/tokens/edge/revoke", "").await.status, 200);
    // The name of the credentials of those who are there.
    let told: view::Done =
        serde_json::from_str(&asks.post("/api/tokens/test/revoke", "").await.text).unwrap();
    assert_eq!((told.sessions, told.changed), (2, true));
    let config: view::Config = asks.read("/api/config").await;
    assert_eq!(config.revoked, ["edge", "test"]);
    assert!(gateway.restore("edge") && !gateway.restore("edge"));
}

#[tokio::test]
async fn an_agent_tells_why_it_is_not_ready() {
    let asks = Asks::new(Admin::agent(&agent()));
    let told = asks.get("/readyz").await;
    assert!(
        told.status == 503 && told.text.contains("no gateway has been found yet"),
        "{}",
        told.text
    );
    let overview: view::Overview = asks.read("/api/overview").await;
    assert_eq!(
        (
            overview.role.as_str(),
            overview.id.as_str(),
            overview.readiness.ready
        ),
        ("agent", "alone", false)
    );
    assert_eq!(asks.get("/api/agents").await.status, 404);
    assert_eq!(asks.read::<Vec<view::Gateway>>("/api/gateways").await, []);
}

#[tokio::test]
async fn the_log_and_the_file_are_the_programs_business() {
    let filter = Arc::new(Mutex::new("info".to_owned()));
    let (get, set) = (filter.clone(), filter);
    let admin = Admin::agent(&agent())
        .log(
            move || get.lock().unwrap().clone(),
            move |text| match text {
                "loud" => Err("there is no such level".to_owned()),
                text => {
                    text.clone_into(&mut set.lock().unwrap());
                    Ok(())
                }
            },
        )
        .reload(|| async {
            view::Reload {
                outcome: "refused".to_owned(),
                ..view::Reload::default()
            }
        });
    let asks = Asks::new(admin).with("content-type", "application/json");
    let told = asks
        .send(Method::PUT, "/api/log", "{\"filter\": \"debug\"}")
        .await;
    assert_eq!(
        (told.status.as_u16(), told.text.as_str()),
        (200, "{\"filter\":\"debug\"}")
    );
    let told = asks.send(Method::PUT, "/api/log", "{\"filter\": \"loud\"}").await;
    assert!(
        told.status == 400 && told.text.contains("there is no such level"),
        "{}",
        told.text
    );
    assert_eq!(asks.read::<view::Log>("/api/log").await.filter, "debug");
    assert_eq!(asks.post("/api/reload", "").await.status, 422);
}
