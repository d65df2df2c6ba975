//! Exchanges that go well.

use http::{HeaderMap, HeaderValue};

use super::{
    body::{Feed, empty, full},
    link::Note,
    pair::{Pair, Side, get},
};
use crate::{
    error::{Cause, Sent},
    flow::{DEFAULT_INITIAL_CREDIT, SHORT_LINK_CREDIT, SHORT_LINK_PROOF},
    message::MESSAGE_COST,
    settings::Settings,
};

const CHUNK: usize = Settings::DEFAULT_CHUNK as usize;

#[test]
fn a_small_exchange_is_one_message_each_way() {
    let mut pair = Pair::new();
    let call = pair.gateway.call(get(), full("ping"));
    pair.drive();
    let answer = pair.agent.answer(full("pong!"));
    pair.drive();
    call.reader.allow(usize::MAX);
    answer.reader.allow(usize::MAX);
    pair.drive();
    assert_eq!(answer.reader.complete(), b"ping");
    assert_eq!(call.reader.complete(), b"pong!");
    assert_eq!(pair.down().notes(), [Note::Request { len: 4, end: true }]);
    assert_eq!(pair.up().notes(), [Note::Response { len: 5, end: true }]);
    pair.assert_empty();
}

#[test]
fn an_exchange_without_bodies_is_one_message_each_way() {
    let mut pair = Pair::new();
    let call = pair.gateway.call(get(), empty());
    pair.drive();
    let answer = pair.agent.answer(empty());
    call.reader.allow(usize::MAX);
    answer.reader.allow(usize::MAX);
    pair.drive();
    assert!(call.reader.complete().is_empty() && answer.reader.complete().is_empty());
    assert_eq!(pair.down().notes(), [Note::Request { len: 0, end: true }]);
    assert_eq!(pair.up().notes(), [Note::Response { len: 0, end: true }]);
    pair.assert_empty();
}

#[test]
fn an_agent_opens_exchanges_too() {
    let mut pair = Pair::new();
    let call = pair.agent.call(get(), full("from below"));
    pair.drive();
    pair.gateway.echo();
    call.reader.allow(usize::MAX);
    pair.drive();
    assert_eq!(call.reader.complete(), b"from below");
    pair.assert_empty();
}

#[test]
fn each_direction_has_its_own_places_and_none_disturbs_the_other() {
    let mut pair = Pair::with(Settings {
        max_exchanges: 1,
        ..Settings::default()
    });
    let down = pair.gateway.call(get(), full("from above"));
    let up = pair.agent.call(get(), full("from below"));
    let refused = |side: &Side| side.try_call(get(), empty()).err().unwrap();
    let (above, below) = (refused(&pair.gateway), refused(&pair.agent));
    assert_eq!(
        (above.cause(), below.cause()),
        (Cause::Overloaded, Cause::Overloaded)
    );
    assert!(above.message().contains("the agent has"), "{above}");
    assert!(below.message().contains("the gateway has"), "{below}");
    pair.drive();
    let _answers = (pair.agent.echo(), pair.gateway.echo());
    down.reader.allow(usize::MAX);
    up.reader.allow(usize::MAX);
    pair.drive();
    assert_eq!(down.reader.complete(), b"from above");
    assert_eq!(up.reader.complete(), b"from below");
    pair.assert_empty();
}

#[test]
fn a_session_that_drains_refuses_what_either_end_opens() {
    let mut pair = Pair::new();
    pair.gateway.session.drain();
    let below = pair.agent.call(get(), empty());
    pair.drive();
    below.reader.allow(usize::MAX);
    pair.drive();
    assert!(pair.gateway.accepted.is_empty());
    assert_eq!(below.reader.error().cause(), Cause::Draining);
    let above = pair.gateway.try_call(get(), empty()).err().unwrap();
    assert_eq!((above.cause(), above.sent()), (Cause::Draining, Sent::No));
    pair.agent.session.drain();
    let below = pair.agent.try_call(get(), empty()).err().unwrap();
    assert!(below.message().contains("the gateway"), "{below}");
    pair.assert_empty();
}

