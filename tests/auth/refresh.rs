//! Agents whose tokens change while they are connected.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::Router;
use http::header;
use tunnel_core::{
    Session,
    auth::{AuthParts, Principal, Rejection, auth_fn},
};
use tunnel_tests::{
    client::{Client, Version},
    tunnel::{GROUP, Tunnel},
    wait::{closed, eventually, within_limit},
};
use tunnel_transport::{Agent, AgentToken, Gateway, Status, gateway::AgentAuthenticator};

/// The tokens that are good, whose they are and for which groups; and what the gateway was shown, in this order.
#[derive(Clone, Debug, Default)]
struct Issuer(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    good: BTreeMap<&'static str, (&'static str, &'static str)>,
    /// What the agent's source gives.
    newest: &'static str,
    shown: Vec<String>,
}

impl Issuer {
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().expect("nobody panics with it"))
    }

    /// Gives a token to this name from now on, with rights for a group.
    fn issue(&self, token: &'static str, name: &'static str, group: &'static str) {
        self.with(|state| {
            state.good.insert(token, (name, group));
            state.newest = token;
        });
    }

    fn take_back(&self, token: &str) {
        self.with(|state| state.good.remove(token));
    }

    /// How often the gateway has looked at a token.
    fn looks(&self, token: &str) -> usize {
        self.with(|state| state.shown.iter().filter(|shown| *shown == token).count())
    }

    fn check(&self, parts: &AuthParts) -> Result<Principal, Rejection> {
        let shown = parts.headers.get(header::AUTHORIZATION);
        assert!(shown.is_none_or(header::HeaderValue::is_sensitive));
        let shown = shown.and_then(|shown| shown.to_str().ok()?.strip_prefix("Bearer "));
        let shown = shown.ok_or_else(|| Rejection::missing("there is no token"))?;
        self.with(|state| {
            state.shown.push(shown.to_owned());
            let (name, group) = state
                .good
                .get(shown)
                .ok_or_else(|| Rejection::invalid("the token has expired"))?;
            Ok(Principal::new(*name, "test").with_claim("groups", [*group]))
        })
    }

    /// A gateway that looks at tokens again and again, and an agent that asks for new ones.
    async fn tunnel(&self) -> (Tunnel, Agent, Session) {
        let issuer = self.clone();
        let check = auth_fn(move |parts: AuthParts| {
            let verdict = issuer.check(&parts);
            async move { verdict }
        });
        let gateway = Gateway::builder()
            .agent_auth(AgentAuthenticator::by_claims(check))
            .recheck_agents(Duration::from_millis(20));
        let mut tunnel = Tunnel::builder().gateway(gateway).start().await;
        let issuer = self.clone();
        let agent = tunnel.agent(GROUP).token_source(move || {
            let token = issuer.with(|state| state.newest);
            async move { Ok(AgentToken::new(token).refresh_after(AgentToken::MIN_INTERVAL)) }
        });
        let app = Router::new().fallback(async || "served");
        let agent = tunnel.run_agent(agent, app).await;
        let session = agent.connected().await;
        (tunnel, agent, session)
    }
}

#[tokio::test]
async fn a_session_outlives_its_first_tokens() {
    within_limit(async {
        let issuer = Issuer::default();
        issuer.issue("the-first-token", "edge", GROUP);
        let (tunnel, agent, session) = issuer.tunnel().await;
        let mut old = "the-first-token";
        for token in ["the-second-token", "the-third-token"] {
            issuer.issue(token, "edge", GROUP);
            eventually(|| issuer.looks(token) > 0).await;
            issuer.take_back(old);
            let before = issuer.looks(old);
            // What counts from now on is the new one.
            let looks = issuer.looks(token);
            eventually(|| issuer.looks(token) > looks + 2).await;
            assert_eq!(issuer.looks(old), before);
            old = token;
        }
        let answer = Client::connect(Version::Http1, tunnel.addr).await.get("/").await;
        assert_eq!(answer.status(), 200);
        assert_eq!(agent.connected().await.id(), session.id());
        assert_eq!(tunnel.gateway.agents().list().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_token_of_somebody_else_or_of_less_ends_the_session() {
    within_limit(async {
        for (name, group) in [("other", GROUP), ("edge", "another-group")] {
            let issuer = Issuer::default();
            issuer.issue("the-first-token", "edge", GROUP);
            let (tunnel, agent, session) = issuer.tunnel().await;
            issuer.issue("the-second-token", name, group);
            closed(&session).await;
            let mut status = agent.status();
            let refused =
                |status: &Status| matches!(status, Status::Waiting { error, .. } if error.is_refused());
            status.wait_for(refused).await.expect("the agent goes on");
            assert!(issuer.looks("the-second-token") > 0);
            assert!(tunnel.gateway.agents().list().is_empty());
        }
    })
    .await;
}

#[tokio::test]
async fn a_token_that_is_no_longer_good_ends_the_session_if_there_is_no_other() {
    within_limit(async {
        let issuer = Issuer::default();
        issuer.issue("the-only-token", "edge", GROUP);
        let (tunnel, _agent, session) = issuer.tunnel().await;
        let looks = issuer.looks("the-only-token");
        eventually(|| issuer.looks("the-only-token") > looks + 2).await;
        assert_eq!(tunnel.gateway.agents().list().len(), 1);
        issuer.take_back("the-only-token");
        closed(&session).await;
        eventually(|| tunnel.gateway.agents().list().is_empty()).await;
    })
    .await;
}
