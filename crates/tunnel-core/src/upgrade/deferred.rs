//! A body that comes later.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body::{Body, Frame};

use crate::{
    error::TunnelError,
    sync::{lock, register, wake},
};

/// A body that is pending until its [slot](DeferredSlot) is filled with another body, and then is that one. It fails, as
/// canceled by the caller, once the slot is dropped without having been filled.
pub struct DeferredBody<B>(Kind<B>);

enum Kind<B> {
    Waiting(Arc<Mutex<Shared<B>>>),
    There(B),
    Empty,
    Failed,
}

/// Where the body that a [`DeferredBody`] waits for goes.
#[must_use = "a body whose slot is dropped fails"]
pub struct DeferredSlot<B>(Arc<Mutex<Shared<B>>>);

struct Shared<B> {
    content: Content<B>,
    waker: Option<Waker>,
}

enum Content<B> {
    Nothing,
    Body(B),
    Empty,
    /// The slot is gone.
    Never,
}

impl<B> DeferredBody<B> {
    /// A body that is not there yet, and the slot for it.
    pub fn new() -> (DeferredSlot<B>, Self) {
        let shared = Arc::new(Mutex::new(Shared {
            content: Content::Nothing,
            waker: None,
        }));
        (DeferredSlot(Arc::clone(&shared)), Self(Kind::Waiting(shared)))
    }

    /// Takes what is in the slot, if anything is.
    fn settle(&mut self, cx: &mut Context<'_>) {
        let Kind::Waiting(shared) = &self.0 else {
            return;
        };
        let mut shared = lock(shared);
        let settled = match std::mem::replace(&mut shared.content, Content::Nothing) {
            Content::Nothing => {
                register(&mut shared.waker, cx.waker());
                return;
            }
            Content::Body(body) => Kind::There(body),
            Content::Empty => Kind::Empty,
            Content::Never => Kind::Failed,
        };
        drop(shared);
        self.0 = settled;
    }
}

impl<B> DeferredSlot<B> {
    /// Gives the body. It is dropped here if nobody waits for it any more.
    pub fn fill(self, body: B) {
        self.set(Content::Body(body));
    }

    /// Says that there is none: the body ends. After a refused upgrade, nothing came from the client and nothing failed.
    pub fn empty(self) {
        self.set(Content::Empty);
    }

    fn set(&self, content: Content<B>) {
        let mut shared = lock(&self.0);
        if matches!(shared.content, Content::Nothing) {
            shared.content = content;
        }
        let waker = shared.waker.take();
        drop(shared);
        wake(waker);
    }
}

impl<B> Drop for DeferredSlot<B> {
    fn drop(&mut self) {
        self.set(Content::Never);
    }
}

impl<B> Body for DeferredBody<B>
where
    B: Body<Data = Bytes, Error = TunnelError> + Unpin,
{
    type Data = Bytes;
    type Error = TunnelError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TunnelError>>> {
        self.settle(cx);
        match &mut self.0 {
            Kind::Waiting(_) => Poll::Pending,
            Kind::There(body) => Pin::new(body).poll_frame(cx),
            Kind::Empty => Poll::Ready(None),
            Kind::Failed => Poll::Ready(Some(Err(TunnelError::canceled()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::There(body) => body.is_end_stream(),
            Kind::Empty => true,
            Kind::Waiting(_) | Kind::Failed => false,
        }
    }
}

impl<B> Unpin for DeferredBody<B> {}

impl<B> fmt::Debug for DeferredBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Waiting(_) => "DeferredBody::Waiting(..)",
            Kind::There(_) => "DeferredBody::There(..)",
            Kind::Empty => "DeferredBody::Empty",
            Kind::Failed => "DeferredBody::Failed",
        })
    }
}

impl<B> fmt::Debug for DeferredSlot<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeferredSlot(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        session::tests::runtime::{Flag, poll_once},
        upgrade::fixture::{Source, SourceBody},
    };

    #[test]
    fn it_becomes_what_is_given() {
        let (slot, mut body) = DeferredBody::<SourceBody>::new();
        let flag = Flag::new();
        flag.take();
        let waker = Waker::from(flag.clone());
        assert!(
            Pin::new(&mut body)
                .poll_frame(&mut Context::from_waker(&waker))
                .is_pending()
        );
        let (source, inner) = Source::new();
        source.give("hello");
        slot.fill(inner);
        assert!(flag.take(), "nobody was woken");
        let frame = poll_once(|cx| Pin::new(&mut body).poll_frame(cx));
        assert!(matches!(frame, Poll::Ready(Some(Ok(frame))) if frame.data_ref().is_some()));
        source.end();
        assert!(matches!(
            poll_once(|cx| Pin::new(&mut body).poll_frame(cx)),
            Poll::Ready(None)
        ));
    }

    #[test]
    fn without_a_body_it_fails_or_ends() {
        let (slot, mut body) = DeferredBody::<SourceBody>::new();
        drop(slot);
        for _ in 0..2 {
            let frame = poll_once(|cx| Pin::new(&mut body).poll_frame(cx));
            assert!(matches!(frame, Poll::Ready(Some(Err(_)))) && !body.is_end_stream());
        }
        let (slot, mut body) = DeferredBody::<SourceBody>::new();
        slot.empty();
        assert!(matches!(
            poll_once(|cx| Pin::new(&mut body).poll_frame(cx)),
            Poll::Ready(None)
        ));
        assert!(body.is_end_stream());
    }

    #[test]
    fn a_body_that_nobody_waits_for_is_dropped() {
        let (slot, body) = DeferredBody::<SourceBody>::new();
        drop(body);
        let (source, inner) = Source::new();
        slot.fill(inner);
        assert!(source.is_dropped());
    }
}
