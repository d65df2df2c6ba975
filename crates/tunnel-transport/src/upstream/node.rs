//! One server of an upstream: its connections, and how it has been doing.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
};

use http::{Request, Response};
use tokio::time::Instant;
use tunnel_core::{
    Record,
    balance::{Endpoint, Stats},
};

use crate::{
    Backoff,
    upstream::{
        UpstreamEndpoint, UpstreamProtocol,
        body::{Content, On},
        builder::Settings,
        dial::Connector,
        failed::Failed,
        failures::Failures,
        h1::Http1Pool,
        h2c::H2cPool,
        line::OpenCount,
        request,
        resolve::Found,
        target::Target,
        tasks::Tasks,
        upload::Upload,
    },
};
#[cfg(feature = "tls")]
use crate::{tls::ClientTls, upstream::negotiated::Negotiated};

/// One server, at one address or at all addresses of one name.
pub(super) struct Node {
    /// Its alone, in this process.
    pub(super) id: u64,
    pub(super) target: Target,
    pub(super) settings: Arc<Settings>,
    pub(super) pool: Pool,
    /// A connection of its own for health checks, so that they never wait for a place.
    checks: Pool,
    connector: Connector,
    failures: Arc<Failures>,
    /// What drives its connections, but for those of health checks.
    pub(super) tasks: Arc<Tasks>,
    /// Its connections, but for those of health checks.
    open: OpenCount,
    name: Arc<str>,
    weight: AtomicU32,
    /// Those with lower numbers come first.
    priority: AtomicU16,
    zone: Option<Box<str>>,
    stats: Stats,
    /// With those of a node whose place it has taken.
    pending: Arc<AtomicUsize>,
    healthy: AtomicBool,
    draining: AtomicBool,
    removed: AtomicBool,
}

/// The connections to one server.
pub(super) enum Pool {
    Http1(Arc<Http1Pool>),
    /// HTTP/2, with TLS or without.
    H2c(Arc<H2cPool>),
    #[cfg(feature = "tls")]
    Negotiated(Box<Negotiated>),
}

/// A node among others.
#[derive(Clone)]
pub(super) struct Member(pub(super) Arc<Node>);

/// What all nodes of an upstream have in common.
#[derive(Clone)]
pub(super) struct Maker {
    pub(super) protocol: UpstreamProtocol,
    pub(super) settings: Arc<Settings>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<ClientTls>,
    pub(super) backoff: Option<Backoff>,
    /// Whether there is nobody else to go to while a node is let be.
    pub(super) is_lone: bool,
    pub(super) tasks: Arc<Tasks>,
    pub(super) open: OpenCount,
}

impl Maker {
    pub(super) fn node(&self, target: Target, endpoint: &UpstreamEndpoint, name: String) -> Arc<Node> {
        self.counted(target, endpoint, name, self.open.part(), Arc::default())
    }

    /// A node in the place of one that was drained. It begins like a new one, and counts what the other has open still.
    pub(super) fn successor(&self, old: &Node, endpoint: &UpstreamEndpoint) -> Arc<Node> {
        let (target, name) = (old.target.clone(), old.name().to_owned());
        let next = self.counted(target, endpoint, name, old.open.clone(), Arc::clone(&old.pending));
        next.set_healthy(old.is_healthy());
        next.weight
            .store(old.weight.load(Ordering::Relaxed), Ordering::Relaxed);
        next.priority.store(old.priority(), Ordering::Relaxed);
        next
    }

    fn counted(
        &self,
        target: Target,
        endpoint: &UpstreamEndpoint,
        name: String,
        open: OpenCount,
        pending: Arc<AtomicUsize>,
    ) -> Arc<Node> {
        let connector = Connector::new(&target, self.settings.dial_timeout)
            .allowed(self.settings.allowed.clone())
            .counted(self.open.clone())
            .dialed_by(self.settings.dialer.clone());
        #[cfg(feature = "tls")]
        let connector = match &self.tls {
            Some(tls) => connector.with_tls(tls.clone()),
            None => connector,
        };
        // Health checks come at their own times.
        let checks = self.pool(connector.clone(), &self.settings.for_checks(), &self.tasks);
        let connector = connector.backing_off(self.backoff, self.is_lone);
        let tasks = Arc::new(Tasks::part(&self.tasks));
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Arc::new(Node {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            pool: self.pool(connector.clone().counted(open.clone()), &self.settings, &tasks),
            tasks,
            open,
            checks,
            failures: Arc::clone(connector.failures()),
            connector,
            target,
            settings: Arc::clone(&self.settings),
            name: name.into(),
            weight: AtomicU32::new(endpoint.weight),
            priority: AtomicU16::new(0),
            zone: endpoint.zone.clone(),
            stats: Stats::new(Instant::now().into_std()),
            pending,
            healthy: AtomicBool::new(true),
            draining: AtomicBool::new(false),
            removed: AtomicBool::new(false),
        })
    }

    fn pool(&self, connector: Connector, settings: &Settings, tasks: &Arc<Tasks>) -> Pool {
        let tasks = Arc::clone(tasks);
        match self.protocol {
            UpstreamProtocol::Http1 => Pool::Http1(Http1Pool::new(connector, settings, tasks)),
            UpstreamProtocol::H2c => Pool::H2c(H2cPool::new(connector, settings, tasks)),
            #[cfg(feature = "tls")]
            UpstreamProtocol::Http2 => Pool::H2c(H2cPool::new(connector.http2(), settings, tasks)),
            #[cfg(feature = "tls")]
            UpstreamProtocol::Negotiated => {
                Pool::Negotiated(Box::new(Negotiated::new(connector, settings, &tasks)))
            }
        }
    }
}

