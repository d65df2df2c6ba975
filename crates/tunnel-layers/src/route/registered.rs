//! What agents registered: services of gRPC, for what no rule matches, and hosts, for rules that ask for them.

use std::{fmt, sync::Arc};

use http::Request;
use tunnel_core::{
    GroupName, Routed, Target,
    admit::Canonical,
    agents::{Hosts, Services},
};

use super::{compiled::MAX_ID_BYTES, grpc};

/// Before the service's name in the id of the rule that it stands for.
const PREFIX: &str = "service:";

/// Who knows them, if anybody does. Erased, so that the layer's type does not depend on where agents come from.
#[derive(Clone, Default)]
pub(super) struct Registered {
    services: Option<Arc<Find>>,
    hosts: Option<Arc<HasHost>>,
}

type Find = dyn Fn(&str) -> Option<GroupName> + Send + Sync;

/// Whether an agent of a group has registered a host.
pub(super) type HasHost = dyn Fn(&GroupName, &str) -> bool + Send + Sync;

impl Registered {
    pub(super) const fn none() -> Self {
        Self {
            services: None,
            hosts: None,
        }
    }

    pub(super) fn with_services(self, services: impl Services) -> Self {
        let services: Arc<Find> = Arc::new(move |service| services.group_of(service));
        Self {
            services: Some(services),
            ..self
        }
    }

    pub(super) fn with_hosts(self, hosts: impl Hosts) -> Self {
        let hosts: Arc<HasHost> = Arc::new(move |group, host| hosts.has_host(group, host));
        Self {
            hosts: Some(hosts),
            ..self
        }
    }

    /// Who knows the hosts of agents.
    pub(super) fn hosts(&self) -> Option<&HasHost> {
        self.hosts.as_deref()
    }

    /// Where an admitted request goes, if it calls such a service.
    pub(super) fn routed<B>(&self, request: &Request<B>) -> Option<Routed> {
        let find = self.services.as_deref()?;
        let canonical = request.extensions().get::<Canonical>()?;
        let service = grpc::service(request.headers(), canonical.path())?;
        let target = Target::Group(find(service)?);
        Some(Routed::new(id(service), target))
    }
}

/// The rule's id, which is a label: as many as there are registered services, and none longer than other ids.
fn id(service: &str) -> Arc<str> {
    let whole = format!("{PREFIX}{service}");
    let mut end = whole.len().min(MAX_ID_BYTES);
    while !whole.is_char_boundary(end) {
        end -= 1;
    }
    whole[..end].into()
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registered")
            .field("services", &self.services.is_some())
            .field("hosts", &self.hosts.is_some())
            .finish()
    }
}
