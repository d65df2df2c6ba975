//! Many agents whose gateway goes away and comes back.
//!
//! The clock is stopped: it goes on when nothing is left to do, so that only the agents' delays count. The sockets are real.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, sleep},
};
use tunnel_core::PeerInfo;
use tunnel_tests::tunnel::{GROUP, address, listener};
use tunnel_transport::{Agent, Gateway, net::Listener};

use crate::{app::App, world::eventually};

const AGENTS: usize = 200;
/// The time in which dials are counted.
const WINDOW: Duration = Duration::from_millis(100);
/// What a balancer may see of them in one window, once the first second is over.
const MAX_LATER: usize = AGENTS / 4;

/// The port of the gateway, which stays open when the gateway is away: as with a balancer that has nobody behind it.
struct Port {
    listener: Arc<TcpListener>,
    dials: Arc<Mutex<Vec<Instant>>>,
}

impl Port {
    async fn next(&self) -> io::Result<TcpStream> {
        let (socket, _) = self.listener.accept().await?;
        self.dials
            .lock()
            .expect("nobody panics with it")
            .push(Instant::now());
        Ok(socket)
    }

    fn again(&self) -> Self {
        Self {
            listener: self.listener.clone(),
            dials: self.dials.clone(),
        }
    }
}

impl Listener for Port {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, PeerInfo)> {
        Ok((self.next().await?, PeerInfo::unknown()))
    }
}

/// A gateway behind the port, until the set is dropped.
fn serve(port: &Port) -> (Gateway, JoinSet<()>) {
    let gateway = Gateway::builder().open_to_any_agent().build();
    let mut tasks = JoinSet::new();
    // All of them come from one address here.
    let serve = gateway
        .serve_agents(port.again())
        .limits(|entry| entry.max_connections_per_address(2 * AGENTS));
    tasks.spawn(serve.into_future());
    (gateway, tasks)
}

/// All agents lose their gateway, which is away for so long: how they come back.
async fn away(time: Duration) {
    let listener = listener().await;
    let url = format!("http://{}", address(&listener));
    let port = Port {
        listener: Arc::new(listener),
        dials: Arc::default(),
    };
    let (gateway, mut serving) = serve(&port);
    let (app, mut agents) = (App::new(), JoinSet::new());
    for number in 0..AGENTS {
        let agent = Agent::builder(&url).group(GROUP).id(format!("agent-{number}"));
        let agent = agent.build().expect("the settings are right");
        agents.spawn(agent.serve(app.router()).into_future());
    }
    let connected = |gateway: &Gateway| gateway.agents().list().len();
    eventually(|| connected(&gateway) == AGENTS).await;

    // It is gone, with all of its connections.
    serving.shutdown().await;
    port.dials.lock().expect("nobody panics with it").clear();
    let gone = Instant::now();
    let nobody = tokio::spawn({
        let port = port.again();
        async move { while port.next().await.is_ok() {} }
    });
    sleep(time).await;
    nobody.abort();
    let (gateway, _serving) = serve(&port);
    let mut back = Vec::new();
    while back.len() < AGENTS {
        let count = connected(&gateway);
        back.resize(count.max(back.len()), (gone + time).elapsed());
        sleep(Duration::from_millis(10)).await;
    }

    let dials = port.dials.lock().expect("nobody panics with it").clone();
    let mut windows = std::collections::BTreeMap::<u128, usize>::new();
    for dial in &dials {
        *windows
            .entry((*dial - gone).as_millis() / WINDOW.as_millis())
            .or_default() += 1;
    }
    let most = |from: u128| windows.range(from..).map(|(_, count)| *count).max().unwrap_or(0);
    let (at_all, later) = (most(0), most(10));
    println!(
        "away for {time:?}: {AGENTS} agents, {} dials, at most {at_all} in {WINDOW:?}, and {later} after the first second; back after: half \
         {:?}, nine of ten {:?}, all {:?}",
        dials.len(),
        back[AGENTS / 2],
        back[AGENTS * 9 / 10],
        back[AGENTS - 1],
    );
    assert!(
        back[AGENTS - 1] <= Duration::from_secs(10),
        "{:?}",
        back[AGENTS - 1]
    );
    assert!(at_all < AGENTS / 2, "not all at once: {at_all}");
    assert!(later <= MAX_LATER, "a stampede: {later}");
}

#[tokio::test(start_paused = true)]
async fn agents_come_back_to_a_gateway_that_was_away_for_5_s() {
    away(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn agents_come_back_to_a_gateway_that_was_away_for_a_minute() {
    away(Duration::from_secs(60)).await;
}
