//! A gateway and its agents, each with both layers, and what they have told.

use std::{
    collections::BTreeMap,
    future::IntoFuture as _,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::Body;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::task::JoinSet;
use tower::ServiceBuilder;
use tunnel_core::balance::Outliers;
use tunnel_examples::Prometheus;
use tunnel_layers::{
    access_log::{AccessLogLayer, Entry},
    auth::{AuthLayer, BearerToken, BearerTokens},
    balance::{BalanceLayer, Balancing, LeastPending},
    chunk::ChunkLayer,
    concurrency::ConcurrencyLayer,
    correlate::CorrelateLayer,
    deadline::DeadlineLayer,
    grpc_web::GrpcWebLayer,
    key::ByRoute,
    metrics::{MetricsLayer, Overview},
    rate_limit::RateLimitLayer,
    reject::Direct,
    rescue::RescueLayer,
    route::{RouteLayer, Rule, Rules},
    trace_id::TraceIdLayer,
    upgrade::UpgradeLayer,
};
use tunnel_tests::{
    client::{Client, Version},
    tunnel::{GROUP, address, group, listener},
    wait::eventually,
};
use tunnel_transport::{
    Agent, AgentBuilder, AgentService, Gateway, Heartbeat, entry::Entry as Port, gateway::GatewayBuilder,
    metrics::Reporter,
};

/// A token of alice.
pub(crate) const TOKEN: &str = "alices-secret-token-0123456789";

/// The agent.
pub(crate) const AGENT: &str = "eu-1";

/// What an access log has, in the order of the ends.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<Value>>>);

impl Lines {
    fn layer(&self) -> AccessLogLayer {
        let to = self.clone();
        AccessLogLayer::new().sink(move |entry: &Entry<'_>| {
            let mut line = Vec::new();
            entry.to_json(&mut line);
            let line = serde_json::from_slice(&line).expect("a line of JSON");
            to.0.lock().expect("nobody panics").push(line);
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().expect("nobody panics").len()
    }

    pub(crate) fn all(&self) -> Vec<Value> {
        self.0.lock().expect("nobody panics").clone()
    }
}

/// A recorder of this thread, which does everything here.
pub(crate) struct Recorder {
    prometheus: &'static Prometheus,
    _guard: metrics::LocalRecorderGuard<'static>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        let prometheus: &'static Prometheus = Box::leak(Box::new(Prometheus::new()));
        Self {
            prometheus,
            _guard: metrics::set_default_local_recorder(prometheus),
        }
    }

    /// The text of a scrape.
    pub(crate) fn text(&self) -> String {
        self.prometheus.render([])
    }
}

/// One scrape.
pub(crate) struct Scrape(pub(crate) String);

impl Scrape {
    /// The sample with exactly these labels, in the form `a="b",c="d"` and in the order of their names.
    pub(crate) fn get(&self, name: &str, labels: &str) -> Option<f64> {
        let wanted = |labels: &str| {
            let mut labels: Vec<_> = labels.split(',').filter(|label| !label.is_empty()).collect();
            labels.sort_unstable();
            labels.join(",")
        };
        self.0.lines().find_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (found, has) = series.split_once('{').unwrap_or((series, "}"));
            let is_it = found == name && wanted(has.trim_end_matches('}')) == wanted(labels);
            is_it.then(|| value.parse().expect("a number"))
        })
    }

    /// The same, which must be there.
    pub(crate) fn value(&self, name: &str, labels: &str) -> f64 {
        let found = self.get(name, labels);
        found.unwrap_or_else(|| panic!("no {name}{{{labels}}} in\n{}", self.of(name)))
    }

    /// The samples of this metric, for a person.
    pub(crate) fn of(&self, name: &str) -> String {
        let lines = self.0.lines().filter(|line| line.starts_with(name));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The series of all metrics with this prefix.
    pub(crate) fn series(&self, prefix: &str) -> usize {
        let samples = self.0.lines().filter(|line| !line.starts_with('#'));
        samples.filter(|line| line.starts_with(prefix)).count()
    }

    /// The names of all metrics that are described, with their kinds.
    pub(crate) fn kinds(&self) -> BTreeMap<&str, &str> {
        let types = self.0.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        types.filter_map(|line| line.split_once(' ')).collect()
    }
}

