//! The pump, over transports that are not ours, and bodies that come as they please.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use tower_service::Service;

use super::Pump;
use crate::{
    error::{BoxError, Cause, Sent},
    head::ResponseHead,
    message::{Payload, ResponseStart, TunnelMessage},
    outgoing::Outgoing,
    reason::ResetReason,
    session::tests::{
        body::{FedBody, Feed, Reader, empty, full},
        link::Note,
        pair::{Call, Direct, Pair, data, get, reset, response},
        runtime::poll_once,
    },
    settings::Settings,
    sync::lock,
};

const CHUNK: usize = Settings::DEFAULT_CHUNK as usize;

type Sending = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// A transport that does what the test wants with each message.
#[derive(Clone)]
struct Foreign(Arc<dyn Fn(Outgoing) -> Sending + Send + Sync>);

impl Foreign {
    fn new(send: impl Fn(Outgoing) -> Sending + Send + Sync + 'static) -> Self {
        Self(Arc::new(send))
    }
}

impl Service<Outgoing> for Foreign {
    type Response = ();
    type Error = BoxError;
    type Future = Sending;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, message: Outgoing) -> Sending {
        (self.0)(message)
    }
}

fn enqueue(message: Outgoing) -> Sending {
    Box::pin(async { message.enqueue().await.map_err(BoxError::from) })
}

fn failing() -> Sending {
    Box::pin(std::future::ready(Err("a foreign failure".into())))
}

fn is_head(message: &Outgoing) -> bool {
    matches!(message.message().payload, Payload::Request(_))
}

fn call_over(pair: &Pair, transport: Foreign, body: FedBody) -> Call {
    let (start, send, recv) = pair.gateway.open(get()).unwrap();
    let id = send.id();
    let pump = pair.runtime.start(Pump::new(start, body, send, transport));
    let reader = Reader::new(&pair.runtime, recv, true).all();
    Call { id, pump, reader }
}

/// Two pieces that cannot be one message.
fn two_pieces() -> FedBody {
    let (feed, body) = Feed::new();
    feed.push(vec![1; CHUNK]);
    feed.push(vec![2; CHUNK]);
    feed.end();
    body
}

#[test]
fn a_transport_that_drops_a_message_never_makes_a_whole_of_the_rest() {
    for drop_head in [true, false] {
        let mut pair = Pair::new();
        let transport = Foreign::new(move |message| {
            if is_head(&message) == drop_head {
                drop(message);
                return Box::pin(std::future::ready(Ok(())));
            }
            enqueue(message)
        });
        let call = call_over(&pair, transport, two_pieces());
        pair.drive();
        let error = call.reader.error();
        assert_eq!(error.cause(), Cause::Internal);
        assert_eq!(
            error.sent(),
            Sent::No,
            "what was queued before it has been taken back"
        );
        pair.assert_empty();
    }
}

#[test]
fn a_transport_that_fails_before_the_head_has_sent_nothing() {
    let mut pair = Pair::new();
    let call = call_over(&pair, Foreign::new(|_| failing()), full("body"));
    pair.drive();
    let error = call.pump.take().unwrap().unwrap_err();
    assert_eq!((error.cause(), error.sent()), (Cause::Internal, Sent::No));
    assert_eq!(error.message(), call.reader.error().message());
    assert_eq!(pair.down().notes(), []);
    pair.assert_empty();
}

#[test]
fn a_transport_that_fails_after_the_head_has_sent_it() {
    let mut pair = Pair::new();
    let (feed, body) = Feed::new();
    let transport = Foreign::new(|message| {
        if is_head(&message) {
            enqueue(message)
        } else {
            failing()
        }
    });
    let call = call_over(&pair, transport, body);
    pair.drive();
    feed.push("more");
    pair.drive();
    assert_eq!(call.pump.take().unwrap().unwrap_err().sent(), Sent::Yes);
    assert_eq!(call.reader.error().sent(), Sent::Yes);
    pair.agent.accepted.clear();
    pair.drive();
    pair.assert_empty();
}

#[test]
fn a_transport_that_fails_after_it_has_queued_the_head_has_sent_nothing() {
    let mut pair = Pair::new();
    let transport = Foreign::new(|message| {
        Box::pin(async {
            message.enqueue().await?;
            Err("a foreign failure".into())
        })
    });
    let call = call_over(&pair, transport, full("body"));
    pair.drive();
    assert_eq!(call.pump.take().unwrap().unwrap_err().sent(), Sent::No);
    assert_eq!(
        pair.down().notes(),
        [],
        "what was never sent must not go out later"
    );
    pair.assert_empty();
}

