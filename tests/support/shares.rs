//! Which agent gets how much, by which policy: real sessions, and a clock that only stands or jumps.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::Router;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tokio::{task::JoinSet, time::sleep};
use tower::{Layer as _, ServiceExt as _};
use tunnel_core::Member;
use tunnel_layers::{
    balance::{AnyPick, BalanceLayer, Balancing},
    chunk::ChunkLayer,
    correlate::CorrelateLayer,
};
use tunnel_transport::TunnelTransport;

use crate::pair::{Fixed, pair, routed};

/// The header by which requests are hashed: each request has its own.
pub const KEY: &str = "x-key";

/// An agent: how much it should get, where it is, and how long it takes. What it does may change while it runs.
#[derive(Clone, Debug)]
pub struct Worker {
    weight: u32,
    zone: Option<&'static str>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    millis: AtomicU32,
    fails: AtomicBool,
    served: AtomicUsize,
}

impl Worker {
    /// One of the weight 1, which answers after so many milliseconds.
    #[must_use]
    pub fn new(millis: u32) -> Self {
        let state = State::default();
        state.millis.store(millis, Ordering::Relaxed);
        Self {
            weight: 1,
            zone: None,
            state: Arc::new(state),
        }
    }

    /// The same, of another weight.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// The same, in this zone.
    #[must_use]
    pub fn zone(mut self, zone: &'static str) -> Self {
        self.zone = Some(zone);
        self
    }

    /// From now on it answers after so many milliseconds.
    pub fn takes(&self, millis: u32) {
        self.state.millis.store(millis, Ordering::Relaxed);
    }

    /// From now on it answers 503, or well again.
    pub fn fails(&self, fails: bool) {
        self.state.fails.store(fails, Ordering::Relaxed);
    }

    /// What it has got since it was asked last.
    #[must_use]
    pub fn take_served(&self) -> usize {
        self.state.served.swap(0, Ordering::Relaxed)
    }

    fn app(&self) -> Router {
        let state = self.state.clone();
        Router::new().fallback(async move || {
            state.served.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_millis(state.millis.load(Ordering::Relaxed).into())).await;
            if state.fails.load(Ordering::Relaxed) {
                StatusCode::SERVICE_UNAVAILABLE
            } else {
                StatusCode::OK
            }
        })
    }
}

/// A group of agents, and callers before it.
#[derive(Debug)]
pub struct Crowd {
    workers: Vec<Worker>,
    layer: BalanceLayer<Fixed, AnyPick>,
    asked: Arc<AtomicUsize>,
}

impl Crowd {
    /// These agents, balanced so. Needs a runtime whose clock is paused.
    pub fn new(balancing: impl Into<Balancing<AnyPick>>, workers: &[Worker]) -> Self {
        let members = workers.iter().enumerate().map(|(number, worker)| {
            let pair = pair(&format!("agent-{number}"), worker.app());
            let member = Member::new(pair.gateway, worker.weight);
            match worker.zone {
                Some(zone) => member.in_zone(zone),
                None => member,
            }
        });
        Self {
            layer: BalanceLayer::balancing(members.collect(), balancing.into()),
            workers: workers.to_vec(),
            asked: Arc::default(),
        }
    }

    /// So many requests by so many callers, each of whom sends the next one when the last one is answered. What each agent got, in
    /// percent, and how many answers were failures.
    ///
    /// # Panics
    ///
    /// If a request has no answer.
    pub async fn run(&self, requests: usize, callers: usize) -> (Vec<f64>, usize) {
        let end = self.asked.load(Ordering::Relaxed) + requests;
        let mut tasks = JoinSet::new();
        for _ in 0..callers {
            let (asked, layer) = (self.asked.clone(), self.layer.clone());
            tasks.spawn(async move {
                let mut failures = 0;
                loop {
                    let number = asked.fetch_add(1, Ordering::Relaxed);
                    if number >= end {
                        return failures;
                    }
                    failures += usize::from(ask(&layer, number).await != StatusCode::OK);
                }
            });
        }
        let failures = tasks.join_all().await.into_iter().sum();
        self.asked.store(end, Ordering::Relaxed);
        let served: Vec<_> = self.workers.iter().map(Worker::take_served).collect();
        let all: usize = served.iter().sum();
        #[expect(clippy::cast_precision_loss, reason = "they are far below 2^52")]
        let percent = |count: usize| count as f64 * 100.0 / all.max(1) as f64;
        (served.into_iter().map(percent).collect(), failures)
    }
}

async fn ask(layer: &BalanceLayer<Fixed, AnyPick>, number: usize) -> StatusCode {
    let tunnel = ChunkLayer::new().layer(CorrelateLayer::new().layer(TunnelTransport::new()));
    let request = Request::builder()
        .uri("http://app.example/")
        .header("host", "app.example")
        .header(KEY, number)
        .body(Full::new(Bytes::new()));
    let mut request = request.expect("a valid request");
    request.extensions_mut().insert(routed());
    let answer: Response<_> = layer.layer(tunnel).oneshot(request).await.expect("an answer");
    let status = answer.status();
    answer.into_body().collect().await.expect("a whole body");
    status
}
