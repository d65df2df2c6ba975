//! A gateway with an admin interface, agents, clients, and somebody who looks at the page.

use std::{collections::BTreeMap, future::IntoFuture as _, net::SocketAddr, sync::Arc};

use axum::{Router, body::Body, routing::get as on_get};
use http::Request;
use http_body_util::BodyExt as _;
use tokio::{
    net::TcpListener,
    sync::{Notify, Semaphore},
    task::{AbortHandle, JoinSet},
};
use tower::ServiceBuilder;
use tunnel_layers::{
    metrics::{MetricsLayer, Overview, Row},
    route::Rule,
};
use tunnel_tests::{
    client::{Client, Version},
    live_page::Viewer,
    tunnel::{address, group, listener, stack},
};
use tunnel_transport::{
    Agent, Gateway,
    admin::{Admin, AdminAccess, RuleInfo, RuleTarget, view},
    entry::Entry,
};

pub(crate) const TOKEN: &str = "an-admin-token-of-the-tests";

/// Where pictures go.
pub(crate) const DIRECTORY: &str = env!("CARGO_TARGET_TMPDIR");

/// A gateway with rules for three groups.
pub(crate) struct World {
    pub(crate) gateway: Gateway,
    pub(crate) addr: SocketAddr,
    pub(crate) admin_addr: SocketAddr,
    agents_addr: SocketAddr,
    /// Lets handlers of `/slow` answer.
    pub(crate) release: Arc<Semaphore>,
    /// Tells that such a handler runs.
    pub(crate) entered: Arc<Notify>,
    pub(crate) tasks: JoinSet<()>,
}

/// The groups, each of which has a rule of its name.
pub(crate) const GROUPS: [&str; 3] = ["web", "api", "billing"];

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Vec::new(), listener().await).await
    }

    /// One that tells of more rules than it has, on this port.
    pub(crate) async fn with(told: Vec<RuleInfo>, admin_port: TcpListener) -> Self {
        let gateway = Gateway::builder().open_to_any_agent().build();
        let overview = Overview::new();
        let rules = GROUPS.map(|name| Rule::group(name, group(name)).path_prefix(format!("/{name}")));
        let service = ServiceBuilder::new()
            .layer(MetricsLayer::new().overview(overview.clone()))
            .service(stack(&gateway, rules.into()));
        let (outside, agents) = (listener().await, listener().await);
        let (addr, agents_addr) = (address(&outside), address(&agents));
        let admin_addr = address(&admin_port);
        let mut tasks = JoinSet::new();
        tasks.spawn(Entry::new().serve(outside, service).into_future());
        let serve_agents = gateway
            .serve_agents(agents)
            .limits(|entry| entry.max_connections_per_address(10_000));
        tasks.spawn(serve_agents.into_future());
        let access = AdminAccess::local().token(TOKEN).expect("it is long enough");
        let admin = Admin::gateway(&gateway)
            .access(access)
            .rules(move || infos(&told))
            .traffic(move || overview.snapshot().iter().map(traffic).collect())
            .build();
        let serve = admin.serve(Entry::new(), admin_port).expect("it has a token");
        tasks.spawn(serve.into_future());
        Self {
            gateway,
            addr,
            admin_addr,
            agents_addr,
            release: Arc::new(Semaphore::new(0)),
            entered: Arc::default(),
            tasks,
        }
    }

    /// Adds an agent, and waits until it is connected. It leaves when the handle is used.
    pub(crate) async fn agent(&mut self, name: &str, group: &str) -> AbortHandle {
        let (agent, handle) = self.begin(name, group);
        agent.connected().await;
        handle
    }

    /// The same without waiting.
    pub(crate) fn begin(&mut self, name: &str, group: &str) -> (Agent, AbortHandle) {
        let agent = Agent::builder(format!("http://{}", self.agents_addr))
            .id(name)
            .group(group)
            .build()
            .expect("the agent's settings are right");
        let serve = agent.serve(app(&self.release, &self.entered));
        let handle = self.tasks.spawn(async move {
            // It is not there when the gateway's task ends first.
            let _ = serve.await;
        });
        (agent, handle)
    }

    /// A few agents of each group.
    pub(crate) async fn some_agents(&mut self) -> Vec<AbortHandle> {
        let mut handles = Vec::new();
        for (group, count) in GROUPS.into_iter().zip([12, 7, 3]) {
            for number in 1..=count {
                handles.push(self.agent(&format!("{group}-{number}"), group).await);
            }
        }
        handles
    }

    /// A client that asks again and again, until the handle is used.
    pub(crate) fn load(&mut self, path: &'static str) -> AbortHandle {
        let addr = self.addr;
        self.tasks.spawn(async move {
            let mut client = Client::connect(Version::Http1, addr).await;
            // Until the gateway is gone, at the test's end.
            while let Ok(answer) = client.send(get(path)).await {
                let _ = answer.into_body().collect().await;
            }
        })
    }

    /// A request that stays open until `release` says otherwise.
    pub(crate) async fn open_exchange(&mut self, path: &'static str) {
        let addr = self.addr;
        self.tasks.spawn(async move {
            let mut client = Client::connect(Version::Http1, addr).await;
            let _ = client.send(get(path)).await;
        });
        self.entered.notified().await;
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.admin_addr)
    }
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).expect("a request")
}

/// What agents serve.
fn app(release: &Arc<Semaphore>, entered: &Arc<Notify>) -> Router {
    let (release, entered) = (release.clone(), entered.clone());
    let slow = move || async move {
        entered.notify_one();
        let _ = release.acquire().await;
        "done"
    };
    Router::new()
        .route("/{group}", on_get(|| async { vec![b'x'; 3_000] }))
        .route("/{group}/slow", on_get(slow))
}

/// The rules as the interface is told of them.
fn infos(more: &[RuleInfo]) -> Vec<RuleInfo> {
    let info = |name: &str| RuleInfo {
        id: name.to_owned(),
        listener: "main".to_owned(),
        matches: format!("path /{name}"),
        target: RuleTarget::Group(name.to_owned()),
    };
    GROUPS.into_iter().map(info).chain(more.iter().cloned()).collect()
}

/// A row of what was counted, as the interface tells it.
fn traffic(row: &Row) -> view::Traffic {
    let classes = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
    let statuses = classes.iter().zip(row.statuses).filter(|(_, count)| *count > 0);
    let failures = row
        .failures
        .iter()
        .map(|(cause, count)| ((*cause).to_owned(), *count));
    view::Traffic {
        rule: row.rule.to_string(),
        target: row.group.to_string(),
        requests: row.requests,
        open: row.open,
        failures: failures.collect(),
        statuses: statuses
            .map(|(class, count)| ((*class).to_owned(), count))
            .collect::<BTreeMap<_, _>>(),
        bytes_in: row.bytes_in,
        bytes_out: row.bytes_out,
        latency_sum_us: u64::try_from(row.latency_sum.as_micros()).unwrap_or(u64::MAX),
        // Theirs ends at the power, ours begins there.
        latency_log2_us: std::iter::once(0).chain(row.latencies).collect(),
    }
}

/// Somebody who has logged in.
pub(crate) async fn log_in(test: &str, url: &str) -> Option<Viewer> {
    Viewer::log_in(test, DIRECTORY.as_ref(), url, TOKEN).await
}
