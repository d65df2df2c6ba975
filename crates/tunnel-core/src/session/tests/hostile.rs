//! A peer that breaks the rules: it costs its exchange, or its session, and nobody else anything.

use std::time::Duration;

use super::{
    body::{Feed, empty},
    link::Note,
    pair::{Answer, Call, Pair, data, get, request, reset, response},
};
use crate::{
    error::{Cause, Initiator},
    flow::{DEFAULT_INITIAL_CREDIT, SendCredit},
    id::RequestId,
    message::{Data, Direction, Payload, TunnelMessage},
    reason::ResetReason,
    session::{LATE_FOR, MAX_UNEXPECTED_MESSAGES},
    settings::Settings,
};

const WINDOW: usize = DEFAULT_INITIAL_CREDIT as usize;

/// What a gateway may send wrongly after the head of a request, and why the agent then resets the exchange.
fn wrong_requests() -> Vec<(&'static str, Vec<Payload>, ResetReason)> {
    use ResetReason::{FlowControl, Protocol};
    let empty = || Payload::Data(Data::default());
    vec![
        ("a second request", vec![request(1)], Protocol),
        ("a response from the wrong side", vec![response()], Protocol),
        ("an empty piece", vec![empty()], Protocol),
        ("the end twice", vec![data(1, true), data(1, true)], Protocol),
        (
            "data after the end",
            vec![data(0, true), data(1, false)],
            Protocol,
        ),
        (
            "more than the credit",
            vec![data(WINDOW - 63, false)],
            FlowControl,
        ),
        ("credit of nothing", vec![Payload::Window(0)], Protocol),
        (
            "more credit than can be counted",
            vec![Payload::Window(SendCredit::MAX as u32)],
            FlowControl,
        ),
        (
            "a stop from the wrong side",
            vec![reset(ResetReason::NoError)],
            Protocol,
        ),
    ]
}

/// What an agent may send wrongly, and why the gateway then resets the exchange.
fn wrong_responses() -> Vec<(&'static str, Vec<Payload>, ResetReason)> {
    use ResetReason::{FlowControl, NoError, Protocol};
    let empty = || Payload::Data(Data::default());
    vec![
        ("a piece before the head", vec![data(1, false)], Protocol),
        ("the end before the head", vec![data(0, true)], Protocol),
        ("two heads", vec![response(), response()], Protocol),
        ("a request", vec![request(1)], Protocol),
        ("an empty piece", vec![response(), empty()], Protocol),
        (
            "the end twice",
            vec![response(), data(0, true), data(0, true)],
            Protocol,
        ),
        (
            "more than the credit",
            vec![response(), data(WINDOW, false)],
            FlowControl,
        ),
        ("a stop before the answer", vec![reset(NoError)], Protocol),
        (
            "a stop before the end",
            vec![response(), data(1, false), reset(NoError)],
            Protocol,
        ),
        ("credit of nothing", vec![Payload::Window(0)], Protocol),
    ]
}

/// A call that goes on beside the wrong one.
fn bystander(pair: &mut Pair) -> (Feed, Call, Answer, Feed) {
    let ((request, up), (response, down)) = (Feed::new(), Feed::new());
    let call = pair.gateway.call(get(), up);
    pair.drive();
    let answer = pair.agent.answer(down);
    call.reader.allow(usize::MAX);
    answer.reader.allow(usize::MAX);
    (request, call, answer, response)
}

fn assert_unharmed(pair: &mut Pair, (request, call, answer, response): (Feed, Call, Answer, Feed)) {
    for feed in [&request, &response] {
        feed.push(vec![5; 100_000]);
        feed.end();
    }
    pair.drive();
    assert_eq!(answer.reader.complete().len(), 100_000);
    assert_eq!(call.reader.complete().len(), 100_000);
}

#[test]
fn a_request_that_breaks_the_rules_costs_itself_alone() {
    for (what, messages, reason) in wrong_requests() {
        let mut pair = Pair::new();
        let other = bystander(&mut pair);
        let id = pair.runtime.next_id();
        pair.forge(id, request(1_000)).unwrap();
        let (response, body) = Feed::new();
        let answer = pair.agent.answer(body);
        pair.drive();
        for message in messages {
            pair.forge(id, message)
                .unwrap_or_else(|error| panic!("{what}: {error}"));
        }
        answer.reader.allow(usize::MAX);
        pair.drive();
        assert_eq!(
            pair.up().notes_of(id).last(),
            Some(&Note::Reset(reason)),
            "{what}"
        );
        let error = answer.pump.take().expect(what).unwrap_err();
        assert_eq!(
            (error.cause(), error.initiator()),
            (Cause::Protocol, Initiator::Peer),
            "{what}"
        );
        assert!(response.is_dropped() && answer.reader.is_over(), "{what}");
        assert_unharmed(&mut pair, other);
        pair.assert_empty();
    }
}