impl Node {
    /// One exchange, until the head of its response.
    pub(super) async fn send(&self, request: Request<Upload>) -> Result<(Response<Content>, On), Failed> {
        self.send_by(&self.pool, request).await
    }

    /// The same, for a health check.
    pub(super) async fn check(&self, request: Request<Upload>) -> Result<(Response<Content>, On), Failed> {
        self.send_by(&self.checks, request).await
    }

    async fn send_by(
        &self,
        pool: &Pool,
        request: Request<Upload>,
    ) -> Result<(Response<Content>, On), Failed> {
        match pool {
            Pool::Http1(pool) => self.http1(pool, request).await,
            Pool::H2c(pool) => self.http2(pool, request).await,
            #[cfg(feature = "tls")]
            Pool::Negotiated(pools) => pools.send(self, request).await,
        }
    }

    pub(super) async fn http1(
        &self,
        pool: &Arc<Http1Pool>,
        mut request: Request<Upload>,
    ) -> Result<(Response<Content>, On), Failed> {
        self.note(&request);
        request::for_http1(&mut request, &self.target, self.settings.preserve_host);
        let (response, lease) = pool.send(request).await?;
        Ok((response, On::Http1(lease)))
    }

    pub(super) async fn http2(
        &self,
        pool: &Arc<H2cPool>,
        mut request: Request<Upload>,
    ) -> Result<(Response<Content>, On), Failed> {
        self.note(&request);
        request::for_http2(&mut request, &self.target, self.settings.preserve_host)?;
        let (response, slot) = pool.send(request).await?;
        Ok((response.map(Content::Incoming), On::Http2(slot)))
    }

    /// Whether it can be connected to; for a health check.
    pub(super) async fn can_connect(&self) -> bool {
        self.connector.connect().await.is_ok()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Says that the request goes here, if anybody asks.
    pub(super) fn note<B>(&self, request: &Request<B>) {
        if let Some(record) = request.extensions().get::<Record>() {
            record.note_upstream(&self.name);
        }
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Acquire)
    }

    /// What a health check found out; whether that is news.
    pub(super) fn set_healthy(&self, healthy: bool) -> bool {
        self.healthy.swap(healthy, Ordering::AcqRel) != healthy
    }

    /// What a name says of it now.
    pub(super) fn set_place(&self, found: &Found) {
        self.priority.store(found.priority, Ordering::Relaxed);
        if let Some(weight) = found.weight {
            self.weight.store(weight, Ordering::Relaxed);
        }
    }

    pub(super) fn priority(&self) -> u16 {
        self.priority.load(Ordering::Relaxed)
    }

    pub(super) fn is_backing_off(&self) -> bool {
        self.failures.is_backing_off()
    }

    /// Whether it is not one of its upstream's any more.
    pub(super) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    pub(super) fn begin(&self) {
        self.pending.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn end(&self) {
        self.pending.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether an operator has taken it out of use.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Takes no new requests; those that wait for a connection go elsewhere. Connections close when their exchanges are over. Health
    /// checks go on.
    pub(super) fn drain(&self) {
        if !self.draining.swap(true, Ordering::AcqRel) {
            self.pool.close();
        }
    }

    /// Cuts what is left of a drain, unless another one has taken its place.
    pub(super) fn cut(&self) {
        if self.is_draining() {
            self.tasks.abort();
        }
    }

    /// The drain is over, and another node has its place. What it has open goes on.
    pub(super) fn resumed(&self) {
        self.close();
        self.draining.store(false, Ordering::Release);
    }

    pub(super) fn connections(&self) -> usize {
        self.open.get()
    }

    /// Takes nothing new. Its connections close when they are not used any more.
    pub(super) fn close(&self) {
        self.removed.store(true, Ordering::Release);
        self.pool.close();
        self.checks.close();
    }
}

impl Pool {
    /// Whether a request would find a place at once, as far as is known.
    pub(super) fn has_room(&self) -> bool {
        match self {
            Self::Http1(pool) => pool.has_room(),
            Self::H2c(pool) => pool.has_room(),
            #[cfg(feature = "tls")]
            Self::Negotiated(pools) => pools.has_room(),
        }
    }

    /// Makes up to so many connections before they are needed.
    pub(super) async fn prepare(&self, connections: usize) {
        match self {
            Self::Http1(pool) => pool.prepare(connections).await,
            Self::H2c(pool) => pool.prepare(connections).await,
            #[cfg(feature = "tls")]
            Self::Negotiated(pools) => pools.prepare(connections).await,
        }
    }

    fn close(&self) {
        match self {
            Self::Http1(pool) => pool.close(),
            Self::H2c(pool) => pool.close(),
            #[cfg(feature = "tls")]
            Self::Negotiated(pools) => pools.close(),
        }
    }
}

impl Deref for Member {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.0
    }
}

impl Endpoint for Member {
    fn name(&self) -> &str {
        &self.name
    }

    fn weight(&self) -> u32 {
        self.weight.load(Ordering::Relaxed)
    }

    fn pending(&self) -> usize {
        self.pending.load(Ordering::Acquire)
    }

    fn zone(&self) -> Option<&str> {
        self.zone.as_deref()
    }

    fn stats(&self) -> &Stats {
        &self.stats
    }
}