#[test]
fn a_transport_that_gives_up_the_wait_for_room_fails_the_exchange_with_its_own_error() {
    let mut pair = Pair::new();
    pair.down().hold_writer();
    let (full_lane, body) = Feed::new();
    (0..20).for_each(|_| full_lane.push(vec![0; CHUNK]));
    let _other = pair.gateway.call(get(), body);
    pair.drive();
    let transport = Foreign::new(|message| {
        let mut sending = enqueue(message);
        Box::pin(std::future::poll_fn(move |cx| match sending.as_mut().poll(cx) {
            Poll::Pending => Poll::Ready(Err("it took too long".into())),
            ready @ Poll::Ready(_) => ready,
        }))
    });
    let call = call_over(&pair, transport, full(vec![1; CHUNK]));
    pair.drive();
    let error = call.reader.error();
    assert_eq!(
        (error.message(), error.sent()),
        ("the transport failed", Sent::No)
    );
}

#[test]
fn a_transport_that_queues_behind_the_pumps_back_does_not_stall_it() {
    let mut pair = Pair::with(Settings {
        initial_credit: 1_024,
        ..Settings::default()
    });
    let runtime = pair.runtime.clone();
    let transport = Foreign::new(move |message| {
        runtime.start(enqueue(message));
        Box::pin(std::future::ready(Ok(())))
    });
    let (feed, body) = Feed::new();
    (0..500).for_each(|_| feed.push(&b"6bytes"[..]));
    let call = call_over(&pair, transport, body);
    pair.drive();
    let answer = pair.agent.answer(empty());
    answer.reader.allow(usize::MAX);
    pair.drive();
    assert_eq!(
        answer.reader.len(),
        3_000,
        "what comes back by joining wakes the pump"
    );
    drop(call);
}

#[test]
fn a_stop_in_the_middle_of_a_send_is_no_failure() {
    let mut pair = Pair::new();
    let (session, lane) = (pair.gateway.session.clone(), pair.links[0].down.lane.clone());
    let transport = Foreign::new(move |message| {
        let (session, lane) = (session.clone(), lane.clone());
        Box::pin(async move {
            let messages = [response(), data(3, true), reset(ResetReason::NoError)];
            for payload in messages.into_iter().filter(|_| !is_head(&message)) {
                let message = message.message().clone();
                session.handle(&lane, TunnelMessage { payload, ..message })?;
            }
            enqueue(message).await
        })
    });
    let call = call_over(&pair, transport, two_pieces());
    pair.drive();
    assert!(matches!(call.pump.take(), Some(Ok(()))));
    assert_eq!(call.reader.complete().len(), 3);
    pair.gateway.assert_empty();
}

#[test]
fn a_pump_that_has_ended_stands_in_nobodys_way() {
    let mut pair = Pair::new();
    pair.down().hold_writer();
    let big = || {
        let (feed, body) = Feed::new();
        (0..20).for_each(|_| feed.push(vec![0; CHUNK]));
        body
    };
    let _fills_the_lane = pair.gateway.call(get(), big());
    pair.drive();
    let (start, send, mut recv) = pair.gateway.open(get()).unwrap();
    let id = send.id();
    let mut pump = Box::pin(Pump::new(start, big(), send, Direct));
    assert!(poll_once(|cx| pump.as_mut().poll(cx)).is_pending());
    let behind = pair.gateway.call(get(), big());
    pair.drive();
    pair.forge_up(id, reset(ResetReason::Internal)).unwrap();
    assert!(poll_once(|cx| recv.poll_head(cx)).is_ready());
    assert!(poll_once(|cx| pump.as_mut().poll(cx)).is_ready());
    pair.release();
    assert_ne!(
        pair.down().notes_of(behind.id),
        [],
        "the pump is over, and still in the line"
    );
    drop(pump);
}

#[test]
fn a_small_body_that_is_about_to_come_travels_with_the_head() {
    for (exact, together) in [(Some(4), true), (Some(CHUNK as u64 + 1), false), (None, false)] {
        let mut pair = Pair::new();
        let (feed, body) = Feed::new();
        exact.into_iter().for_each(|len| feed.set_exact(len));
        let _call = pair.gateway.call(get(), body);
        let late = feed.clone();
        // Runs after the pump's first turn and before its second.
        pair.runtime.start(async move {
            late.push("body");
            late.end();
        });
        pair.drive();
        let notes = pair.down().notes();
        if together {
            assert_eq!(notes, [Note::Request { len: 4, end: true }]);
        } else {
            assert_eq!(
                notes[0],
                Note::Request { len: 4, end: true },
                "joined in the queue"
            );
        }
    }
}