#[test]
fn a_response_that_breaks_the_rules_costs_itself_alone() {
    for (what, messages, reason) in wrong_responses() {
        let mut pair = Pair::new();
        let other = bystander(&mut pair);
        let (_feed, body) = Feed::new();
        let call = pair.gateway.call(get(), body);
        pair.drive();
        for message in messages {
            pair.forge_up(call.id, message)
                .unwrap_or_else(|error| panic!("{what}: {error}"));
        }
        call.reader.allow(usize::MAX);
        pair.drive();
        assert_eq!(
            pair.down().notes_of(call.id).last(),
            Some(&Note::Reset(reason)),
            "{what}"
        );
        let error = call.pump.take().expect(what).unwrap_err();
        assert_eq!(
            (error.cause(), error.initiator()),
            (Cause::Protocol, Initiator::Peer),
            "{what}"
        );
        assert!(call.reader.is_over(), "{what}");
        pair.agent.accepted.clear();
        assert_unharmed(&mut pair, other);
        drop(call);
        pair.assert_empty();
    }
}

#[test]
fn a_first_message_that_breaks_the_rules_is_shown_to_nobody() {
    let mut pair = Pair::new();
    let id = pair.runtime.next_id();
    let mut start = super::pair::request_start(get(), 1_000);
    start.data = vec![1; WINDOW].into();
    pair.forge(id, Payload::Request(Box::new(start))).unwrap();
    pair.drive();
    assert!(pair.agent.accepted.is_empty());
    assert_eq!(pair.up().notes_of(id), [Note::Reset(ResetReason::FlowControl)]);
    pair.assert_empty();
}

#[test]
fn a_message_on_a_foreign_lane_costs_its_exchange() {
    let mut pair = Pair::of(Settings::default(), crate::flow::DEFAULT_BUDGET, 2);
    let id = pair.runtime.next_id();
    pair.forge(id, request(1_000)).unwrap();
    let foreign = pair.links[1].up.lane.clone();
    let message = TunnelMessage {
        id,
        direction: Direction::ServerToClient,
        protocol: crate::head::Protocol::Http,
        payload: data(1, false),
    };
    assert!(pair.agent.session.handle(&foreign, message).unwrap().is_none());
    pair.drive();
    assert_eq!(pair.up().notes_of(id), [Note::Reset(ResetReason::Protocol)]);
    pair.agent.accepted.clear();
    pair.assert_works();
    pair.assert_empty();
}

#[test]
fn a_message_that_cannot_be_read_costs_its_exchange() {
    let mut pair = Pair::new();
    let id = pair.runtime.next_id();
    pair.forge(id, request(1_000)).unwrap();
    pair.agent
        .session
        .reject(id, ResetReason::Protocol, "garbage")
        .unwrap();
    pair.drive();
    assert_eq!(pair.up().notes_of(id), [Note::Reset(ResetReason::Protocol)]);
    pair.agent.accepted.clear();
    pair.assert_empty();
}

#[test]
fn many_messages_that_cannot_be_read_end_the_session() {
    let pair = Pair::new();
    let unknown = pair.runtime.next_id();
    let count = (0..5_000).take_while(|_| {
        pair.agent
            .session
            .reject(unknown, ResetReason::Protocol, "garbage")
            .is_ok()
    });
    assert_eq!(count.count(), MAX_UNEXPECTED_MESSAGES);
}

#[test]
fn a_request_in_the_wrong_direction_ends_the_session() {
    let mut pair = Pair::new();
    let id = pair.runtime.next_id();
    assert!(
        pair.forge_up(id, request(1_000)).is_err(),
        "the gateway opens these, not the agent"
    );
    assert!(pair.forge(RequestId::NIL, request(1_000)).is_err());
}

#[test]
fn a_flood_for_unknown_exchanges_ends_the_session() {
    for payload in [
        data(1, false),
        Payload::Window(1),
        reset(ResetReason::Cancel),
        response(),
    ] {
        let mut pair = Pair::new();
        let id = pair.runtime.next_id();
        let count = (0..5_000)
            .take_while(|_| pair.forge(id, payload.clone()).is_ok())
            .count();
        assert_eq!(count, MAX_UNEXPECTED_MESSAGES);
    }
}

