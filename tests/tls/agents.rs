//! Agents that dial a gateway's port with TLS.

use std::{net::SocketAddr, sync::Mutex};

use axum::{Router, routing::get};
use http::StatusCode;
use tokio::task::{JoinHandle, JoinSet};
use tunnel_core::TlsIdentity;
use tunnel_layers::route::Rule;
use tunnel_tests::{
    client::{Client, Version},
    pki::{Ca, TlsClient, replace},
    tunnel::{GROUP, address, group, listener, stack},
    wait::within_limit,
};
use tunnel_transport::{
    Agent, AgentBuilder, AgentError, Gateway, Status,
    gateway::{AgentAuth, AgentCredentials, AgentIdentity, AllowedGroups, AuthFuture, AuthRejection},
    tls::{ClientTls, Pem, ServerTls, ServerTlsBuilder},
};

use crate::world::Directory;

/// Takes agents whose certificates have a URI, and goes by it.
#[derive(Debug, Default)]
struct ByUri(Mutex<Vec<Option<TlsIdentity>>>);

impl AgentAuth for ByUri {
    fn authenticate(&self, credentials: AgentCredentials) -> AuthFuture<'_> {
        let name = credentials.tls.as_ref().and_then(|tls| {
            let mut names = tls.names().iter().map(ToString::to_string);
            names.find(|name| name.starts_with("uri:"))
        });
        self.0.lock().expect("no panic").push(credentials.tls);
        let identity = name.map(|name| AgentIdentity::new(name, AllowedGroups::All));
        let answer = identity.ok_or_else(|| AuthRejection::new("show a certificate with a URI"));
        Box::pin(std::future::ready(answer))
    }
}

/// A gateway whose agents' port speaks TLS, with the name 127.0.0.1, and whose entry does not.
struct World {
    ca: Ca,
    clients: Ca,
    tls: ServerTls,
    outside: SocketAddr,
    agents: SocketAddr,
    tasks: JoinSet<()>,
}

impl World {
    async fn new(describe: impl FnOnce(ServerTlsBuilder, &Ca) -> ServerTlsBuilder) -> Self {
        let (ca, clients) = (Ca::new("servers"), Ca::new("clients"));
        let tls = ServerTls::builder().certificate(ca.server(&["127.0.0.1"]).identity());
        let tls = describe(tls, &clients).build().expect("certificates");
        let gateway = Gateway::builder().agent_auth(ByUri::default()).build();
        Self::with(ca, clients, tls, gateway).await
    }

    async fn with(ca: Ca, clients: Ca, tls: ServerTls, gateway: Gateway) -> Self {
        let (outside, agents) = (listener().await, listener().await);
        let addresses = (address(&outside), address(&agents));
        let app = stack(&gateway, vec![Rule::group("all", group(GROUP))]);
        let mut tasks = JoinSet::new();
        tasks.spawn(gateway.serve(outside, app).into_future());
        tasks.spawn(gateway.serve_agents(agents).tls(tls.clone()).into_future());
        Self {
            ca,
            clients,
            tls,
            outside: addresses.0,
            agents: addresses.1,
            tasks,
        }
    }

    fn agent(&self) -> AgentBuilder {
        Agent::builder(format!("https://{}", self.agents))
            .group(GROUP)
            .ca(self.ca.believed())
    }

    async fn serve(&mut self, agent: AgentBuilder) -> Agent {
        let agent = agent.build().expect("the settings are right");
        let app = Router::new().route("/", get(async || "through the tunnel"));
        let serve = agent.serve(app);
        self.tasks
            .spawn(async move { serve.await.expect("the agent is not refused") });
        agent.connected().await;
        agent
    }

    async fn assert_serves(&self) {
        let response = Client::connect(Version::Http1, self.outside).await.get("/").await;
        assert_eq!(response.status(), StatusCode::OK);
    }
}

/// An error and its sources, as the log shows them.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

/// Why the agent that is described so has no session.
async fn refusal(agent: AgentBuilder) -> String {
    refused(agent.build().expect("the settings are right")).await
}

/// Why this agent has no session.
pub(crate) async fn refused(agent: Agent) -> String {
    let mut status = agent.status();
    let serving: JoinHandle<Result<(), AgentError>> = tokio::spawn(agent.serve(Router::new()).into_future());
    tokio::select! {
        refused = serving => chain(&refused.expect("no panic").expect_err("refused")),
        text = async {
            loop {
                if let Status::Waiting { error, .. } = &*status.borrow_and_update() {
                    return chain(&**error);
                }
                status.changed().await.expect("the agent is there");
            }
        } => text,
    }
}

#[tokio::test]
async fn an_agent_with_a_certificate_serves() {
    within_limit(async {
        let mut world = World::new(|tls, ca| tls.require_client_certificates([ca.believed()])).await;
        let identity = world.clients.client("web").identity();
        let agent = world.agent().client_certificate(identity);
        world.serve(agent).await;
        world.assert_serves().await;
    })
    .await;
}

