//! Services of gRPC that agents registered, for what no rule matches.

use std::{fmt, sync::Arc};

use http::Request;
use tunnel_core::{GroupName, Routed, Target, admit::Canonical, agents::Services};

use super::{compiled::MAX_ID_BYTES, grpc};

/// Before the service's name in the id of the rule that it stands for.
const PREFIX: &str = "service:";

/// Who knows them, if anybody does. Erased, so that the layer's type does not depend on where agents come from.
#[derive(Clone, Default)]
pub(super) struct Registered(Option<Arc<Find>>);

type Find = dyn Fn(&str) -> Option<GroupName> + Send + Sync;

impl Registered {
    pub(super) const fn none() -> Self {
        Self(None)
    }

    pub(super) fn new(services: impl Services) -> Self {
        Self(Some(Arc::new(move |service| services.group_of(service))))
    }

    /// Where an admitted request goes, if it calls such a service.
    pub(super) fn routed<B>(&self, request: &Request<B>) -> Option<Routed> {
        let find = self.0.as_deref()?;
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
        f.write_str(if self.0.is_some() {
            "Registered(..)"
        } else {
            "None"
        })
    }
}
