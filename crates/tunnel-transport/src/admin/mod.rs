//! The admin interface of a gateway or an agent: whether it is ready, what there is and what flows as JSON, and actions.
//!
//! [`Admin::router`] is an axum `Router` for an app of your own; [`Admin::serve`] gives it a port. [`view`] has what is answered.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tunnel_transport::{Gateway, admin::{Admin, AdminAccess}, entry::Entry, net};
//!
//! let gateway = Gateway::builder().open_to_any_agent().build();
//! let access = AdminAccess::local().token(&std::env::var("ADMIN_TOKEN")?)?;
//! let admin = Admin::gateway(&gateway).access(access).build();
//! let port = net::bind(([127, 0, 0, 1], 9090).into(), net::DEFAULT_BACKLOG)?;
//! admin.serve(Entry::new(), port)?.await;
//! # Ok(())
//! # }
//! ```
//!
//! | route | answers |
//! | --- | --- |
//! | `GET /` | the live page, which shows what the others say |
//! | `GET /livez` | 200 while the process answers |
//! | `GET /readyz` | 200 while a request could be carried, else 503 ([`view::Ready`]) |
//! | `GET /metrics` | the text of Prometheus, if the program has it |
//! | `GET /api/overview` | [`view::Overview`] |
//! | `GET /api/agents`, `/api/agents/{id}` | [`view::Page`] of [`view::Agent`] (a gateway's); of [`view::AgentRow`] with `?brief=true` |
//! | `GET /api/gateways` | a list of [`view::Gateway`] (an agent's) |
//! | `GET /api/exchanges` | [`view::Page`] of [`view::Exchange`], the oldest first |
//! | `GET /api/groups`, `/api/rules` | lists of [`view::Group`] and [`view::Rule`] (a gateway's) |
//! | `GET /api/upstreams`, `/api/config` | a list of [`view::Upstream`]; [`view::Config`] |
//! | `GET /api/events` | server-sent events: a [`view::Snapshot`] each second, by the name `snapshot` |
//! | `POST /api/agents/{id}/drain`, `resume`, `disconnect` | [`view::Done`]; a drain takes [`view::Drain`] |
//! | `POST /api/upstreams/{name}/drain`, `resume` | [`view::Done`]; `?endpoint=` for one of its servers |
//! | `POST /api/tokens/{name}/revoke` | [`view::Done`] |
//! | `POST /api/reload` | [`view::Reload`]; 422 if the file was refused |
//! | `GET`, `PUT /api/log` | [`view::Log`] |
//! | `POST /api/login`, `/api/logout` | a cookie for browsers ([`view::Login`]) |
//!
//! What is wrong is answered by [`view::Problem`]. Everything that changes something is logged, with who did it.
//!
//! # Who may ask
//!
//! [`AdminAccess`] says it: who has the token, or a certificate, or without either only programs on the same machine. `Host` has to be
//! an address, `localhost` or a name that was given, so that no page reaches the interface by a name of its own that leads here; and a
//! request that changes something is refused if it comes from a page of another origin, or could be a form.

mod access;
mod actions;
mod agent;
mod answer;
mod drains;
mod events;
mod gateway;
mod guard;
mod hooks;
mod logins;
mod overview;
mod page;
mod query;
mod reads;
mod router;
mod sessions;
mod snapshot;
mod source;
#[cfg(test)]
mod tests;
mod traffic;
mod upstreams;
pub mod view;

use std::{fmt, future::Future, io, net::SocketAddr, sync::Arc};

use arc_swap::ArcSwap;
use axum::Router;
use tokio::{net::TcpListener, sync::Semaphore, time::Instant};

pub use self::{
    access::{AdminAccess, InvalidAdminToken, MIN_ADMIN_TOKEN_BYTES},
    hooks::{RuleInfo, RuleTarget},
};
use self::{drains::Drains, events::Latest, hooks::Hooks, logins::Logins, source::Source};
use crate::{
    Agent, Gateway, Upstream,
    entry::{Entry, Serve},
};

/// The admin interface of one gateway or agent. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Admin(Arc<Inner>);

struct Inner {
    source: Source,
    hooks: Hooks,
    access: ArcSwap<AdminAccess>,
    logins: Logins,
    drains: Drains,
    latest: Latest,
    /// Places for streams of events.
    streams: Arc<Semaphore>,
    since: Instant,
    version: String,
}

/// Streams of events that may be open at one time.
const MAX_STREAMS: usize = 64;

/// An admin interface that is being described.
#[must_use = "a builder does nothing before `build`"]
pub struct AdminBuilder {
    source: Source,
    hooks: Hooks,
    access: AdminAccess,
    version: String,
}

/// A port of others than this machine, without credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the admin interface would listen on {0}, which others can reach, without credentials: set a token (`token_env` or \
     `token_file`) or ask for certificates, or listen on 127.0.0.1"
)]
pub struct NeedsCredentials(pub SocketAddr);

impl Admin {
    /// That of a gateway.
    pub fn gateway(gateway: &Gateway) -> AdminBuilder {
        AdminBuilder::new(Source::Gateway(gateway.clone()))
    }

    /// That of an agent.
    pub fn agent(agent: &Agent) -> AdminBuilder {
        AdminBuilder::new(Source::Agent(agent.clone()))
    }

    /// All routes, for an app of your own, which has to leave in the requests' extensions where they come from: a
    /// [`PeerInfo`](tunnel_core::PeerInfo), as [`Entry`] does, or axum's `ConnectInfo<SocketAddr>`. It stands at the root.
    pub fn router(&self) -> Router {
        router::router(self)
    }

