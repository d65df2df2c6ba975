//! Bodies on both ends of an exchange.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use crate::{
    error::{Cause, Initiator, TunnelError},
    exchange::RecvHalf,
    sync::lock,
    upgrade::StreamClaim,
};

/// A body that comes out of the tunnel: a request's at the side that answers, a response's at the side that asked.
///
/// Reading it returns credit to the other end; not reading it stops the sender when the credit is spent. Dropping a
/// response's body early resets the exchange, and the far end drops its work; dropping a request's body early discards what
/// still arrives. A body that broke off, or is not as long as its `content-length`, ends with an error, never like a
/// complete one.
#[derive(Debug)]
pub struct TunnelBody {
    recv: Option<RecvHalf>,
    /// What `content-length` promised and has not come yet.
    promised: Option<u64>,
    /// Where `recv` is until somebody wants it, if the body is lent.
    lent: Option<Lent>,
}

/// The other claim to a [lent](TunnelBody::lent) body. Dropping it leaves the body to whoever has it.
#[derive(Debug)]
pub struct BodyLoan(Arc<Mutex<Option<RecvHalf>>>);

/// What a lent body has until it is claimed.
#[derive(Debug)]
struct Lent {
    slot: Arc<Mutex<Option<RecvHalf>>>,
    claimed: Arc<AtomicBool>,
}

impl Lent {
    fn is_claimed(&self) -> bool {
        self.claimed.load(Ordering::Acquire)
    }
}

impl BodyLoan {
    /// The body, unless it was polled: then it belongs to whoever did so. The lent body, if it is still there, fails from now on.
    #[must_use]
    pub fn reclaim(self) -> Option<TunnelBody> {
        let recv = lock(&self.0).take()?;
        Some(TunnelBody {
            recv: Some(recv),
            promised: None,
            lent: None,
        })
    }
}

impl TunnelBody {
    /// The body that `recv` receives, under a head with these headers. A `content-length` promises nothing about the bytes that
    /// follow an upgrade.
    #[must_use]
    pub fn new(recv: RecvHalf, headers: &HeaderMap) -> Self {
        let promised = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|len| len.to_str().ok()?.parse().ok())
            .filter(|_| !recv.is_upgraded());
        Self {
            recv: Some(recv),
            promised,
            lent: None,
        }
    }

    /// The client's bytes of an upgrade, which a service reads by itself, or through a stream that somebody else feeds with them.
    ///
    /// The body is empty until the [`StreamClaim`] is made, so that whoever knows nothing of upgrades finds what a GET has. From then
    /// on it belongs to whoever polls it, or else to whoever [reclaims](BodyLoan::reclaim) it. Until either happens, dropping one
    /// of the two does nothing.
    #[must_use]
    pub fn lent(recv: RecvHalf) -> (Self, StreamClaim, BodyLoan) {
        let slot = Arc::new(Mutex::new(Some(recv)));
        let claimed = Arc::new(AtomicBool::new(false));
        let body = Self {
            recv: None,
            promised: None,
            lent: Some(Lent {
                slot: Arc::clone(&slot),
                claimed: Arc::clone(&claimed),
            }),
        };
        (body, StreamClaim::new(claimed), BodyLoan(slot))
    }

    /// Takes hold of a lent body. False if it was not claimed.
    ///
    /// # Errors
    ///
    /// Somebody else has it.
    fn take_lent(&mut self) -> Result<bool, TunnelError> {
        let Some(lent) = &self.lent else {
            return Ok(true);
        };
        if !lent.is_claimed() {
            return Ok(false);
        }
        let recv = lock(&lent.slot).take();
        (self.lent, self.recv) = (None, recv);
        match &self.recv {
            Some(_) => Ok(true),
            None => Err(TunnelError::canceled()),
        }
    }

    /// The same body, without a promise of its length: the answer to HEAD has a `content-length` and no body.
    #[must_use]
    pub fn without_length(mut self) -> Self {
        self.promised = None;
        self
    }

    /// A body without a byte.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            recv: None,
            promised: None,
            lent: None,
        }
    }
}

impl Default for TunnelBody {
    fn default() -> Self {
        Self::empty()
    }
}

