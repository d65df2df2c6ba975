use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use super::Ask;
use crate::auth::lookup::{Lookup, Verdict};

/// The future of [`Basic`](super::Basic). Dropping it leaves a check that is under way alone.
pub struct BasicFuture(Lookup<Ask>);

impl BasicFuture {
    pub(super) const fn new(ask: Ask) -> Self {
        Self(Lookup::new(ask))
    }
}

impl Future for BasicFuture {
    type Output = Verdict;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Verdict> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl fmt::Debug for BasicFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicFuture").finish_non_exhaustive()
    }
}