#[test]
fn a_head_waits_one_turn_and_no_more() {
    let mut pair = Pair::new();
    let (feed, body) = Feed::new();
    feed.set_exact(4);
    let call = pair.gateway.call(get(), body);
    pair.drive();
    assert_eq!(pair.down().notes(), [Note::Request { len: 0, end: false }]);
    assert_eq!((call.pump.wakes(), feed.polls()), (1, 2 + 1));
}

#[test]
fn the_last_piece_and_the_end_are_one_message() {
    let mut pair = Pair::new();
    let (feed, body) = Feed::new();
    let _call = pair.gateway.call(get(), body);
    pair.drive();
    feed.push("");
    feed.push("last");
    feed.push("");
    feed.end();
    pair.drive();
    let notes = pair.down().notes();
    assert_eq!(
        notes[1..],
        [Note::Data { len: 4, end: true }],
        "empty frames do not travel"
    );
}

#[test]
fn a_body_is_not_polled_ahead_of_its_credit() {
    let mut pair = Pair::new();
    let (feed, body) = Feed::new();
    (0..20).for_each(|_| feed.push(vec![1; CHUNK]));
    let _call = pair.gateway.call(get(), body);
    pair.drive();
    let window = Settings::default().initial_credit as usize;
    let taken = 20 - feed.waiting();
    assert!(
        taken <= window / CHUNK,
        "{taken} frames were taken, and the credit is for fewer"
    );
}

#[test]
fn debug_shows_nothing_of_what_is_sent() {
    let pair = Pair::new();
    let mut head = get();
    let secret = http::HeaderValue::from_static("hunter2");
    head.headers.insert(http::header::AUTHORIZATION, secret);
    let (start, send, recv) = pair.gateway.open(head).unwrap();
    let payload = Payload::Response(Box::new(ResponseStart {
        head: ResponseHead {
            upgrade: None,
            status: http::StatusCode::OK,
            headers: http::HeaderMap::new(),
        },
        data: "hunter2".into(),
        end: None,
    }));
    let outgoing = send.outgoing(payload);
    let shown = format!("{outgoing:?}");
    let pump = Pump::new(start, DebugBody(VecDeque::from(["hunter2"])), send, Direct);
    let shown = format!("{shown} {pump:?} {recv:?} {:?}", outgoing.enqueue());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[derive(Debug)]
struct DebugBody(#[expect(dead_code, reason = "only shown")] VecDeque<&'static str>);

impl http_body::Body for DebugBody {
    type Data = bytes::Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, BoxError>>> {
        Poll::Ready(None)
    }
}

#[test]
fn messages_are_asked_for_when_the_transport_is_ready() {
    let mut pair = Pair::new();
    let gate = Gate::default();
    let (start, send, _recv) = pair.gateway.open(get()).unwrap();
    let pump = pair
        .runtime
        .start(Pump::new(start, full("body"), send, gate.clone()));
    pair.drive();
    assert_eq!(pair.down().notes(), []);
    gate.open();
    pair.drive();
    assert_eq!(pair.down().notes(), [Note::Request { len: 4, end: true }]);
    assert!(matches!(pump.take(), Some(Ok(()))));
}

/// A transport that is ready once, after it has been opened.
#[derive(Clone, Default)]
struct Gate(Arc<Mutex<(bool, Option<std::task::Waker>)>>);

impl Gate {
    fn open(&self) {
        let waker = {
            let mut gate = lock(&self.0);
            gate.0 = true;
            gate.1.take()
        };
        crate::sync::wake(waker);
    }
}

impl Service<Outgoing> for Gate {
    type Response = ();
    type Error = BoxError;
    type Future = Sending;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let mut gate = lock(&self.0);
        if gate.0 {
            return Poll::Ready(Ok(()));
        }
        gate.1 = Some(cx.waker().clone());
        Poll::Pending
    }

    fn call(&mut self, message: Outgoing) -> Sending {
        assert!(std::mem::take(&mut lock(&self.0).0), "called without being ready");
        enqueue(message)
    }
}