impl Body for TunnelBody {
    type Data = Bytes;
    type Error = TunnelError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TunnelError>>> {
        match self.take_lent() {
            Ok(true) => {}
            Ok(false) => return Poll::Ready(None),
            Err(error) => return Poll::Ready(Some(Err(error))),
        }
        let Some(recv) = &mut self.recv else {
            return Poll::Ready(None);
        };
        let frame = ready!(recv.poll_frame(cx));
        let Some(promised) = &mut self.promised else {
            return Poll::Ready(frame);
        };
        let data = match &frame {
            Some(Err(_)) => return Poll::Ready(frame),
            Some(Ok(frame)) => frame.data_ref(),
            None => None,
        };
        let left = match data {
            Some(data) => promised.checked_sub(data.len() as u64),
            None => (*promised == 0).then_some(0),
        };
        let Some(left) = left else {
            // The half that is dropped tells the other end, if that has not ended yet.
            (self.recv, self.promised) = (None, None);
            return Poll::Ready(Some(Err(wrong_length())));
        };
        *promised = left;
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.lent {
            Some(lent) => !lent.is_claimed(),
            None => self.recv.as_ref().is_none_or(RecvHalf::is_end_stream),
        }
    }

    fn size_hint(&self) -> SizeHint {
        if let Some(lent) = &self.lent {
            let is_claimed = lent.is_claimed();
            return if is_claimed {
                SizeHint::default()
            } else {
                SizeHint::with_exact(0)
            };
        }
        match (self.promised, &self.recv) {
            (_, None) => SizeHint::with_exact(0),
            (Some(promised), Some(_)) => SizeHint::with_exact(promised),
            (None, Some(recv)) if recv.is_end_stream() => SizeHint::with_exact(0),
            (None, Some(_)) => SizeHint::default(),
        }
    }
}

/// RFC 9112, section 6.3: a body that is shorter or longer than its `content-length` is not the whole.
fn wrong_length() -> TunnelError {
    let text = "the body is not as long as its content-length says";
    TunnelError::new(Cause::Protocol, Initiator::Peer, text)
}

/// A body cut to pieces of at most so many bytes, without a copy. Trailers and the size hint stay; empty pieces go.
#[derive(Debug)]
#[pin_project]
pub struct Chunked<B> {
    #[pin]
    inner: B,
    limit: usize,
    rest: Bytes,
}

impl<B> Chunked<B> {
    /// Cuts `inner` to pieces of at most `limit` bytes; a `limit` of 0 means 1.
    pub fn new(inner: B, limit: usize) -> Self {
        Self {
            inner,
            limit: limit.max(1),
            rest: Bytes::new(),
        }
    }
}