#[test]
fn an_echo_is_larger_than_all_credit() {
    let mut pair = Pair::new();
    let (feed, body) = Feed::new();
    let sent: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    sent.chunks(100_000).for_each(|piece| feed.push(piece.to_vec()));
    feed.end();
    let call = pair.gateway.call(get(), body);
    call.reader.allow(usize::MAX);
    pair.drive();
    pair.agent.echo();
    pair.drive();
    assert_eq!(call.reader.complete(), sent);
    assert!(matches!(call.pump.take(), Some(Ok(()))));
    let largest = pair.down().notes().into_iter().filter_map(|note| match note {
        Note::Data { len, .. } => Some(len),
        _ => None,
    });
    assert_eq!(largest.max(), Some(CHUNK));
    pair.assert_empty();
}

#[test]
fn credit_is_returned_in_batches() {
    let mut pair = Pair::new();
    let (feed, body) = Feed::new();
    (0..100).for_each(|_| feed.push(vec![1; 10_000]));
    feed.end();
    let _call = pair.gateway.call(get(), body);
    pair.drive();
    let answer = pair.agent.answer(empty());
    answer.reader.allow(usize::MAX);
    pair.drive();
    assert_eq!(answer.reader.len(), 1_000_000);
    let updates = pair.up().notes();
    let updates = updates.iter().filter(|note| matches!(note, Note::Window(_)));
    assert!(updates.count() <= 1_000_000 / (128 * 1024) + 1);
}

#[test]
fn both_directions_flow_at_once() {
    let mut pair = Pair::new();
    let ((up, request), (down, response)) = (Feed::new(), Feed::new());
    let call = pair.gateway.call(get(), request);
    call.reader.allow(usize::MAX);
    pair.drive();
    let answer = pair.agent.answer(response);
    answer.reader.allow(usize::MAX);
    for round in 1..=50 {
        up.push("ping");
        pair.drive();
        assert_eq!(answer.reader.len(), round * 4);
        down.push("pong!");
        pair.drive();
        assert_eq!(call.reader.len(), round * 5);
    }
    up.end();
    pair.drive();
    assert!(answer.reader.is_over() && !call.reader.is_over());
    down.end();
    pair.drive();
    assert!(call.reader.is_over());
    pair.assert_empty();
}

#[test]
fn a_head_does_not_wait_for_a_body() {
    let mut pair = Pair::new();
    let (feed, body) = Feed::new();
    let _call = pair.gateway.call(get(), body);
    pair.drive();
    assert_eq!(pair.down().notes(), [Note::Request { len: 0, end: false }]);
    feed.push("late");
    feed.end();
    pair.drive();
    assert_eq!(pair.down().notes(), [Note::Data { len: 4, end: true }]);
}

#[test]
fn trailers_end_both_directions() {
    let mut pair = Pair::new();
    let mut fields = HeaderMap::new();
    fields.append("x-sum", HeaderValue::from_static("1"));
    fields.append("x-sum", HeaderValue::from_static("2"));
    let (feed, body) = Feed::new();
    feed.push("body");
    feed.trailers(fields.clone());
    let call = pair.gateway.call(get(), body);
    call.reader.allow(usize::MAX);
    pair.drive();
    pair.agent.echo();
    pair.drive();
    assert_eq!(call.reader.complete(), b"body");
    assert_eq!(call.reader.look(|got| got.trailers.clone()), Some(fields));
    pair.assert_empty();
}

#[test]
fn a_request_goes_on_after_its_response_has_ended() {
    let mut pair = Pair::new();
    let (feed, body) = Feed::new();
    let call = pair.gateway.call(get(), body);
    call.reader.allow(usize::MAX);
    pair.drive();
    let answer = pair.agent.answer(full("early"));
    answer.reader.allow(usize::MAX);
    pair.drive();
    assert_eq!(call.reader.complete(), b"early");
    for _ in 0..100 {
        feed.push(vec![3; 10_000]);
        pair.drive();
    }
    assert_eq!(answer.reader.len(), 1_000_000);
    assert_eq!(
        (pair.gateway.session.pending(), pair.agent.session.pending()),
        (1, 1)
    );
    feed.end();
    pair.drive();
    assert_eq!(answer.reader.complete().len(), 1_000_000);
    assert!(matches!(call.pump.take(), Some(Ok(()))));
    pair.assert_empty();
}