    /// Serves it on a port of its own. Await the result to run it.
    ///
    /// # Errors
    ///
    /// Others than this machine can reach the port, and would need no credentials. The address of the port cannot be read.
    pub fn serve(&self, entry: Entry, port: TcpListener) -> io::Result<Serve<TcpListener, Router>> {
        let address = port.local_addr()?;
        self.check(address)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Ok(entry.serve(port, self.router()))
    }

    /// Whether it may listen there.
    ///
    /// # Errors
    ///
    /// Others than this machine can reach the address, and would need no credentials.
    pub fn check(&self, address: SocketAddr) -> Result<(), NeedsCredentials> {
        check_address(&self.0.access.load(), address)
    }

    /// Says anew who may ask. Browsers stay logged in if the token is the same; streams of events end, and are asked for again.
    ///
    /// # Errors
    ///
    /// There were credentials, and there would be none any more. Nothing changes then.
    pub fn replace_access(&self, access: AdminAccess) -> Result<(), InvalidAccess> {
        let old = self.0.access.load_full();
        if old.has_credentials() && !access.has_credentials() {
            return Err(InvalidAccess);
        }
        if !access.has_token_of(&old) {
            self.0.logins.clear();
        }
        self.0.access.store(Arc::new(access));
        Ok(())
    }

    /// Whether a request could be carried now, and why not.
    #[must_use]
    pub fn readiness(&self) -> view::Ready {
        self.0.source.readiness(&self.0.hooks)
    }
}

/// Access that may not be replaced by another one without credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the admin interface had credentials, and cannot lose them while it listens")]
pub struct InvalidAccess;

/// Whether an interface with this access may listen there.
///
/// # Errors
///
/// Others than this machine can reach the address, and would need no credentials.
pub fn check_address(access: &AdminAccess, address: SocketAddr) -> Result<(), NeedsCredentials> {
    match access.has_credentials() || address.ip().to_canonical().is_loopback() {
        true => Ok(()),
        false => Err(NeedsCredentials(address)),
    }
}

impl AdminBuilder {
    fn new(source: Source) -> Self {
        Self {
            source,
            hooks: Hooks::default(),
            access: AdminAccess::local(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Who may ask; by default programs on this machine.
    pub fn access(mut self, access: AdminAccess) -> Self {
        self.access = access;
        self
    }

    /// The version of the program; by default that of this crate.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// What `/metrics` answers: the text of Prometheus (version 0.0.4).
    pub fn metrics(mut self, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.hooks.metrics = Some(Arc::new(render));
        self
    }

    /// What was counted of each rule and who served it, since the process began.
    pub fn traffic(mut self, traffic: impl Fn() -> Vec<view::Traffic> + Send + Sync + 'static) -> Self {
        self.hooks.traffic = Some(Arc::new(traffic));
        self
    }

    /// The rules: a gateway is ready while one of them could be followed. Without them it is while any agent could take a request.
    pub fn rules(mut self, rules: impl Fn() -> Vec<RuleInfo> + Send + Sync + 'static) -> Self {
        self.hooks.rules = Some(Arc::new(rules));
        self
    }

    /// Whether agents serve what no rule matches, by the services that they register: then any agent makes a gateway ready.
    pub fn any_service(mut self, is_so: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.hooks.any_service = Some(Arc::new(is_so));
        self
    }

    /// The upstreams that this process reaches itself, by their names.
    pub fn upstreams(
        mut self,
        upstreams: impl Fn() -> Vec<(String, Upstream)> + Send + Sync + 'static,
    ) -> Self {
        self.hooks.upstreams = Some(Arc::new(upstreams));
        self
    }

    /// What is known of the file; the rest is filled in.
    pub fn config(mut self, config: impl Fn() -> view::Config + Send + Sync + 'static) -> Self {
        self.hooks.config = Some(Arc::new(config));
        self
    }

    /// How the file is looked at again.
    pub fn reload<F, Fut>(mut self, reload: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = view::Reload> + Send + 'static,
    {
        self.hooks.reload = Some(Arc::new(move || Box::pin(reload())));
        self
    }

    /// How the filter of what is logged is read and set; the error of setting says what is wrong in it.
    pub fn log(
        mut self,
        get: impl Fn() -> String + Send + Sync + 'static,
        set: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.hooks.log = Some(hooks::LogHook {
            get: Arc::new(get),
            set: Arc::new(set),
        });
        self
    }

    /// The names of tokens, of agents and of callers: with them a name that nobody has cannot be revoked by mistake.
    pub fn token_names(mut self, names: impl Fn() -> Vec<String> + Send + Sync + 'static) -> Self {
        self.hooks.token_names = Some(Arc::new(names));
        self
    }

    /// Takes back the tokens of callers with a name, and tells whether there are any. Those of agents are taken back by
    /// [`Gateway::revoke`] anyway.
    pub fn revoke(mut self, revoke: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.hooks.revoke = Some(Arc::new(revoke));
        self
    }

    /// The interface.
    #[must_use]
    pub fn build(self) -> Admin {
        Admin(Arc::new(Inner {
            source: self.source,
            hooks: self.hooks,
            access: ArcSwap::from_pointee(self.access),
            logins: Logins::default(),
            drains: Drains::default(),
            latest: Latest::default(),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            since: Instant::now(),
            version: self.version,
        }))
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("source", &self.0.source)
            .field("access", &self.0.access.load())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for AdminBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminBuilder")
            .field("source", &self.source)
            .field("hooks", &self.hooks)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}