pub(crate) struct World {
    pub(crate) addr: SocketAddr,
    agents_addr: SocketAddr,
    pub(crate) gateway: Gateway,
    pub(crate) recorder: Recorder,
    pub(crate) overview: Overview,
    pub(crate) gateway_lines: Lines,
    pub(crate) agent_lines: Lines,
    reporters: Vec<Reporter>,
    tasks: JoinSet<()>,
}

/// What differs between tests.
pub(crate) struct Plan {
    pub(crate) gateway: GatewayBuilder,
    pub(crate) rules: Vec<Rule>,
    pub(crate) outliers: Option<Outliers>,
    /// Requests a second for each rule.
    pub(crate) rate: u32,
    pub(crate) max: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            gateway: Gateway::builder().open_to_any_agent(),
            rules: rules(),
            outliers: None,
            rate: 1_000_000,
            max: 10_000,
        }
    }
}

/// A page of the gateway, an app for everybody, and one for those who say who they are.
pub(crate) fn rules() -> Vec<Rule> {
    vec![
        Rule::direct("hello", Direct::new(StatusCode::OK).body("hi"))
            .path_exact("/hello")
            .public(),
        Rule::group("app", group(GROUP)).path_prefix("/app").public(),
        Rule::group("broken", group(GROUP))
            .path_prefix("/app/broken")
            .public(),
        Rule::group("calls", group(GROUP))
            .grpc_service("pkg.Greeter")
            .public(),
        Rule::group("private", group(GROUP))
            .path_prefix("/private")
            .replace_prefix("/app"),
        Rule::group("empty", group("nobody-serves"))
            .path_prefix("/empty")
            .public(),
    ]
}

impl World {
    /// A gateway without agents.
    pub(crate) async fn new(plan: Plan) -> Self {
        let recorder = Recorder::new();
        let overview = Overview::new();
        let gateway = plan.gateway.build();
        let gateway_lines = Lines::default();
        let tokens = BearerTokens::new([BearerToken::new("alice", TOKEN).expect("a token")]);
        let balancing = Balancing::new(LeastPending::new());
        let balancing = match plan.outliers {
            Some(outliers) => balancing.outliers(outliers),
            None => balancing,
        };
        let stack = ServiceBuilder::new()
            .layer(MetricsLayer::new().overview(overview.clone()))
            .layer(gateway_lines.layer())
            .layer(TraceIdLayer::new())
            .layer(GrpcWebLayer::new())
            .layer(RescueLayer::new())
            .layer(RouteLayer::new(
                Rules::compile(plan.rules).expect("the rules are right"),
            ))
            .layer(AuthLayer::new(tokens.expect("the tokens are right")))
            .layer(RateLimitLayer::per(plan.rate, Duration::from_secs(1_000)).key(ByRoute))
            .layer(ConcurrencyLayer::new().max(plan.max).queue(0))
            .layer(DeadlineLayer::new())
            .layer(BalanceLayer::balancing(gateway.agents(), balancing))
            .layer(UpgradeLayer::new())
            .layer(ChunkLayer::new())
            .layer(CorrelateLayer::new())
            .service(gateway.transport());
        let (outside, agents) = (listener().await, listener().await);
        let (addr, agents_addr) = (address(&outside), address(&agents));
        let mut tasks = JoinSet::new();
        tasks.spawn(Port::new().serve(outside, stack).into_future());
        tasks.spawn(gateway.serve_agents(agents).into_future());
        Self {
            addr,
            agents_addr,
            reporters: vec![Reporter::gateway(gateway.clone())],
            gateway,
            recorder,
            overview,
            gateway_lines,
            agent_lines: Lines::default(),
            tasks,
        }
    }

