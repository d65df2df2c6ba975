//! A gateway with its port for agents, and those who must not be harmed.

use std::net::SocketAddr;

use tokio::{net::TcpListener, task::JoinHandle};
use tunnel_core::{Session, SessionId, TunnelBody};
use tunnel_tests::{
    call::{collect, get},
    raw::{
        Pace, RawAgent, RawSession, hello,
        message::{http_chunk, http_response},
    },
    wait::{eventually, idle},
};
use tunnel_transport::Gateway;

/// A real gateway that listens for agents.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) gateway: Gateway,
    pub(crate) addr: SocketAddr,
    server: JoinHandle<()>,
}

/// A scripted agent that has a session, and the gateway's side of it.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) raw: RawSession,
    pub(crate) session: Session,
}

/// Another agent, in the middle of an exchange.
#[derive(Debug)]
pub(crate) struct Bystander {
    agent: Joined,
    id: String,
    body: TunnelBody,
}

impl Stage {
    /// A gateway that takes every agent.
    pub(crate) async fn open() -> Self {
        Self::with(Gateway::builder().open_to_any_agent().build()).await
    }

    pub(crate) async fn with(gateway: Gateway) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("there is a free port");
        let addr = listener.local_addr().expect("the port is open");
        let server = tokio::spawn(gateway.serve_agents(listener).into_future());
        Self {
            gateway,
            addr,
            server,
        }
    }

    /// The gateway's side of a session, if it is registered.
    pub(crate) fn find(&self, id: SessionId) -> Option<Session> {
        let agents = self.gateway.agents().list();
        let found = agents.into_iter().find(|agent| agent.session.id() == id);
        found.map(|agent| agent.session)
    }

    /// Registers a scripted agent for the group `demo`.
    pub(crate) async fn join(&self, name: &str) -> Joined {
        self.join_at(name, Pace::Together).await
    }

    pub(crate) async fn join_at(&self, name: &str, pace: Pace) -> Joined {
        let agent = RawAgent::dial(self.addr).await;
        let raw = agent.register(None, hello(name, &["demo"]), pace).await;
        let session = self.find(raw.id()).expect("the session is registered");
        Joined { raw, session }
    }

    /// Registers another agent, and begins an exchange with it.
    pub(crate) async fn bystander(&self) -> Bystander {
        let mut agent = self.join("bystander").await;
        let pending = get(&agent.session, "/bystander");
        let request = agent.raw.lane.expect_request().await;
        let response = http_response(&request.id, 200).body("half, ");
        agent.raw.lane.send(response).await;
        let (head, body) = pending.answer().await.expect("nobody harms the bystander");
        assert_eq!(head.status, 200);
        Bystander {
            agent,
            id: request.id,
            body,
        }
    }

    /// The end of every test: nothing is pending anywhere, and no credit is granted.
    pub(crate) async fn finish(self) {
        for agent in self.gateway.agents().list() {
            idle(&agent.session).await;
        }
        let credit = self.gateway.credit();
        eventually(|| credit.used() == 0).await;
        self.server.abort();
    }
}

impl Joined {
    /// Makes a request and answers it, by the same lane.
    pub(crate) async fn round_trip(&mut self) {
        let pending = get(&self.session, "/round-trip");
        let request = self.raw.lane.expect_request().await;
        let response = http_response(&request.id, 200).body("well").end();
        self.raw.lane.send(response).await;
        let (head, body) = pending.answer().await.expect("the exchange works");
        assert_eq!(head.status, 200);
        assert_eq!(collect(body).await.expect("the body is whole"), "well");
    }
}

impl Bystander {
    /// Finishes the exchange, makes another one, and leaves.
    pub(crate) async fn finish(self) {
        let Self { mut agent, id, body } = self;
        agent.raw.lane.send(http_chunk(&id, "whole").end()).await;
        let body = collect(body).await.expect("nobody harms the bystander");
        assert_eq!(body, "half, whole");
        agent.round_trip().await;
        idle(&agent.session).await;
        assert!(agent.raw.agent.is_connected());
    }
}
