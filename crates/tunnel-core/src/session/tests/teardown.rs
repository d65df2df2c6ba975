//! Lost lanes, closed and draining sessions, and the limit of exchanges.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Waker},
};

use super::{
    body::{Feed, Reader, empty, full},
    link::Note,
    pair::{Call, Pair, get, lost},
    runtime::{Flag, poll_once},
};
use crate::{
    error::{Cause, Initiator, Sent, TunnelError},
    lane::Lane,
    reason::ResetReason,
    session::Session,
    settings::Settings,
};

const CHUNK: usize = 32 * 1024;

fn limited(max_exchanges: u32) -> Settings {
    Settings {
        max_exchanges,
        ..Settings::default()
    }
}

/// Calls in every state: answered in full, mid body, accepted, on the wire, queued.
fn calls_in_every_state(pair: &mut Pair) -> (Vec<Call>, Vec<super::pair::Answer>) {
    let mut calls = Vec::new();
    let mut answers = Vec::new();
    let body = || {
        let (feed, body) = Feed::new();
        (0..20).for_each(|_| feed.push(vec![1; CHUNK]));
        body
    };
    calls.push(pair.gateway.call(get(), body()));
    pair.drive();
    answers.push(pair.agent.answer(full("answered in full")));
    calls.push(pair.gateway.call(get(), body()));
    pair.drive();
    answers.push(pair.agent.answer(body()));
    calls.push(pair.gateway.call(get(), body()));
    pair.drive();
    pair.down().hold_wire();
    calls.push(pair.gateway.call(get(), body()));
    pair.drive();
    pair.down().hold_writer();
    calls.push(pair.gateway.call(get(), body()));
    pair.drive();
    calls.push(pair.gateway.call(get(), body()));
    calls.iter().for_each(|call| call.reader.allow(2));
    (calls, answers)
}

fn assert_all_failed(pair: &mut Pair, calls: Vec<Call>, answers: Vec<super::pair::Answer>) {
    for call in &calls {
        call.reader.allow(usize::MAX);
    }
    for answer in &answers {
        answer.reader.allow(usize::MAX);
    }
    pair.drive();
    assert_eq!(calls[0].reader.complete(), b"answered in full");
    for (index, call) in calls.iter().enumerate() {
        let error = call.pump.take().expect("every pump has ended").unwrap_err();
        let sent = if index < 4 { Sent::Yes } else { Sent::No };
        assert_eq!(
            (error.cause(), error.sent()),
            (Cause::AgentLost, sent),
            "call {index}"
        );
        if index > 0 {
            let error = call.reader.error();
            assert_eq!(
                (error.cause(), error.sent()),
                (Cause::AgentLost, sent),
                "call {index}"
            );
        }
    }
    for answer in &answers {
        assert_eq!(answer.reader.error().cause(), Cause::AgentLost);
    }
    let accepted = std::mem::take(&mut pair.agent.accepted);
    for accepted in accepted {
        let reader = Reader::new(&pair.runtime, accepted.recv, false).all();
        pair.drive();
        assert_eq!(reader.error().cause(), Cause::AgentLost);
    }
    drop((calls, answers));
    pair.drive();
    pair.assert_empty();
}

#[test]
fn a_lost_lane_fails_what_was_on_it_and_comes_back() {
    let mut pair = Pair::new();
    let (calls, answers) = calls_in_every_state(&mut pair);
    pair.cut(0);
    assert_all_failed(&mut pair, calls, answers);
    assert!(!pair.gateway.session.is_available());
    let error = pair.gateway.try_call(get(), empty()).err().unwrap();
    assert_eq!((error.cause(), error.sent()), (Cause::AgentLost, Sent::No));
    pair.add_lane(0);
    assert!(pair.gateway.session.is_available());
    pair.assert_works();
    pair.assert_empty();
}

#[test]
fn a_closed_session_fails_everything() {
    let mut pair = Pair::new();
    let (calls, answers) = calls_in_every_state(&mut pair);
    pair.gateway.session.close(&lost());
    pair.agent.session.close(&lost());
    assert_all_failed(&mut pair, calls, answers);
    let error = pair.gateway.try_call(get(), empty()).err().unwrap();
    assert_eq!((error.cause(), error.sent()), (Cause::AgentLost, Sent::No));
    assert!(pair.gateway.session.add_lane(7).is_err());
}