#[test]
fn one_stalled_reader_costs_nobody_else_anything() {
    let mut pair = Pair::new();
    let stalled = pair.gateway.call(get(), empty());
    pair.drive();
    let (feed, body) = Feed::new();
    (0..100).for_each(|_| feed.push(vec![1; CHUNK]));
    let _answer = pair.agent.answer(body);
    pair.drive();
    for _ in 0..200 {
        pair.assert_works();
    }
    assert_eq!(
        (pair.gateway.session.pending(), pair.gateway.session.load()),
        (1, 1)
    );
    let window = Settings::default().initial_credit as usize;
    assert!(pair.gateway.budget.used() <= window);
    assert!(feed.waiting() >= 92, "the sender has stopped");
    feed.end();
    stalled.reader.allow(usize::MAX);
    pair.drive();
    assert_eq!(stalled.reader.complete().len(), 100 * CHUNK);
    pair.assert_empty();
}

#[test]
fn small_exchanges_wait_behind_no_large_window() {
    let mut pair = Pair::new();
    let bulk = pair.gateway.call(get(), empty());
    bulk.reader.allow(usize::MAX);
    pair.drive();
    let (feed, body) = Feed::new();
    let _answer = pair.agent.answer(body);
    // The budget of the gateway is charged with the one window that there is.
    let mut window_after = |bytes: u64, is_alone: bool| {
        if !is_alone {
            pair.assert_works();
        }
        (0..=bytes / CHUNK as u64).for_each(|_| feed.push(vec![1; CHUNK]));
        pair.drive();
        pair.gateway.budget.used()
    };
    let (small, large) = (DEFAULT_INITIAL_CREDIT as usize, SHORT_LINK_CREDIT as usize);
    assert_eq!(window_after(2 * SHORT_LINK_PROOF, true), large);
    assert_eq!(window_after(SHORT_LINK_PROOF / 2, false), small);
    assert_eq!(window_after(2 * SHORT_LINK_PROOF, true), large);
}

#[test]
fn tiny_messages_to_a_stopped_reader_are_bounded_by_credit_and_joined() {
    let mut pair = Pair::new();
    let call = pair.gateway.call(get(), empty());
    pair.drive();
    let (feed, body) = Feed::new();
    let _answer = pair.agent.answer(body);
    let count = 100_000;
    (0..count).for_each(|_| feed.push(&b"6bytes"[..]));
    feed.end();
    pair.drive();
    let window = Settings::default().initial_credit as usize;
    let cost: usize = pair.up().log.iter().map(|(_, note)| cost(note)).sum();
    assert!(
        cost <= window,
        "{cost} bytes were sent to a reader that does not read"
    );
    assert!(pair.gateway.budget.used() <= window);
    let messages = pair.up().log.len();
    assert!(messages < 200, "{messages} messages: they were not joined");
    pair.assert_works();
    call.reader.allow(usize::MAX);
    pair.drive();
    assert_eq!(call.reader.complete().len(), 6 * count);
    pair.assert_empty();
}

fn cost(note: &Note) -> usize {
    match note {
        Note::Request { len, .. } | Note::Response { len, .. } | Note::Data { len, .. } if *len > 0 => {
            len + MESSAGE_COST
        }
        _ => 0,
    }
}

#[test]
fn nobody_is_woken_for_nothing() {
    let mut pair = Pair::new();
    let (feed, body) = Feed::new();
    let call = pair.gateway.call(get(), body);
    pair.drive();
    let answer = pair.agent.answer(empty());
    answer.reader.allow(usize::MAX);
    pair.drive();
    let (pump, reader) = (call.pump.wakes(), answer.reader.wakes());
    feed.push("one");
    pair.drive();
    assert_eq!((call.pump.wakes(), answer.reader.wakes()), (pump + 1, reader + 1));
    pair.assert_works();
    assert_eq!((call.pump.wakes(), answer.reader.wakes()), (pump + 1, reader + 1));
}
