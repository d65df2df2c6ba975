//! Halves that are dropped before their time.

use super::{
    body::{FedBody, Feed, Reader, empty, full},
    link::Note,
    pair::{Answer, Call, Pair, expecting, get},
};
use crate::{
    error::{Cause, Sent},
    message::Payload,
    reason::ResetReason,
};

const CHUNK: usize = 32 * 1024;

/// A body that has `frames` chunks, and no end yet.
fn open_body(frames: usize) -> (Feed, FedBody) {
    let (feed, body) = Feed::new();
    (0..frames).for_each(|_| feed.push(vec![1; CHUNK]));
    (feed, body)
}

/// How far an exchange has come when it is given up.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Opened,
    HeadQueued,
    HeadOnTheWire,
    Accepted,
    Answered,
    MidBody,
}

const STAGES: [Stage; 6] = [
    Stage::Opened,
    Stage::HeadQueued,
    Stage::HeadOnTheWire,
    Stage::Accepted,
    Stage::Answered,
    Stage::MidBody,
];

/// What there is of an exchange at a stage.
struct Running {
    call: Call,
    request: Feed,
    answer: Option<(Answer, Feed)>,
}

fn reach(pair: &mut Pair, stage: Stage) -> Running {
    let (request, body) = open_body(20);
    let call = pair.gateway.call(get(), body);
    let mut running = Running {
        call,
        request,
        answer: None,
    };
    match stage {
        Stage::Opened => return running,
        Stage::HeadQueued => pair.down().hold_writer(),
        Stage::HeadOnTheWire => pair.down().hold_wire(),
        Stage::Accepted | Stage::Answered | Stage::MidBody => {}
    }
    pair.drive();
    if matches!(stage, Stage::Answered | Stage::MidBody) {
        let (response, body) = open_body(if stage == Stage::MidBody { 20 } else { 0 });
        running.answer = Some((pair.agent.answer(body), response));
        running.call.reader.allow(3);
        pair.drive();
    }
    running
}

/// Checks that both ends forgot the exchange, and that the lane still works.
fn assert_forgotten(pair: &mut Pair, stage: Stage, running: &Running) {
    pair.release();
    let written = pair.down().notes_of(running.call.id);
    match stage {
        Stage::Opened | Stage::HeadQueued => assert_eq!(written, [], "nothing may go out"),
        _ => assert!(
            matches!(written.last(), Some(Note::Reset(_))),
            "{stage:?}: {written:?}"
        ),
    }
    if stage == Stage::Accepted {
        let accepted = pair.agent.accept();
        let reader = Reader::new(&pair.runtime, accepted.recv, false).all();
        pair.drive();
        assert_eq!(reader.error().cause(), Cause::Canceled);
        drop(accepted.send);
    }
    // At this stage the request came and was reset before anybody looked at it.
    pair.agent.accepted.clear();
    if let Some((answer, response)) = &running.answer {
        answer.reader.allow(usize::MAX);
        pair.drive();
        assert_eq!(answer.reader.error().cause(), Cause::Canceled);
        assert!(response.is_dropped(), "the far end drops its work");
    }
    pair.drive();
    assert!(running.request.is_dropped());
    pair.assert_empty();
    pair.assert_works();
    pair.assert_empty();
}

#[test]
fn a_caller_who_drops_the_response_is_forgotten() {
    for stage in STAGES {
        let mut pair = Pair::new();
        let running = reach(&mut pair, stage);
        running.call.reader.abort();
        if matches!(stage, Stage::Opened | Stage::HeadQueued) {
            assert_eq!(pair.gateway.session.load(), 0, "the place is free at once");
        }
        assert_forgotten(&mut pair, stage, &running);
    }
}

#[test]
fn a_caller_who_drops_the_request_is_forgotten() {
    for stage in STAGES {
        let mut pair = Pair::new();
        let running = reach(&mut pair, stage);
        running.call.pump.abort();
        if matches!(stage, Stage::Opened | Stage::HeadQueued) {
            assert_eq!(pair.gateway.session.load(), 0, "the place is free at once");
        }
        running.call.reader.allow(usize::MAX);
        pair.drive();
        assert_eq!(running.call.reader.error().cause(), Cause::Canceled);
        assert_forgotten(&mut pair, stage, &running);
    }
}