impl<B: Body<Data = Bytes>> Body for Chunked<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        while this.rest.is_empty() {
            match this.inner.as_mut().poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => *this.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => return other,
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(*this.limit));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.inner.size_hint();
        let rest = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(hint.lower().saturating_add(rest));
        hint
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::session::tests::{
        pair::{Pair, data, get, response},
        runtime::poll_once,
    };

    /// The body of a response, of which nothing has come but the head.
    fn body(pair: &mut Pair, headers: &HeaderMap) -> (crate::RequestId, TunnelBody) {
        let (_, send, recv) = pair.gateway.open(get()).unwrap();
        let id = send.id();
        send.finish();
        pair.forge_up(id, response()).unwrap();
        (id, TunnelBody::new(recv, headers))
    }

    fn with_length(len: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static(len));
        headers
    }

    #[test]
    fn a_promised_length_counts_down() {
        let mut pair = Pair::new();
        let (id, mut body) = body(&mut pair, &with_length("10"));
        assert_eq!(body.size_hint().exact(), Some(10));
        pair.forge_up(id, data(4, false)).unwrap();
        assert!(poll_once(|cx| Pin::new(&mut body).poll_frame(cx)).is_ready());
        assert_eq!(body.size_hint().exact(), Some(6));
        assert!(!body.is_end_stream());
        pair.forge_up(id, data(6, true)).unwrap();
        assert!(!body.is_end_stream());
        assert!(poll_once(|cx| Pin::new(&mut body).poll_frame(cx)).is_ready());
        assert!(body.is_end_stream());
        drop(body);
        pair.gateway.assert_empty();
    }

    #[test]
    fn the_answer_to_head_has_a_length_and_no_body() {
        let mut pair = Pair::new();
        let (id, body) = body(&mut pair, &with_length("10"));
        let body = body.without_length();
        pair.forge_up(id, data(0, true)).unwrap();
        assert!(body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
    }

    #[test]
    fn a_length_that_nobody_promised_is_not_known() {
        let mut pair = Pair::new();
        let (id, body) = body(&mut pair, &HeaderMap::new());
        pair.forge_up(id, data(3, true)).unwrap();
        assert_eq!(body.size_hint().exact(), None, "it would become a content-length");
    }

    #[test]
    fn a_body_that_broke_off_does_not_end() {
        let mut pair = Pair::new();
        let (_, mut body) = body(&mut pair, &HeaderMap::new());
        pair.cut(0);
        let frame = poll_once(|cx| Pin::new(&mut body).poll_frame(cx));
        assert!(matches!(frame, Poll::Ready(Some(Err(_)))) && !body.is_end_stream());
    }

    /// A lent body of which three bytes have come.
    fn lent(pair: &mut Pair) -> (TunnelBody, http::Extensions, BodyLoan) {
        let (_, send, recv) = pair.gateway.open(get()).unwrap();
        let id = send.id();
        send.finish();
        pair.forge_up(id, response()).unwrap();
        pair.forge_up(id, data(3, false)).unwrap();
        let (body, claim, loan) = TunnelBody::lent(recv);
        let mut extensions = http::Extensions::new();
        extensions.insert(claim);
        (body, extensions, loan)
    }

    fn is_data(body: &mut TunnelBody) -> bool {
        matches!(
            poll_once(|cx| Pin::new(body).poll_frame(cx)),
            Poll::Ready(Some(Ok(_)))
        )
    }

    #[test]
    fn a_lent_body_is_empty_until_it_is_claimed() {
        let mut pair = Pair::new();
        let (mut body, mut extensions, loan) = lent(&mut pair);
        assert!(body.is_end_stream() && body.size_hint().exact() == Some(0));
        let frame = poll_once(|cx| Pin::new(&mut body).poll_frame(cx));
        assert!(matches!(frame, Poll::Ready(None)));
        StreamClaim::make(&mut extensions);
        assert!(!body.is_end_stream() && body.size_hint().exact().is_none());
        assert!(is_data(&mut body));
        assert!(loan.reclaim().is_none());
    }

    #[test]
    fn a_lent_body_that_nobody_polled_comes_back() {
        for is_claimed in [false, true] {
            let mut pair = Pair::new();
            let (body, mut extensions, loan) = lent(&mut pair);
            if is_claimed {
                StreamClaim::make(&mut extensions);
            }
            drop(body);
            assert!(is_data(&mut loan.reclaim().unwrap()));
            pair.gateway.assert_empty();
        }
    }

    #[test]
    fn a_claimed_body_belongs_to_whoever_polls_it() {
        let mut pair = Pair::new();
        let (mut body, mut extensions, loan) = lent(&mut pair);
        StreamClaim::make(&mut extensions);
        assert!(is_data(&mut body));
        assert!(loan.reclaim().is_none());
        assert!(poll_once(|cx| Pin::new(&mut body).poll_frame(cx)).is_pending());
    }

    #[test]
    fn a_claimed_body_that_was_taken_back_fails() {
        let mut pair = Pair::new();
        let (mut body, mut extensions, loan) = lent(&mut pair);
        StreamClaim::make(&mut extensions);
        let _ours = loan.reclaim().unwrap();
        let frame = poll_once(|cx| Pin::new(&mut body).poll_frame(cx));
        assert!(matches!(frame, Poll::Ready(Some(Err(_)))));
    }

    #[test]
    fn an_empty_body_is_over() {
        let mut body = TunnelBody::default();
        assert!(body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
        assert!(matches!(
            poll_once(|cx| Pin::new(&mut body).poll_frame(cx)),
            Poll::Ready(None)
        ));
    }
}
