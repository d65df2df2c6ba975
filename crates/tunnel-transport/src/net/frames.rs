use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame};

/// Empty frames skipped in one poll, before the task gives others a turn.
const SKIPS_PER_POLL: usize = 32;

/// The next frame of `body` that is not an empty data frame: h2 takes only a hundred of those in a connection's life, and
/// they mean nothing.
pub(crate) fn poll_nonempty_frame<B>(
    mut body: Pin<&mut B>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, B::Error>>>
where
    B: Body<Data = Bytes> + ?Sized,
{
    for _ in 0..SKIPS_PER_POLL {
        let frame = ready!(body.as_mut().poll_frame(cx));
        match &frame {
            Some(Ok(data)) if data.data_ref().is_some_and(Bytes::is_empty) => {}
            _ => return Poll::Ready(frame),
        }
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::poll_fn};

    use super::*;

    /// Yields so many empty frames, then one of a byte, then the end.
    struct Empties(usize);

    impl Body for Empties {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let left = self.0;
            self.0 = left.saturating_sub(1);
            Poll::Ready(match left {
                0 => None,
                1 => Some(Ok(Frame::data(Bytes::from_static(b"x")))),
                _ => Some(Ok(Frame::data(Bytes::new()))),
            })
        }
    }

    #[tokio::test]
    async fn empty_data_is_skipped_however_much_there_is() {
        let mut body = std::pin::pin!(Empties(1_000));
        let frame = poll_fn(|cx| poll_nonempty_frame(body.as_mut(), cx)).await;
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "x");
        assert!(
            poll_fn(|cx| poll_nonempty_frame(body.as_mut(), cx))
                .await
                .is_none()
        );
    }
}