#[test]
fn a_request_whose_body_breaks_is_forgotten() {
    for stage in STAGES {
        let mut pair = Pair::new();
        let running = reach(&mut pair, stage);
        if stage == Stage::Opened {
            continue;
        }
        // The pump waits for credit or for room, so it sees this only when it comes to it.
        running.request.fail("the client left");
        pair.release();
        let reading = match stage {
            Stage::Answered | Stage::MidBody => None,
            _ => {
                let (response, body) = open_body(1);
                Some((pair.agent.answer(body), response))
            }
        };
        let (answer, response) = running.answer.as_ref().or(reading.as_ref()).unwrap();
        answer.reader.allow(usize::MAX);
        running.call.reader.allow(usize::MAX);
        pair.drive();
        assert!(
            answer.reader.len() <= 20 * CHUNK,
            "a reset discards what is queued"
        );
        assert_eq!(answer.reader.error().cause(), Cause::Canceled);
        assert!(matches!(running.call.pump.take(), Some(Err(_))));
        assert!(running.call.reader.look(|got| got.end.is_some()));
        assert!(response.is_dropped());
        pair.assert_empty();
    }
}

#[test]
fn a_place_is_taken_until_the_reset_is_written() {
    let mut pair = Pair::new();
    let running = reach(&mut pair, Stage::Accepted);
    pair.down().hold_writer();
    running.call.reader.abort();
    pair.drive();
    assert_eq!(
        (pair.gateway.session.pending(), pair.gateway.session.load()),
        (0, 1)
    );
    assert_forgotten(&mut pair, Stage::Accepted, &running);
}

#[test]
fn an_answer_that_is_dropped_fails_the_call() {
    let mut pair = Pair::new();
    let call = pair.gateway.call(get(), empty());
    pair.drive();
    drop(pair.agent.accept());
    pair.drive();
    let error = call.reader.error();
    assert_eq!((error.cause(), error.sent()), (Cause::Internal, Sent::Yes));
    assert!(!error.message().contains("caller"), "{error} blames the caller");
    pair.assert_empty();
}

#[test]
fn an_answer_that_is_dropped_mid_body_is_never_a_complete_one() {
    let mut pair = Pair::new();
    let running = reach(&mut pair, Stage::MidBody);
    running.answer.as_ref().unwrap().0.pump.abort();
    running.call.reader.allow(usize::MAX);
    pair.drive();
    assert_eq!(running.call.reader.error().cause(), Cause::Internal);
    assert!(matches!(running.call.pump.take(), Some(Err(_))));
    running.answer.as_ref().unwrap().0.reader.abort();
    pair.drive();
    pair.assert_empty();
}

#[test]
fn a_response_whose_body_breaks_is_the_fault_of_the_upstream() {
    let mut pair = Pair::new();
    let running = reach(&mut pair, Stage::MidBody);
    running.answer.as_ref().unwrap().1.fail("connection reset");
    running.call.reader.allow(usize::MAX);
    pair.drive();
    let error = running.call.reader.error();
    assert_eq!((error.cause(), error.sent()), (Cause::Upstream, Sent::Yes));
    assert!(
        !error.message().contains("connection reset"),
        "the far end's own error stays there"
    );
}

#[test]
fn a_request_that_nobody_reads_is_discarded_until_the_answer_is_complete() {
    let mut pair = Pair::new();
    let (request, body) = open_body(100);
    let call = pair.gateway.call(get(), body);
    pair.drive();
    let (response, body) = open_body(1);
    let answer = pair.agent.answer(body);
    answer.reader.abort();
    call.reader.allow(usize::MAX);
    pair.drive();
    assert_eq!(request.waiting(), 0, "what is discarded gives its credit back");
    response.push("the rest");
    response.end();
    pair.drive();
    assert_eq!(call.reader.complete().len(), CHUNK + 8);
    assert!(matches!(call.pump.take(), Some(Ok(()))), "nothing failed");
    assert_eq!(pair.up().notes().last(), Some(&Note::Reset(ResetReason::NoError)));
    pair.assert_empty();
}

#[test]
fn a_request_that_is_dropped_after_the_answer_is_stopped() {
    let mut pair = Pair::new();
    let (_request, body) = open_body(100);
    let call = pair.gateway.call(get(), body);
    pair.drive();
    let answer = pair.agent.answer(full("413"));
    call.reader.allow(usize::MAX);
    pair.drive();
    assert_eq!(call.reader.complete(), b"413");
    assert!(call.pump.take().is_none());
    answer.reader.abort();
    pair.drive();
    assert!(matches!(call.pump.take(), Some(Ok(()))));
    pair.assert_empty();
}

#[test]
fn a_stop_does_not_overtake_the_answer() {
    let mut pair = Pair::new();
    let (_request, body) = open_body(100);
    let call = pair.gateway.call(get(), body);
    pair.drive();
    pair.up().hold_writer();
    let (response, body) = open_body(4);
    response.end();
    let answer = pair.agent.answer(body);
    answer.reader.abort();
    pair.drive();
    call.reader.allow(usize::MAX);
    pair.release();
    assert_eq!(call.reader.complete().len(), 4 * CHUNK);
    assert!(matches!(call.pump.take(), Some(Ok(()))));
    pair.assert_empty();
}