    /// The same, with an agent that serves the app.
    pub(crate) async fn with_app(plan: Plan, app: impl AgentApp) -> Self {
        let mut world = Self::new(plan).await;
        let agent = world.agent(AGENT);
        world.run(agent, app).await;
        world
    }

    /// An agent's description.
    pub(crate) fn agent(&self, id: &str) -> AgentBuilder {
        self.agent_of(GROUP, id)
    }

    /// The same, of another group.
    pub(crate) fn agent_of(&self, group: &str, id: &str) -> AgentBuilder {
        Agent::builder(format!("http://{}", self.agents_addr))
            .group(group)
            .id(id)
    }

    /// Runs an agent with both layers around its app, and waits until it is connected.
    pub(crate) async fn run(&mut self, agent: AgentBuilder, app: impl AgentApp) -> Agent {
        let agent = agent.build().expect("the agent's settings are right");
        let metrics = MetricsLayer::new().agent(agent.id().as_str()).group(GROUP);
        let access_log = self.agent_lines.layer().agent(agent.id().clone());
        let service = app.within(metrics, access_log);
        let serve = agent.serve(service);
        self.tasks
            .spawn(async move { serve.await.expect("the agent is not refused") });
        agent.connected().await;
        if self.reporters.len() == 1 {
            self.reporters.push(Reporter::agent(agent.clone()));
        }
        agent
    }

    /// What a scrape of both ends says now.
    pub(crate) fn scrape(&self) -> Scrape {
        self.reporters.iter().for_each(Reporter::report);
        Scrape(self.recorder.text())
    }

    /// Waits until both sides have told of so many exchanges.
    pub(crate) async fn told(&self, gateway: usize, agent: usize) {
        eventually(|| self.gateway_lines.len() >= gateway && self.agent_lines.len() >= agent).await;
        assert_eq!(
            (self.gateway_lines.len(), self.agent_lines.len()),
            (gateway, agent)
        );
    }

    /// A client of HTTP/2.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(Version::Http2, self.addr).await
    }
}

/// An app of axum.
pub(crate) trait AgentApp {
    /// The app within both layers.
    fn within(self, metrics: MetricsLayer, access_log: AccessLogLayer) -> impl AgentService + Sync;
}

impl AgentApp for axum::Router {
    fn within(self, metrics: MetricsLayer, access_log: AccessLogLayer) -> impl AgentService + Sync {
        ServiceBuilder::new()
            .layer(metrics)
            .layer(access_log)
            .service(self)
    }
}

impl AgentApp for tunnel_transport::Upstream {
    fn within(self, metrics: MetricsLayer, access_log: AccessLogLayer) -> impl AgentService + Sync {
        ServiceBuilder::new()
            .layer(metrics)
            .layer(access_log)
            .service(self)
    }
}

/// Sends a request, and takes all of its answer; `None` if that breaks off.
pub(crate) async fn exchange(client: &mut Client, request: Request<Body>) -> Option<(StatusCode, usize)> {
    let response: Response<Incoming> = client.send(request).await.ok()?;
    let status = response.status();
    let body = response.into_body().collect().await.ok()?;
    Some((status, body.to_bytes().len()))
}

pub(crate) fn get(path: &str) -> Request<Body> {
    let request = Request::get(path);
    request.body(Body::empty()).expect("a request")
}

pub(crate) fn post(path: &str, body: &'static str) -> Request<Body> {
    let request = Request::builder().method(Method::POST).uri(path);
    request.body(Body::from(body)).expect("a request")
}

pub(crate) fn call(path: &str, message: &'static str) -> Request<Body> {
    let mut request = post(path, message);
    let headers = request.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/grpc"),
    );
    headers.insert(header::TE, header::HeaderValue::from_static("trailers"));
    request
}

/// Heartbeats that come soon.
pub(crate) const FAST: Heartbeat = Heartbeat {
    interval: Duration::from_millis(20),
    timeout: Duration::from_secs(20),
};