#[test]
fn large_messages_for_unknown_exchanges_end_the_session_sooner() {
    let mut pair = Pair::new();
    let id = pair.runtime.next_id();
    let count = (0..5_000)
        .take_while(|_| pair.forge(id, data(64 * 1024, false)).is_ok())
        .count();
    assert_eq!(count, 15);
}

#[test]
fn what_was_allowed_for_late_messages_expires() {
    let mut pair = Pair::new();
    for _ in 0..50 {
        let id = pair.runtime.next_id();
        pair.forge(id, request(1_000)).unwrap();
    }
    pair.agent.accepted.clear();
    let id = pair.runtime.next_id();
    for _ in 0..100 {
        pair.forge(id, data(64 * 1024, false)).unwrap();
    }
    pair.runtime.advance(LATE_FOR * 2 + Duration::from_secs(1));
    let count = (0..100)
        .take_while(|_| pair.forge(id, data(64 * 1024, false)).is_ok())
        .count();
    assert_eq!(count, 15);
}

#[test]
fn a_window_of_nothing_stops_the_response_and_nobody_else() {
    let mut pair = Pair::new();
    let id = pair.runtime.next_id();
    pair.forge(id, request(0)).unwrap();
    let (feed, body) = Feed::new();
    feed.push("waits");
    let answer = pair.agent.answer(body);
    pair.drive();
    assert_eq!(pair.up().notes_of(id), [Note::Response { len: 0, end: false }]);
    assert!(answer.pump.take().is_none());
    pair.assert_works();
    pair.forge(id, Payload::Window(69)).unwrap();
    pair.drive();
    assert_eq!(
        pair.up().notes_of(id).last(),
        Some(&Note::Data { len: 5, end: false })
    );
}

#[test]
fn credit_beyond_the_bound_is_not_believed() {
    let mut pair = Pair::new();
    let id = pair.runtime.next_id();
    pair.forge(id, request(u32::MAX)).unwrap();
    let (feed, body) = Feed::new();
    (0..400).for_each(|_| feed.push(vec![0; 64 * 1024]));
    let _answer = pair.agent.answer(body);
    pair.drive();
    let most = crate::flow::MAX_CREDIT as usize / (64 * 1024);
    assert!(feed.waiting() >= 400 - most, "{} wait", feed.waiting());
}

#[test]
fn nothing_is_taken_after_the_session_is_closed() {
    let mut pair = Pair::new();
    pair.agent.session.close(&super::pair::lost());
    let id = pair.runtime.next_id();
    pair.forge(id, request(1_000)).unwrap();
    assert!(pair.agent.accepted.is_empty());
    pair.agent.assert_empty();
}

#[test]
fn an_id_that_is_open_at_both_ends_costs_that_exchange() {
    let mut pair = Pair::new();
    let call = pair.gateway.call(get(), empty());
    pair.drive();
    pair.forge_up(call.id, request(1)).unwrap();
    assert!(pair.gateway.accepted.is_empty());
    pair.drive();
    assert_eq!(call.reader.error().cause(), Cause::Protocol);
    pair.agent.accepted.clear();
    pair.drive();
    pair.assert_empty();
    pair.assert_works();
}

#[test]
fn a_peer_that_resets_gets_nothing_that_was_queued() {
    let mut pair = Pair::new();
    let id = pair.runtime.next_id();
    pair.forge(id, request(100_000)).unwrap();
    pair.up().hold_writer();
    let (feed, body) = Feed::new();
    (0..3).for_each(|_| feed.push(vec![0; 32 * 1024]));
    let answer = pair.agent.answer(body);
    pair.drive();
    assert!(pair.up().lane.queued_bytes() > 0);
    pair.forge(id, reset(ResetReason::Cancel)).unwrap();
    assert_eq!(pair.up().lane.queued_bytes(), 0);
    pair.release();
    assert_eq!(pair.up().notes_of(id), []);
    answer.reader.allow(usize::MAX);
    pair.drive();
    assert_eq!(answer.reader.error().cause(), Cause::Canceled);
    pair.agent.assert_empty();
}

#[test]
fn refused_uploads_are_late_and_no_flood() {
    let mut pair = Pair::with(Settings {
        max_exchanges: 1,
        ..Settings::default()
    });
    let held = pair.runtime.next_id();
    pair.forge(held, request(1_000)).unwrap();
    for _ in 0..100 {
        let id = pair.runtime.next_id();
        pair.forge(id, request(1_000)).unwrap();
        for _ in 0..7 {
            pair.forge(id, data(32 * 1024, false)).unwrap();
        }
    }
}