#[test]
fn a_response_that_was_read_may_be_dropped_while_the_request_goes_on() {
    let mut pair = Pair::new();
    let (request, body) = open_body(0);
    let call = pair.gateway.call(get(), body);
    pair.drive();
    let answer = pair.agent.answer(full("done"));
    answer.reader.allow(usize::MAX);
    pair.drive();
    call.reader.abort();
    request.push("more");
    request.end();
    pair.drive();
    assert_eq!(answer.reader.complete(), b"more");
    pair.assert_empty();
}

#[test]
fn nothing_of_a_body_is_polled_before_it_is_wanted() {
    let mut pair = Pair::new();
    let (request, body) = open_body(1);
    request.end();
    let call = pair.gateway.call(expecting(), body);
    pair.drive();
    assert_eq!(pair.down().notes(), [Note::Request { len: 0, end: false }]);
    assert_eq!(request.polls(), 0);
    let answer = pair.agent.answer(empty());
    pair.drive();
    assert_eq!(request.polls(), 0);
    answer.reader.allow(usize::MAX);
    call.reader.allow(usize::MAX);
    pair.drive();
    assert_eq!(answer.reader.complete().len(), CHUNK);
    pair.assert_empty();
}

#[test]
fn a_body_that_waits_is_never_wanted_when_it_is_dropped_unread() {
    let mut pair = Pair::new();
    let (request, body) = open_body(1);
    let call = pair.gateway.call(expecting(), body);
    pair.drive();
    let (response, body) = open_body(0);
    let answer = pair.agent.answer(body);
    answer.reader.abort();
    pair.drive();
    response.push("401");
    response.end();
    call.reader.allow(usize::MAX);
    pair.drive();
    assert_eq!(call.reader.complete(), b"401");
    assert_eq!(request.polls(), 0);
    assert!(matches!(call.pump.take(), Some(Ok(()))));
    let notes = pair.up().notes();
    assert!(
        !notes.iter().any(|note| matches!(note, Note::Window(_))),
        "{notes:?}"
    );
    pair.assert_empty();
}

#[test]
fn what_comes_after_a_reset_is_late_and_harmless() {
    let mut pair = Pair::new();
    let running = reach(&mut pair, Stage::Accepted);
    let id = running.call.id;
    running.call.reader.abort();
    assert_forgotten(&mut pair, Stage::Accepted, &running);
    for _ in 0..7 {
        pair.forge(id, super::pair::data(CHUNK, false)).unwrap();
    }
    pair.forge(id, Payload::Window(1)).unwrap();
    pair.forge(id, super::pair::reset(ResetReason::Cancel)).unwrap();
    pair.assert_works();
    pair.assert_empty();
}

#[test]
fn ten_thousand_calls_that_are_given_up_leave_nothing() {
    let mut pair = Pair::new();
    for round in 0..10_000_usize {
        let (_request, body) = open_body(round % 3);
        let call = pair.gateway.call(get(), body);
        for _ in 0..round % 5 {
            pair.step();
        }
        call.reader.abort();
        call.pump.abort();
        if round % 100 == 0 {
            pair.drive();
            pair.agent.accepted.clear();
        }
    }
    pair.drive();
    pair.agent.accepted.clear();
    pair.drive();
    pair.assert_empty();
    assert!(pair.agent.session.closed().is_none() && pair.gateway.session.closed().is_none());
    pair.assert_works();
}

#[test]
fn what_a_failed_exchange_had_received_charges_no_budget_while_its_halves_live() {
    let mut pair = Pair::new();
    let running = reach(&mut pair, Stage::MidBody);
    assert!(pair.gateway.budget.used() > 0 && pair.agent.budget.used() > 0);
    pair.forge(running.call.id, super::pair::reset(ResetReason::Cancel))
        .unwrap();
    pair.forge_up(running.call.id, super::pair::reset(ResetReason::Internal))
        .unwrap();
    assert_eq!((pair.gateway.budget.used(), pair.agent.budget.used()), (0, 0));
}

#[test]
fn a_response_that_has_come_charges_what_is_unread_and_no_more() {
    let mut pair = Pair::new();
    let (_request, body) = open_body(0);
    let call = pair.gateway.call(get(), body);
    pair.drive();
    let _answer = pair.agent.answer(full("a response"));
    pair.drive();
    assert_eq!(pair.gateway.session.pending(), 1);
    assert_eq!(pair.gateway.budget.used(), 10 + crate::message::MESSAGE_COST);
    call.reader.allow(usize::MAX);
    pair.drive();
    assert_eq!(pair.gateway.budget.used(), 0);
}
