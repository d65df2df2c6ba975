//! Whether endpoints are well, asked from time to time.

mod grpc;
mod http;
mod record;

use std::{
    ops::RangeInclusive,
    sync::{Arc, Weak},
    time::Duration,
};

use ::http::uri::{Authority, PathAndQuery};
use rand::Rng as _;
use tokio::time::{sleep, timeout};

use self::record::Record;
use crate::upstream::{InvalidUpstream, node::Node};

/// Between two checks, where nothing is set.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);

/// An endpoint that takes longer is as good as gone.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);

/// Checks are not closer together than this.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// The largest part of the interval that chance may add.
const MAX_JITTER: f64 = 1.0;

/// How an upstream's endpoints are asked whether they are well. Each is asked by itself, over a connection that carries no requests.
///
/// An endpoint is taken to be well until the first answer, which counts at once; from then on it takes several of the same kind.
#[derive(Clone, Debug)]
#[must_use = "it does nothing unless an upstream has it"]
pub struct HealthCheck {
    kind: Kind,
    interval: Duration,
    timeout: Duration,
    healthy_after: u32,
    unhealthy_after: u32,
    jitter: f64,
}

#[derive(Clone, Debug)]
enum Kind {
    Http(HttpCheck),
    Tcp,
    Grpc { service: Arc<str>, watch: bool },
}

#[derive(Clone, Debug)]
struct HttpCheck {
    path: PathAndQuery,
    host: Option<Authority>,
    status: Vec<RangeInclusive<u16>>,
}

impl HealthCheck {
    /// A GET of this path, such as `/healthz`, is answered with a status from 200 to 299, or with an
    /// [expected](Self::status) one.
    ///
    /// # Errors
    ///
    /// It is no path.
    pub fn http(path: &str) -> Result<Self, InvalidUpstream> {
        match PathAndQuery::try_from(path) {
            Ok(parsed) if path.starts_with('/') => Ok(Self::new(Kind::Http(HttpCheck {
                path: parsed,
                host: None,
                status: Vec::new(),
            }))),
            _ => Err(InvalidUpstream(format!(
                "`{path}` is no path to check: write one such as /healthz"
            ))),
        }
    }

    /// A connection can be made, with TLS if the upstream has it.
    pub const fn tcp() -> Self {
        Self::new(Kind::Tcp)
    }

    /// `grpc.health.v1.Health/Check` says that this service is SERVING; the empty name stands for the whole server. A server that
    /// does not know the method counts as well, and is not asked again.
    pub fn grpc(service: &str) -> Self {
        Self::new(Kind::Grpc {
            service: service.into(),
            watch: false,
        })
    }

    const fn new(kind: Kind) -> Self {
        Self {
            kind,
            interval: DEFAULT_INTERVAL,
            timeout: DEFAULT_TIMEOUT,
            healthy_after: 2,
            unhealthy_after: 3,
            jitter: 0.1,
        }
    }

    /// Calls `Watch` instead of `Check`, so that the server tells of every change at once. Nothing else is asked while the call
    /// lasts; when it ends, that counts as a failed check, and it is made again after the interval. Only for
    /// [gRPC](Self::grpc).
    pub fn watch(mut self) -> Self {
        if let Kind::Grpc { watch, .. } = &mut self.kind {
            *watch = true;
        }
        self
    }

    /// One more status, or range of them, that means that the endpoint is well. Only for [HTTP](Self::http).
    pub fn status(mut self, expected: RangeInclusive<u16>) -> Self {
        if let Kind::Http(check) = &mut self.kind {
            check.status.push(expected);
        }
        self
    }

    /// The authority that is asked for (default that of the endpoint's address). Only for [HTTP](Self::http).
    ///
    /// # Errors
    ///
    /// It is no host, nor a host and a port.
    pub fn host(mut self, host: &str) -> Result<Self, InvalidUpstream> {
        let authority = Authority::try_from(host).map_err(|_| {
            InvalidUpstream(format!("`{host}` is no host: write one such as www.example.com"))
        })?;
        if let Kind::Http(check) = &mut self.kind {
            check.host = Some(authority);
        }
        Ok(self)
    }

    /// The time between the end of a check and the next (default 5 s, at least 10 ms).
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.max(SHORTEST_INTERVAL);
        self
    }

    /// What a check takes at most (default 2 s).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// So many good checks in a row make an endpoint well again (default 2, at least 1).
    pub fn healthy_after(mut self, checks: u32) -> Self {
        self.healthy_after = checks.max(1);
        self
    }

    /// So many failed checks in a row take it out (default 3, at least 1).
    pub fn unhealthy_after(mut self, checks: u32) -> Self {
        self.unhealthy_after = checks.max(1);
        self
    }

    /// How much longer than the interval a pause may be by chance, as a part of it (default 0.1; 0 to 1), so that the checks of many
    /// programs do not come together.
    pub fn jitter(mut self, part: f64) -> Self {
        self.jitter = if part.is_nan() {
            0.0
        } else {
            part.clamp(0.0, MAX_JITTER)
        };
        self
    }

    /// Whether only HTTP/2 can carry it.
    pub(super) const fn needs_http2(&self) -> bool {
        matches!(self.kind, Kind::Grpc { .. })
    }

    fn pause(&self) -> Duration {
        self.interval
            .mul_f64(1.0 + self.jitter * rand::rng().random::<f64>())
    }
}

/// What a check found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Well,
    Failing,
    /// The endpoint cannot be asked.
    Unknown,
}

impl From<bool> for Verdict {
    fn from(is_well: bool) -> Self {
        if is_well { Self::Well } else { Self::Failing }
    }
}

/// Checks an endpoint as long as it is one.
pub(super) async fn run(node: Weak<Node>, check: HealthCheck) {
    let mut record = Record::new(check.healthy_after, check.unhealthy_after);
    loop {
        let Some(verdict) = once(&node, &check, &mut record).await else {
            return;
        };
        let Some(node) = alive(&node) else { return };
        if verdict == Verdict::Unknown {
            return tell(&node, true);
        }
        if let Some(is_healthy) = record.note(verdict == Verdict::Well) {
            tell(&node, is_healthy);
        }
        drop(node);
        sleep(check.pause()).await;
    }
}

/// One check; none when the endpoint has gone.
async fn once(node: &Weak<Node>, check: &HealthCheck, record: &mut Record) -> Option<Verdict> {
    let verdict = match &check.kind {
        Kind::Http(http) => timeout(check.timeout, http::check(&*alive(node)?, http)).await,
        Kind::Tcp => {
            let node = alive(node)?;
            timeout(check.timeout, async { node.can_connect().await.into() }).await
        }
        Kind::Grpc {
            service,
            watch: false,
        } => timeout(check.timeout, grpc::check(&*alive(node)?, service)).await,
        Kind::Grpc { service, watch: true } => Ok(grpc::watch(node, service, check, record).await),
    };
    Some(verdict.unwrap_or(Verdict::Failing))
}

fn alive(node: &Weak<Node>) -> Option<Arc<Node>> {
    node.upgrade().filter(|node| !node.is_removed())
}

fn tell(node: &Node, is_healthy: bool) {
    if node.set_healthy(is_healthy) {
        let name = node.name();
        if is_healthy {
            tracing::info!(endpoint = name, "the upstream's endpoint is well again");
        } else {
            tracing::warn!(endpoint = name, "the upstream's endpoint fails its health checks");
        }
    }
}
