//! Hosts that agents register, and credentials that allow some of them.

use axum::{Router, body::Body};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use tunnel_layers::{
    auth::{BearerToken, BearerTokens},
    route::Rule,
};
use tunnel_tests::{
    client::{Client, Version},
    tunnel::{GROUP, Tunnel, group},
    wait::{eventually, within_limit},
};
use tunnel_transport::{AgentBuilder, Gateway, gateway::AgentAuthenticator};

const ONE: &str = "the-token-of-customer-one";
const TWO: &str = "the-token-of-customer-two";

/// Customers whose agents serve hosts of their own, and one that they share.
fn gateway() -> AgentAuthenticator<BearerTokens> {
    let customer = |name: &str, secret: &str, hosts: [&str; 2]| {
        let token = BearerToken::new(name, secret).expect("a token");
        token.claim("groups", [GROUP]).claim("hosts", hosts)
    };
    let tokens = [
        customer("one", ONE, ["*.one.example", "shared.example"]),
        customer("two", TWO, ["www.two.example", "Shared.Example"]),
    ];
    AgentAuthenticator::by_claims(BearerTokens::new(tokens).expect("two are enough"))
}

/// Answers with the agent's name.
fn app(name: &'static str) -> Router {
    Router::new().fallback(async move || name)
}

fn agent(tunnel: &Tunnel, token: &str, hosts: &[&str]) -> AgentBuilder {
    let agent = tunnel.agent(GROUP).token(token);
    hosts.iter().fold(agent, |agent, host| agent.host(*host))
}

async fn tunnel() -> Tunnel {
    let rule = Rule::group("customers", group(GROUP)).registered_hosts();
    let gateway = Gateway::builder().agent_auth(gateway());
    Tunnel::builder().gateway(gateway).rules([rule]).start().await
}

/// Who serves a host, or the status of the refusal.
async fn served(tunnel: &Tunnel, version: Version, host: &str) -> Result<String, StatusCode> {
    let mut client = Client::connect(version, tunnel.addr).await;
    let request = Request::get("/").header(header::HOST, host).body(Body::empty());
    let answer = client
        .send(request.expect("a request"))
        .await
        .expect("a response");
    let status = answer.status();
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    match status {
        StatusCode::OK => Ok(String::from_utf8(body.to_vec()).expect("text")),
        status => Err(status),
    }
}

#[tokio::test]
async fn each_host_goes_to_the_agents_that_registered_it() {
    within_limit(async {
        let mut tunnel = tunnel().await;
        let one = agent(&tunnel, ONE, &["WWW.One.Example", "shared.example"]);
        tunnel.run_agent(one, app("one")).await;
        let two = agent(&tunnel, TWO, &["www.two.example", "shared.example"]);
        tunnel.run_agent(two, app("two")).await;
        for version in [Version::Http1, Version::Http2] {
            for (host, expected) in [
                ("www.one.example", Ok("one")),
                ("WWW.ONE.EXAMPLE:8080", Ok("one")),
                ("www.two.example", Ok("two")),
                // It is allowed, and nobody has registered it.
                ("api.one.example", Err(StatusCode::NOT_FOUND)),
                ("www.three.example", Err(StatusCode::NOT_FOUND)),
            ] {
                let expected = expected.map(str::to_owned);
                assert_eq!(served(&tunnel, version, host).await, expected, "{host}");
            }
            // Both, as long as it takes until each has had one.
            let (mut one, mut two) = (false, false);
            while !(one && two) {
                let who = served(&tunnel, version, "shared.example").await.expect("served");
                one |= who == "one";
                two |= who == "two";
            }
        }
        let list = tunnel.gateway.agents().list();
        let hosts = list.iter().flat_map(|agent| &agent.hosts);
        assert_eq!(hosts.filter(|host| &***host == "www.one.example").count(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_host_goes_with_its_last_agent() {
    within_limit(async {
        let mut tunnel = tunnel().await;
        let two = agent(&tunnel, TWO, &["shared.example"]);
        tunnel.run_agent(two, app("two")).await;
        let one = agent(&tunnel, ONE, &["www.one.example", "shared.example"]);
        let one = one.build().expect("the settings are right");
        let serving = one.serve(app("one"));
        let serving = tokio::spawn(async move { serving.await });
        one.connected().await;
        assert_eq!(
            served(&tunnel, Version::Http1, "www.one.example")
                .await
                .as_deref(),
            Ok("one")
        );
        serving.abort();
        eventually(|| tunnel.gateway.agents().list().len() == 1).await;
        assert_eq!(
            served(&tunnel, Version::Http1, "www.one.example").await,
            Err(StatusCode::NOT_FOUND)
        );
        for _ in 0..4 {
            assert_eq!(
                served(&tunnel, Version::Http1, "shared.example").await.as_deref(),
                Ok("two")
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_host_that_is_not_allowed_is_refused_by_name() {
    within_limit(async {
        let tunnel = tunnel().await;
        for (token, host) in [
            (ONE, "www.two.example"),
            (ONE, "one.example"),
            (TWO, "api.two.example"),
        ] {
            let agent = agent(&tunnel, token, &["shared.example", host]);
            let agent = agent.build().expect("the settings are right");
            let error = agent.serve(app("nobody")).await.expect_err("it is refused");
            let text = error.to_string();
            assert!(error.is_refused() && text.contains(host), "{text}");
            assert!(text.contains("allow it in their rights"), "{text}");
        }
        assert!(tunnel.gateway.agents().list().is_empty());
    })
    .await;
}