#[test]
fn a_lost_lane_harms_no_other() {
    let mut pair = Pair::of(Settings::default(), crate::flow::DEFAULT_BUDGET, 2);
    pair.links.iter_mut().for_each(|link| link.down.hold_writer());
    let mut calls = Vec::new();
    for _ in 0..4 {
        calls.push(pair.gateway.call(get(), full(vec![1; 3_000])));
        pair.drive();
    }
    let queued = pair.links.iter().map(|link| link.down.lane.queued_bytes());
    assert!(
        queued.min() > Some(0),
        "exchanges go to the lane with the fewest bytes"
    );
    pair.cut(1);
    pair.release();
    pair.agent.echo();
    calls.iter().for_each(|call| call.reader.allow(usize::MAX));
    pair.drive();
    let (lost, done): (Vec<_>, Vec<_>) = calls
        .iter()
        .partition(|call| call.reader.look(|got| matches!(got.end, Some(Err(_)))));
    assert_eq!((lost.len(), done.len()), (2, 2));
    lost.iter()
        .for_each(|call| assert_eq!(call.reader.error().sent(), Sent::No));
    done.iter()
        .for_each(|call| assert_eq!(call.reader.complete().len(), 3_000));
    pair.assert_empty();
}

#[test]
fn a_guard_that_drops_loses_its_lane() {
    let mut pair = Pair::new();
    let call = pair.gateway.call(get(), empty());
    pair.drive();
    let guard = pair.gateway.session.guard(pair.links[0].down.lane.clone());
    drop(guard);
    pair.drive();
    assert_eq!(call.reader.error().cause(), Cause::AgentLost);
    assert_eq!(call.reader.error().sent(), Sent::Yes);
    pair.gateway.assert_empty();
}

#[test]
fn an_exchange_cannot_come_on_a_lane_that_is_lost() {
    let mut pair = Pair::new();
    let lane = pair.links[0].up.lane.clone();
    pair.agent.session.lose_lane(&lane, &lost());
    let id = pair.runtime.next_id();
    pair.forge(id, super::pair::request(1_000)).unwrap();
    assert!(pair.agent.accepted.is_empty());
    pair.agent.assert_empty();
}

#[test]
fn more_exchanges_than_the_limit_are_not_opened() {
    let mut pair = Pair::with(limited(2));
    let calls = [
        pair.gateway.call(get(), empty()),
        pair.gateway.call(get(), empty()),
    ];
    assert!(!pair.gateway.session.has_room());
    let error = pair.gateway.try_call(get(), empty()).err().unwrap();
    assert_eq!((error.cause(), error.sent()), (Cause::Overloaded, Sent::No));
    pair.drive();
    pair.agent.echo();
    pair.drive();
    assert!(pair.gateway.session.has_room());
    drop(calls);
    pair.assert_works();
}

#[test]
fn a_request_beyond_the_limit_is_refused_and_may_go_elsewhere() {
    let mut pair = Pair::with(limited(1));
    // The limit, and the slack that the acceptor leaves.
    let held: Vec<_> = (0..9)
        .map(|_| {
            let forged = pair.runtime.next_id();
            pair.forge(forged, super::pair::request(1_000)).unwrap();
            pair.agent.accept()
        })
        .collect();
    let call = pair.gateway.call(get(), full("body"));
    pair.drive();
    assert_eq!(call.reader.error().sent(), Sent::Refused);
    assert_eq!(call.reader.error().cause(), Cause::Overloaded);
    assert!(pair.agent.accepted.is_empty(), "nobody has seen it");
    assert_eq!(pair.up().notes_of(call.id), [Note::Reset(ResetReason::Refused)]);
    drop(held);
    pair.drive();
    pair.assert_works();
}

#[test]
fn a_peer_that_does_not_read_its_refusals_loses_the_session() {
    let mut pair = Pair::with(limited(1));
    pair.up().hold_writer();
    let result = (0..2_000).try_for_each(|_| {
        let id = pair.runtime.next_id();
        pair.forge(id, super::pair::request(1_000))
    });
    assert_eq!(result.unwrap_err().cause(), Cause::Protocol);
}

#[test]
fn a_draining_session_finishes_what_it_has() {
    let mut pair = Pair::new();
    let (feed, body) = Feed::new();
    let call = pair.gateway.call(get(), body);
    pair.drive();
    pair.agent.session.drain();
    // The gateway does not know of it yet.
    let late = pair.gateway.call(get(), full("new"));
    pair.drive();
    pair.gateway.session.drain();
    let error = pair.gateway.try_call(get(), empty()).err().unwrap();
    assert_eq!((error.cause(), error.sent()), (Cause::Draining, Sent::No));
    assert!(pair.gateway.session.is_draining() && !pair.gateway.session.has_room());
    let _answers = (pair.agent.echo(), pair.agent.echo());
    feed.push("the rest");
    feed.end();
    call.reader.allow(usize::MAX);
    late.reader.allow(usize::MAX);
    pair.drive();
    assert_eq!(call.reader.complete(), b"the rest");
    assert_eq!(late.reader.complete(), b"new");
    pair.assert_empty();
}

