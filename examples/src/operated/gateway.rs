use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tunnel_transport::{
    Gateway, Upstream,
    admin::{Admin, AdminBuilder, RuleInfo},
    metrics::Reporter,
    upstream::NamedUpstreams,
};

use super::{Port, Program, measured, replace_access};
use crate::{
    config::{GatewayConfig, NamedTokens},
    telemetry::Telemetry,
};

/// The admin interface of a gateway, if its file asks for one. What the file says is told by the newest one.
#[derive(Debug)]
pub struct OperatedGateway {
    gateway: Gateway,
    facts: Facts,
    admin: Option<Admin>,
    port: Option<Port>,
}

/// What the file says. Clones are the same.
#[derive(Clone)]
struct Facts(Arc<Mutex<Arc<Said>>>);

struct Said {
    rules: Vec<RuleInfo>,
    upstreams: NamedUpstreams,
    any_service: bool,
    tokens: NamedTokens,
}

impl Said {
    fn of(config: &GatewayConfig) -> Arc<Self> {
        Arc::new(Self {
            rules: config.rules(),
            upstreams: config.upstreams.clone(),
            any_service: config.route_services,
            tokens: config.tokens.clone(),
        })
    }
}

impl Facts {
    fn get(&self) -> Arc<Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, said: Arc<Said>) -> Arc<Said> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), said)
    }

    fn tell(&self, builder: AdminBuilder) -> AdminBuilder {
        let of = |facts: &Self| facts.clone();
        let (rules, upstreams, any, names, revoke) = (of(self), of(self), of(self), of(self), of(self));
        builder
            .rules(move || rules.get().rules.clone())
            .upstreams(move || named(&upstreams.get().upstreams))
            .any_service(move || any.get().any_service)
            .token_names(move || names.get().tokens.names())
            .revoke(move |name| revoke.get().tokens.revoke(name))
    }
}

fn named(upstreams: &NamedUpstreams) -> Vec<(String, Upstream)> {
    let named = upstreams.iter();
    named
        .map(|(name, upstream)| (name.to_owned(), upstream.clone()))
        .collect()
}

impl OperatedGateway {
    /// Opens the port.
    ///
    /// # Errors
    ///
    /// It is taken, or not ours.
    pub fn open(config: &GatewayConfig, program: Program, telemetry: &Telemetry) -> io::Result<Self> {
        let facts = Facts(Arc::new(Mutex::new(Said::of(config))));
        let gateway = config.gateway.clone();
        let port = match &config.admin {
            Some(port) => {
                let of_reporter = facts.clone();
                let reporter = Reporter::gateway(gateway.clone());
                let reporter = reporter.upstreams(move || named(&of_reporter.get().upstreams));
                let builder = measured(Admin::gateway(&gateway), telemetry, reporter);
                Some(Port::open(port, facts.tell(builder), program)?)
            }
            None => None,
        };
        Ok(Self {
            gateway,
            facts,
            admin: port.as_ref().map(|port| port.admin.clone()),
            port,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.port.as_ref().map(|port| port.address)
    }

    /// What serves the port; it never ends.
    pub fn serve(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let port = self.port.take();
        async move {
            match port {
                Some(port) => port.serve().await,
                None => std::future::pending().await,
            }
        }
    }

    /// The file says something else now: names that were revoked, and stand for other tokens, are let in again.
    pub fn replace(&self, config: &GatewayConfig) {
        let said = Said::of(config);
        let old = self.facts.set(said.clone());
        for name in self.gateway.revoked() {
            if !said.tokens.is_same(&name, &old.tokens) {
                self.gateway.restore(&name);
            }
        }
        if let Some(admin) = &self.admin {
            replace_access(admin, config.admin.as_ref());
        }
    }
}

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts").finish_non_exhaustive()
    }
}
