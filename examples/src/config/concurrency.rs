//! How many exchanges may run at once.

use serde::Deserialize;
use serde_saphyr::Spanned;
use tunnel_layers::concurrency::ConcurrencyLayer;

use super::{
    error::Checker,
    key::{self, By, RawKey},
    units::{Count, Length, Time},
};

/// `concurrency:` of the file. What is left out has the layer's default.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConcurrency {
    max: Option<Count>,
    per_key: Option<RawPerKey>,
    queue: Option<Length>,
    queue_of_key: Option<Length>,
    max_wait: Option<Time>,
    retry_after: Option<Time>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPerKey {
    key: Spanned<RawKey>,
    max: Count,
}

impl RawConcurrency {
    pub(super) fn check(&self, checker: &mut Checker<'_>) -> Option<ConcurrencyLayer<By>> {
        let mut layer = ConcurrencyLayer::new();
        if let Some(max) = self.max {
            layer = layer.max(max.0 as usize);
        }
        if let Some(queue) = self.queue {
            layer = layer.queue(queue.0 as usize);
        }
        if let Some(queue) = self.queue_of_key {
            layer = layer.queue_of_key(queue.0 as usize);
        }
        if let Some(wait) = self.max_wait {
            layer = layer.max_wait(wait.0);
        }
        if let Some(after) = self.retry_after {
            layer = layer.retry_after(after.0);
        }
        match &self.per_key {
            Some(per_key) => {
                let key = key::check(&per_key.key, checker)?;
                Some(layer.per_key(key, per_key.max.0))
            }
            None => Some(layer.per_key(By::RulesWithPlaces, u32::MAX)),
        }
    }
}
