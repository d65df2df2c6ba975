//! Sessions and agents for the tests of several layers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use tunnel_core::{
    AgentId, Agents, BoxTask, CreditBudget, Direction, Features, GroupName, InstanceId, Member, RequestId,
    Runtime, Session, SessionConfig, SessionId, Settings,
};

#[derive(Debug, Default)]
struct TestRuntime(AtomicU64);

impl Runtime for TestRuntime {
    fn spawn(&self, _: BoxTask) {
        unreachable!("nothing is spawned here");
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn sleep_until(&self, at: Instant) -> BoxTask {
        Box::pin(tokio::time::sleep_until(at.into()))
    }

    fn request_id(&self, _: Instant) -> RequestId {
        RequestId::from_parts(self.0.fetch_add(1, Ordering::Relaxed), [0; 10])
    }

    fn random(&self) -> [u8; 16] {
        [7; 16]
    }
}

/// What the sessions of tests run on.
pub(crate) fn runtime() -> Arc<dyn Runtime> {
    Arc::new(TestRuntime::default())
}

/// Agents that are the same for every group.
#[derive(Clone, Debug)]
pub(crate) struct Group(Arc<[Member]>);

impl From<Vec<Member>> for Group {
    fn from(members: Vec<Member>) -> Self {
        Self(members.into())
    }
}

impl Agents for Group {
    fn members(&self, _: &GroupName) -> Arc<[Member]> {
        self.0.clone()
    }
}

/// A session with so many lanes, which nobody serves. It takes two exchanges.
pub(crate) fn session(number: u8, lanes: u32) -> Session {
    let session = Session::new(SessionConfig {
        id: SessionId::from_random([number; 16]),
        agent: format!("agent-{number}").parse::<AgentId>().unwrap(),
        instance: InstanceId::from_random([number; 16]),
        opens: Direction::ServerToClient,
        local: Settings::default(),
        remote: Settings {
            max_exchanges: 2,
            ..Settings::default()
        },
        features: Features::ALL,
        budget: CreditBudget::default(),
        runtime: Arc::new(TestRuntime::default()),
    });
    for index in 0..lanes {
        session.add_lane(index).unwrap();
    }
    session
}

/// The agents of these sessions, all of the same weight.
pub(crate) fn group(sessions: &[&Session]) -> Group {
    Group(
        sessions
            .iter()
            .map(|session| Member::new((*session).clone(), 1))
            .collect(),
    )
}
