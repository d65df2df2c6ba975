use std::{sync::Arc, time::Duration};

use http::HeaderValue;
use tower_layer::Layer;
use tunnel_core::{GroupName, Limit, Routed, Target};

use super::ToTarget;

/// Says where requests go; see the [module](super).
#[derive(Clone, Debug)]
pub struct TargetLayer {
    routed: Routed,
    host: HeaderValue,
}

impl TargetLayer {
    /// Every request goes to an agent of this group. Its name is the id for logs and metrics as well, unless
    /// [`rule`](Self::rule) names another.
    #[must_use]
    pub fn group(group: GroupName) -> Self {
        let rule: Arc<str> = group.as_str().into();
        Self {
            host: host_of(&group),
            routed: Routed::new(rule, Target::Group(group)),
        }
    }

    /// The id that stands in logs and metrics where that of a rule would.
    #[must_use]
    pub fn rule(mut self, id: impl Into<Arc<str>>) -> Self {
        self.routed.rule = id.into();
        self
    }

    /// The most time from the request's head to the end of the response's body.
    /// [`DeadlineLayer`](crate::deadline) sees to it; a gRPC caller can shorten it.
    #[must_use]
    pub fn timeout(mut self, whole: Duration) -> Self {
        self.routed.timeouts.whole = Some(Limit::To(whole));
        self
    }
}

impl<S> Layer<S> for TargetLayer {
    type Service = ToTarget<S>;

    fn layer(&self, inner: S) -> ToTarget<S> {
        ToTarget::new(inner, self.routed.clone(), self.host.clone())
    }
}

/// The group's name, if a host can have it.
fn host_of(group: &GroupName) -> HeaderValue {
    let name = group.as_str();
    let has_empty_label = name.split('.').any(str::is_empty);
    let host = HeaderValue::from_str(name).ok().filter(|_| !has_empty_label);
    host.unwrap_or(HeaderValue::from_static("localhost"))
}
