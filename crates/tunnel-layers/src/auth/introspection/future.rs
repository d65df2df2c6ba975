use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use super::Ask;
use crate::auth::lookup::{Lookup, Verdict};

/// The future of [`Introspection`](super::Introspection). Dropping it leaves a call that is under way alone.
pub struct IntrospectionFuture(Lookup<Ask>);

impl IntrospectionFuture {
    pub(super) const fn new(ask: Ask) -> Self {
        Self(Lookup::new(ask))
    }
}

impl Future for IntrospectionFuture {
    type Output = Verdict;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Verdict> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl fmt::Debug for IntrospectionFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectionFuture").finish_non_exhaustive()
    }
}
