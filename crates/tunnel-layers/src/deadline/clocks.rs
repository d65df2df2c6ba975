//! What may end an exchange early.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tunnel_core::TunnelError;

use super::{head_over, idle::Idle, over, response_idle, time::Plan, upload::Upload, upload_idle};

/// The times of an exchange, first for its call and then for the body of its response.
///
/// The time of the whole and that until the head have one timer, which goes off at the earlier of the two ends and may then be
/// set anew: an exchange that is over in time registers one timer, once.
#[pin_project]
pub(super) struct Clocks {
    plan: Plan,
    #[pin]
    timer: Option<Sleep>,
    idle: Idle,
    upload: Option<Upload>,
}

impl Clocks {
    /// None if the exchange has all the time it wants.
    pub(super) fn new(plan: Plan, upload: Option<Upload>) -> Option<Pin<Box<Self>>> {
        if !plan.is_bound() && upload.is_none() {
            return None;
        }
        Some(Box::pin(Self {
            timer: plan.end.into_iter().chain(plan.head_end).min().map(sleep_until),
            idle: Idle::new(plan.response_idle),
            plan,
            upload,
        }))
    }

    /// When the whole has to be over.
    pub(super) const fn end(&self) -> Option<Instant> {
        self.plan.end
    }

    /// Whether the request's body has stopped for too long.
    pub(super) fn has_stopped(&self) -> bool {
        self.upload.as_ref().is_some_and(Upload::has_stopped)
    }

    /// Ready when the call has taken too long.
    pub(super) fn poll_call(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TunnelError> {
        let this = self.project();
        if let Some(upload) = this.upload
            && upload.poll_stopped(cx).is_ready()
        {
            return Poll::Ready(upload_idle());
        }
        let Some(mut timer) = this.timer.as_pin_mut() else {
            return Poll::Pending;
        };
        loop {
            ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            if this.plan.end.is_some_and(|end| end <= now) {
                return Poll::Ready(over());
            }
            // The time until the head begins again with each piece of the request's body.
            let moved = this.upload.as_ref().map(Upload::moved).zip(this.plan.head);
            let head = moved.and_then(|(moved, time)| moved.checked_add(time));
            match head {
                Some(head) if head > now => {
                    timer
                        .as_mut()
                        .reset(this.plan.end.map_or(head, |end| end.min(head)));
                }
                _ => return Poll::Ready(head_over()),
            }
        }
    }

    /// The same clocks for the body of the response; none if nothing ends it early.
    pub(super) fn of_body(mut self: Pin<Box<Self>>) -> Option<Pin<Box<Self>>> {
        let mut this = self.as_mut().project();
        // How the upload goes matters further only if it may stop.
        if this.plan.request_idle.is_none() {
            *this.upload = None;
        }
        if this.plan.end.is_none() {
            this.timer.set(None);
        }
        let is_on = this.plan.end.is_some() || this.plan.response_idle.is_some() || this.upload.is_some();
        is_on.then_some(self)
    }

    /// Ready when the body has to end, whatever it still has.
    pub(super) fn poll_body(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TunnelError> {
        let this = self.project();
        if let (Some(mut timer), Some(end)) = (this.timer.as_pin_mut(), this.plan.end) {
            while timer.as_mut().poll(cx).is_ready() {
                if timer.deadline() >= end {
                    return Poll::Ready(over());
                }
                // It was set for the head.
                timer.as_mut().reset(end);
            }
        }
        match this.upload {
            Some(upload) => upload.poll_stopped(cx).map(|()| upload_idle()),
            None => Poll::Pending,
        }
    }

    /// Somebody waits for the next piece of the body; ready when that takes too long.
    pub(super) fn poll_idle(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TunnelError> {
        self.project().idle.poll_over(cx).map(|()| response_idle())
    }

    /// A piece of the body has come.
    pub(super) fn moved(self: Pin<&mut Self>) {
        self.project().idle.moved();
    }
}
