//! Sessions without sockets: two ends in one process, and tasks that carry the messages between them.

use std::{future::poll_fn, sync::Arc, time::Instant};

use rand::random;
use tunnel_core::{
    Agents, BoxTask, CreditBudget, Direction, Features, GroupName, InstanceId, Lane, Member, RequestId,
    Routed, Runtime, Session, SessionConfig, SessionId, Settings, Target,
};
use tunnel_transport::AgentService;

#[derive(Debug)]
struct Tokio;

impl Runtime for Tokio {
    fn spawn(&self, task: BoxTask) {
        drop(tokio::spawn(task));
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn sleep_until(&self, at: Instant) -> BoxTask {
        Box::pin(tokio::time::sleep_until(at.into()))
    }

    fn request_id(&self, _: Instant) -> RequestId {
        RequestId::from_parts(0, random())
    }

    fn random(&self) -> [u8; 16] {
        random()
    }
}

/// One agent: its session at the gateway and at itself.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The gateway's end.
    pub gateway: Session,
    /// The agent's end.
    pub agent: Session,
    /// The gateway's end of the one lane.
    pub lane: Lane,
}

/// An agent with this name that serves `service`.
///
/// # Panics
///
/// If the name is none.
pub fn pair(name: &str, service: impl AgentService + Sync) -> Pair {
    let end = |opens| {
        Session::new(SessionConfig {
            id: SessionId::from_random(random()),
            agent: name.parse().expect("a valid name"),
            instance: InstanceId::from_random(random()),
            opens,
            local: Settings::default(),
            remote: Settings::default(),
            features: Features::ALL,
            budget: CreditBudget::default(),
            runtime: Arc::new(Tokio),
        })
    };
    let (gateway, agent) = (end(Direction::ServerToClient), end(Direction::ClientToServer));
    let lanes = [&gateway, &agent].map(|session| session.add_lane(0).expect("a new session takes a lane"));
    let [near, far] = lanes;
    carry(near.clone(), agent.clone(), far.clone(), Some(service));
    carry(far, gateway.clone(), near.clone(), None::<axum::Router>);
    Pair {
        gateway,
        agent,
        lane: near,
    }
}

/// Carries what `from` writes to the lane `to` of `session`.
fn carry<S: AgentService + Sync>(from: Lane, session: Session, to: Lane, service: Option<S>) {
    tokio::spawn(async move {
        while let Some(message) = poll_fn(|cx| from.poll_next(cx)).await {
            match (session.handle(&to, message), &service) {
                (Ok(Some(accepted)), Some(service)) => drop(tokio::spawn(service.clone().handle(accepted))),
                (Ok(_), _) => {}
                (Err(error), _) => session.close(&error),
            }
        }
    });
}

/// Agents that are always the same.
#[derive(Clone, Debug)]
pub struct Fixed(Arc<[Member]>);

impl Fixed {
    /// The agents of these sessions, all of the same weight.
    pub fn new<'a>(sessions: impl IntoIterator<Item = &'a Session>) -> Self {
        Self(
            sessions
                .into_iter()
                .map(|session| Member::new(session.clone(), 1))
                .collect(),
        )
    }
}

impl FromIterator<Member> for Fixed {
    fn from_iter<T: IntoIterator<Item = Member>>(members: T) -> Self {
        Self(members.into_iter().collect())
    }
}

impl Agents for Fixed {
    fn members(&self, _: &GroupName) -> Arc<[Member]> {
        self.0.clone()
    }
}

/// What a request that goes to a group has in its extensions.
///
/// # Panics
///
/// Never.
#[must_use]
pub fn routed() -> Routed {
    let target = Target::Group("app".parse().expect("a valid name"));
    Routed::new("all", target)
}