#[test]
fn an_idle_session_has_written_all() {
    let mut pair = Pair::new();
    let call = pair.gateway.call(get(), empty());
    pair.drive();
    pair.agent.session.drain();
    let session = pair.agent.session.clone();
    let idle = pair
        .runtime
        .start(async move { poll_fn(|cx| session.poll_idle(cx)).await });
    pair.drive();
    assert!(idle.take().is_none());
    pair.up().hold_writer();
    let answer = pair.agent.answer(full("the last word"));
    answer.reader.allow(usize::MAX);
    pair.drive();
    assert_eq!(pair.agent.session.pending(), 0);
    assert!(idle.take().is_none(), "the response has not been written");
    pair.release();
    assert!(idle.take().is_some());
    call.reader.allow(usize::MAX);
    pair.drive();
    assert_eq!(call.reader.complete(), b"the last word");
}

#[test]
fn an_idle_session_is_known_when_its_last_exchange_is_given_up() {
    let mut pair = Pair::new();
    let call = pair.gateway.call(get(), empty());
    pair.drive();
    let session = pair.gateway.session.clone();
    let idle = pair
        .runtime
        .start(async move { poll_fn(|cx| session.poll_idle(cx)).await });
    pair.drive();
    call.reader.abort();
    pair.drive();
    assert!(idle.take().is_some());
}

#[test]
fn a_session_that_has_been_answered_may_still_be_asked() {
    let mut pair = Pair::new();
    let (down, up) = (pair.gateway.call(get(), empty()), pair.agent.call(get(), empty()));
    pair.drive();
    let answered = |session: Session| poll_fn(move |cx| session.poll_answered(cx));
    let waits = pair.runtime.start(answered(pair.gateway.session.clone()));
    pair.drive();
    assert!(waits.take().is_none());
    let answer = pair.agent.answer(full("an answer"));
    answer.reader.allow(usize::MAX);
    down.reader.allow(usize::MAX);
    pair.drive();
    assert!(waits.take().is_some(), "what the agent has asked does not count");
    assert_eq!(pair.gateway.session.pending(), 1);

    let waits = pair.runtime.start(answered(pair.agent.session.clone()));
    pair.drive();
    assert!(waits.take().is_none());
    pair.agent.session.close(&lost());
    pair.drive();
    assert!(
        waits.take().is_some(),
        "nothing is open in a session that is over"
    );
    up.reader.allow(usize::MAX);
    pair.drive();
    assert_eq!(up.reader.error().cause(), Cause::AgentLost);
}

#[test]
fn whoever_waits_for_the_end_is_woken_by_it_alone() {
    let mut pair = Pair::new();
    let session = pair.gateway.session.clone();
    let closed = pair
        .runtime
        .start(async move { poll_fn(|cx| session.poll_closed(cx)).await });
    pair.assert_works();
    pair.assert_works();
    assert_eq!(closed.wakes(), 0);
    let error = TunnelError::new(Cause::Draining, Initiator::Tunnel, "the end");
    pair.gateway.session.close(&error);
    pair.gateway.session.close(&lost());
    pair.drive();
    assert_eq!(closed.take().map(|error| error.cause()), Some(Cause::Draining));
    assert!(pair.gateway.session.closed().is_some());
}

#[test]
fn whoever_waits_for_a_change_of_availability_is_woken_by_each() {
    type Change = fn(&Session, &Lane);

    let pair = Pair::new();
    let session = &pair.gateway.session;
    let mut seen = 0;
    let lane = pair.links[0].down.lane.clone();
    let changes: [(Change, bool); 4] = [
        (|session, lane| session.lose_lane(lane, &lost()), false),
        (|session, _| drop(session.add_lane(7).unwrap()), true),
        (|session, _| session.drain(), false),
        (|session, _| session.close(&lost()), false),
    ];
    assert!(poll_once(|cx| session.poll_changed(&mut seen, cx)).is_ready());
    for (change, is_available) in changes {
        let flag = Flag::new();
        let waker = Waker::from(flag.clone());
        let mut cx = Context::from_waker(&waker);
        assert!(session.poll_changed(&mut seen, &mut cx).is_pending());
        change(session, &lane);
        assert_eq!(flag.wakes(), 1);
        assert!(session.poll_changed(&mut seen, &mut cx).is_ready());
        assert_eq!(session.is_available(), is_available);
    }
    session.drain();
    assert!(poll_once(|cx| session.poll_changed(&mut seen, cx)).is_pending());
}

#[test]
fn a_lane_is_added_once() {
    let pair = Pair::new();
    assert!(pair.gateway.session.add_lane(0).is_err());
    assert!(pair.gateway.session.add_lane(1).is_ok());
}

#[test]
fn a_session_and_its_lanes_are_freed() {
    let mut pair = Pair::new();
    let (_calls, _answers) = calls_in_every_state(&mut pair);
    pair.gateway.session.close(&lost());
    pair.drive();
    let table = Arc::downgrade(&pair.gateway.session.0);
    drop((pair, _calls, _answers));
    assert!(table.upgrade().is_none());
}
