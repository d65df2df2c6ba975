//! What the layer, its services and all their clones share.

use std::{borrow::Cow, time::Duration};

use http::Extensions;
use tunnel_core::{Cause, Initiator, Limit, Routed, Sent, TunnelError};

use super::{places::Places, state::Bounds};
use crate::key::{Head, Key, KeyExtractor};

#[derive(Debug)]
pub(super) struct Limiter {
    pub(super) settings: Settings,
    pub(super) places: Places,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) name: Cow<'static, str>,
    pub(super) bounds: Bounds,
    pub(super) per_key: Option<u32>,
    pub(super) max_wait: Duration,
    pub(super) retry_after: Duration,
}

impl Limiter {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            places: Places::new(settings.bounds),
            settings,
        }
    }

    /// Whether [`key`](Self::key) has to be asked for a request with these extensions.
    pub(super) fn counts_keys(&self, extensions: &Extensions) -> bool {
        match self.said(extensions) {
            Some((limit, _)) => limit.bound().is_some(),
            None => self.settings.per_key.is_some(),
        }
    }

    /// The key by which the request is limited, beside the whole, and how many of that may run.
    pub(super) fn key(&self, head: Head<'_>, by: &impl KeyExtractor) -> Option<(Key, usize)> {
        let (places, rule) = match self.said(head.extensions) {
            Some((limit, rule)) => (limit.bound()?, Some(rule)),
            None => (self.settings.per_key?, None),
        };
        let key = by.key(&head)?;
        let key = rule.map_or(key, |rule| Key::of(&(rule, key)));
        Some((key, usize::try_from(places).unwrap_or(usize::MAX)))
    }

    /// What the request's rule says to this layer, and the rule's id.
    fn said<'a>(&self, extensions: &'a Extensions) -> Option<(Limit<u32>, &'a str)> {
        let routed: &Routed = extensions.get()?;
        let limit = routed.limits.as_ref()?.concurrency_of(&self.settings.name)?;
        Some((limit, &routed.rule))
    }

    /// The refusal of a request for which there is neither a place nor room in line.
    pub(super) fn full(&self) -> TunnelError {
        self.overloaded("too many requests at once")
    }

    /// The refusal of a request that has stood in line for too long.
    pub(super) fn late(&self) -> TunnelError {
        self.overloaded("too many requests at once: no place became free in time")
    }

    fn overloaded(&self, text: &'static str) -> TunnelError {
        TunnelError::new(Cause::Overloaded, Initiator::Tunnel, text)
            .with_sent(Sent::No)
            .with_retry_after(self.settings.retry_after)
    }
}
