//! Agents whose certificates are their credentials, from the operator's files: what each may register, what it is told when it may
//! not, and what ends the session of one that was let in.

use std::{fs, net::SocketAddr};

use axum::{Router, routing::get};
use http::StatusCode;
use tokio::task::JoinSet;
use tunnel_core::Agents as _;
use tunnel_examples::config::{AgentConfig, GatewayConfig};
use tunnel_layers::route::Rule;
use tunnel_tests::{
    client::{Client, Version},
    pki::{Ca, Issued, replace},
    tunnel::{address, group, listener, stack},
    wait::{eventually, within_limit},
};
use tunnel_transport::{Agent, Gateway, Status};

use crate::{
    agents::{chain, refused},
    world::Directory,
};

/// `web` may register one group and the services of one package, `edge` everything; `db` is known, and has no right.
const GATEWAY: &str = "
listen: 127.0.0.1:0
auth:
  default: public
  providers:
    machines: {certificate: {names: [\"uri:spiffe://test/web\", \"dns:edge.clients.test\", \"uri:spiffe://test/db\"]}}
agents:
  listen: 127.0.0.1:0
  tls:
    certificates: [{cert: gateway.pem, key: gateway.key}]
    client_certificates: {ca: clients.pem, optional: true}
    reload_interval: 10ms
  auth:
    policy: machines
    rights:
      - {name: \"spiffe://test/web\", groups: [web], services: [acme.billing.*]}
      - {name: edge.clients.test, groups: \"*\"}
  recheck: 10ms
  route_services: true
rules: [{id: web, group: web}]
";

/// A gateway from [`GATEWAY`], with a directory for everybody's files.
struct World {
    clients: Ca,
    /// Another one whose certificates are taken at first.
    others: Ca,
    directory: Directory,
    gateway: Gateway,
    outside: SocketAddr,
    agents: SocketAddr,
    tasks: JoinSet<()>,
}

impl World {
    async fn new() -> Self {
        let directory = Directory::new();
        let [servers, clients, others] = ["servers", "clients", "others"].map(Ca::new);
        replace(&directory.file("servers.pem"), &servers.pem);
        replace(
            &directory.file("clients.pem"),
            &format!("{}{}", clients.pem, others.pem),
        );
        servers.server(&["127.0.0.1"]).write(directory.path(), "gateway");
        let file = directory.file("gateway.yaml");
        fs::write(&file, GATEWAY).expect("a directory of our own");
        let config = GatewayConfig::load(&file).expect("the file is right");

        let (outside, agents) = (listener().await, listener().await);
        let addresses = (address(&outside), address(&agents));
        let app = stack(&config.gateway, vec![Rule::group("web", group("web"))]);
        let mut tasks = JoinSet::new();
        tasks.spawn(config.gateway.serve(outside, app).into_future());
        let serve = config.gateway.serve_agents(agents);
        let serve = config.agents_tls.expect("the file says so").agents(serve);
        tasks.spawn(serve.into_future());
        Self {
            clients,
            others,
            directory,
            gateway: config.gateway,
            outside: addresses.0,
            agents: addresses.1,
            tasks,
        }
    }

    /// An agent from a file, with this certificate.
    fn agent(&self, shown: Option<&Issued>, groups: &str, services: &str) -> Agent {
        let mut tls = "ca: servers.pem".to_owned();
        if let Some(issued) = shown {
            issued.write(self.directory.path(), "agent");
            tls.push_str(", client_certificate: {cert: agent.pem, key: agent.key}");
        }
        let text = format!(
            "gateway: {{url: \"https://{}\", tls: {{{tls}}}}}
groups: {groups}
services: {services}
upstream: {{url: \"http://127.0.0.1:3000\"}}
",
            self.agents
        );
        let file = self.directory.file("agent.yaml");
        fs::write(&file, text).expect("a directory of our own");
        AgentConfig::load(&file).expect("the file is right").agent
    }

    /// Serves an app with this agent, until the world ends.
    async fn serve(&mut self, agent: &Agent) {
        let serve = agent.serve(Router::new().route("/", get(async || "through the tunnel")));
        self.tasks
            .spawn(async move { serve.await.expect("the agent is not refused at first") });
        agent.connected().await;
    }

    /// From now on the certificates of this CA are taken, and no others.
    fn believe(&self, ca: &Ca) {
        replace(&self.directory.file("clients.pem"), &ca.pem);
    }

    async fn assert_serves(&self) {
        let answer = Client::connect(Version::Http1, self.outside).await.get("/").await;
        assert_eq!(answer.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_certificate_registers_what_its_right_says() {
    within_limit(async {
        let mut world = World::new().await;
        let web = world.clients.client("web");
        let agent = world.agent(Some(&web), "[web]", "[acme.billing.v1.Invoices]");
        world.serve(&agent).await;
        world.assert_serves().await;
        let edge = world.clients.client("edge");
        let agent = world.agent(Some(&edge), "[web, api]", "[other.Greeter]");
        world.serve(&agent).await;
        assert_eq!(world.gateway.agents().list().len(), 2);
        assert_eq!(world.gateway.agents().members(&group("api")).len(), 1);
    })
    .await;
}

#[tokio::test]
async fn who_may_not_register_is_told_why() {
    within_limit(async {
        let world = World::new().await;
        let client = |name| Some(world.clients.client(name));
        for (shown, groups, services, why) in [
            (
                client("web"),
                "[web, api]",
                "[]",
                "the credentials \"spiffe://test/web\" may not register the group \"api\"",
            ),
            (
                client("web"),
                "[web]",
                "[acme.billing.v1.Invoices, acme.billingx.A]",
                "the credentials \"spiffe://test/web\" may not register the service \"acme.billingx.A\"",
            ),
            (
                client("db"),
                "[web]",
                "[]",
                "the credentials \"spiffe://test/db\" may not register the group \"web\"",
            ),
            (
                client("other"),
                "[web]",
                "[]",
                "the client certificate has no name that is let in",
            ),
            (None, "[web]", "[]", "the connection has no client certificate"),
            (Some(Ca::new("foreign").client("web")), "[web]", "[]", "UnknownCA"),
            (
                Some(world.clients.expired_client("web")),
                "[web]",
                "[]",
                "CertificateExpired",
            ),
        ] {
            let text = refused(world.agent(shown.as_ref(), groups, services)).await;
            assert!(text.contains(why), "{why}: {text}");
        }
        assert_eq!(world.gateway.agents().list().len(), 0);
    })
    .await;
}

/// Waits until this agent has lost its session, and says why.
async fn lost(agent: &Agent) -> String {
    let mut status = agent.status();
    loop {
        if let Status::Waiting { error, .. } = &*status.borrow_and_update() {
            return chain(&**error);
        }
        status.changed().await.expect("the agent is there");
    }
}

#[tokio::test]
async fn a_session_ends_when_its_certificate_is_not_taken_any_more() {
    within_limit(async {
        let mut world = World::new().await;
        let (web, edge) = (world.clients.client("web"), world.others.client("edge"));
        let [web, edge] = [&web, &edge].map(|shown| world.agent(Some(shown), "[web]", "[]"));
        world.serve(&web).await;
        world.serve(&edge).await;
        world.believe(&world.others);
        let why = lost(&web).await;
        assert!(
            why.contains(
                "the agent's certificate is not valid any more: invalid peer certificate: UnknownIssuer"
            ),
            "{why}"
        );
        eventually(|| world.gateway.agents().list().len() == 1).await;
        // It dials again by itself, and finds its certificate refused.
        let mut status = web.status();
        loop {
            status.changed().await.expect("the agent is there");
            if let Status::Waiting { error, .. } = &*status.borrow_and_update() {
                let why = chain(&**error);
                assert!(why.contains("UnknownCA"), "{why}");
                break;
            }
        }
        // The other one has noticed nothing.
        assert!(matches!(&*edge.status().borrow(), Status::Connected(_)));
        world.assert_serves().await;
        world.believe(&world.clients);
        lost(&edge).await;
        web.connected().await;
        world.assert_serves().await;
    })
    .await;
}

#[tokio::test]
async fn an_agent_whose_certificate_has_expired_comes_again_with_the_next_one() {
    within_limit(async {
        let mut world = World::new().await;
        let brief = world.clients.brief_client("web");
        let agent = world.agent(Some(&brief), "[web]", "[]");
        world.serve(&agent).await;
        world.clients.client("web").write(world.directory.path(), "agent");
        let why = lost(&agent).await;
        assert!(
            why.contains("not valid any more: invalid peer certificate: certificate expired"),
            "{why}"
        );
        agent.connected().await;
        world.assert_serves().await;
    })
    .await;
}