#[tokio::test]
async fn agents_without_the_right_certificate_are_told_why() {
    within_limit(async {
        let world = World::new(|tls, ca| tls.require_client_certificates([ca.believed()])).await;
        for (agent, reason) in [
            (world.agent(), "CertificateRequired"),
            (
                world
                    .agent()
                    .client_certificate(Ca::new("foreign").client("web").identity()),
                "UnknownCA",
            ),
            (
                world
                    .agent()
                    .client_certificate(world.clients.expired_client("web").identity()),
                "CertificateExpired",
            ),
        ] {
            let text = refusal(agent).await;
            assert!(text.contains(reason), "{reason}: {text}");
        }
    })
    .await;
}

#[tokio::test]
async fn where_certificates_are_optional_credentials_decide() {
    within_limit(async {
        let mut world = World::new(|tls, ca| tls.request_client_certificates([ca.believed()])).await;
        let text = refusal(world.agent()).await;
        assert!(text.contains("show a certificate with a URI"), "{text}");
        let identity = world.clients.client("web").identity();
        let agent = world.agent().client_certificate(identity);
        world.serve(agent).await;
        world.assert_serves().await;
    })
    .await;
}

#[tokio::test]
async fn an_agent_takes_no_gateway_that_it_cannot_verify() {
    within_limit(async {
        let world = World::new(|tls, _| tls).await;
        let expired = {
            let identity = world.ca.expired_server(&["127.0.0.1"]).identity();
            let tls = ServerTls::builder()
                .certificate(identity)
                .build()
                .expect("certificates");
            let gateway = Gateway::builder().open_to_any_agent().build();
            World::with(Ca::new("unused"), Ca::new("unused"), tls, gateway).await
        };
        let dial = |addr: SocketAddr| Agent::builder(format!("https://{addr}")).group(GROUP);
        let believing = || ClientTls::builder().ca(world.ca.believed());
        for (agent, reason) in [
            (
                dial(world.agents).ca(Ca::new("foreign").believed()),
                "UnknownIssuer",
            ),
            (
                dial(world.agents).tls(believing().server_name("gateway.test")),
                "not valid for name \"gateway.test\"",
            ),
            (dial(expired.agents).tls(believing()), "expired"),
        ] {
            let text = refusal(agent).await;
            assert!(text.contains(reason), "{reason}: {text}");
            assert!(text.contains("no TLS connection to https://127.0.0.1"), "{text}");
        }
    })
    .await;
}

#[tokio::test]
async fn who_expects_the_other_kind_of_port_is_told() {
    within_limit(async {
        let world = World::new(|tls, _| tls).await;
        let text = refusal(Agent::builder(format!("http://{}", world.agents)).group(GROUP)).await;
        assert!(text.contains("https"), "{text}");
        // The entry speaks no TLS.
        let agent = Agent::builder(format!("https://{}", world.outside))
            .group(GROUP)
            .ca(world.ca.believed());
        let text = refusal(agent).await;
        assert!(text.contains("does not speak TLS"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn the_port_of_agents_offers_http2_and_nothing_else() {
    within_limit(async {
        let world = World::new(|tls, _| tls).await;
        let client = TlsClient::new(&world.ca);
        let error = client
            .connect(world.agents, "127.0.0.1")
            .await
            .expect_err("HTTP/1.1 only")
            .to_string();
        assert!(error.contains("NoApplicationProtocol"), "{error}");
        let stream = client
            .offering(&["http/1.1", "h2"])
            .connect(world.agents, "127.0.0.1")
            .await;
        assert_eq!(
            stream.expect("a handshake").get_ref().1.alpn_protocol(),
            Some(&b"h2"[..])
        );
    })
    .await;
}

#[tokio::test]
async fn a_session_outlives_new_files_on_both_sides() {
    within_limit(async {
        let (ca, clients, directory) = (Ca::new("servers"), Ca::new("clients"), Directory::new());
        let cas = directory.file("clients.pem");
        replace(&cas, &clients.pem);
        let tls = ServerTls::builder()
            .certificate(ca.server(&["127.0.0.1"]).write(directory.path(), "gateway"))
            .require_client_certificates([Pem::file(&cas)])
            .build()
            .expect("certificates");
        let gateway = Gateway::builder().agent_auth(ByUri::default()).build();
        let mut world = World::with(ca, clients, tls, gateway).await;
        let identity = world.clients.client("one").write(directory.path(), "agent");
        let agent = world.agent().client_certificate(identity.clone());
        world.serve(agent).await;
        world.assert_serves().await;

        replace(&cas, &Ca::new("others").pem);
        assert_eq!(world.tls.reload(), Ok(true));
        world.assert_serves().await;
        let text = refusal(world.agent().client_certificate(identity)).await;
        assert!(text.contains("UnknownCA"), "{text}");
        world.assert_serves().await;
    })
    .await;
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let ca = Ca::new("test");
    let plain = Agent::builder("http://gateway.test")
        .group(GROUP)
        .ca(ca.believed());
    let error = plain.build().expect_err("no TLS there");
    assert!(
        error.is_config() && error.to_string().contains("write https"),
        "{error}"
    );
    let (one, other) = (ca.client("one"), ca.client("other"));
    let mixed = tunnel_transport::tls::Identity::new(Pem::bytes(one.certificate), Pem::bytes(other.key));
    let agent = Agent::builder("https://gateway.test")
        .group(GROUP)
        .ca(ca.believed());
    let error = agent
        .client_certificate(mixed)
        .build()
        .expect_err("they do not belong together");
    assert!(
        error.is_config() && error.to_string().contains("does not belong to"),
        "{error}"
    );
}
