//! Silence: the idle timeout, and pings.

use super::*;
use crate::ws::opcode;

fn idle(kind: Kind) -> Bench {
    Bench::new(|relay, _| relay.kind(kind).idle_timeout(Some(Duration::from_secs(60)))).listen()
}

fn pinging() -> Bench {
    Bench::new(|relay, _| {
        relay
            .kind(Kind::WebSocket)
            .ping_interval(Some(Duration::from_secs(20)))
    })
}

/// The payload of the one Ping that these bytes are.
fn ping_of(bytes: &[u8]) -> Vec<u8> {
    let (head, len) = FrameHead::parse(bytes).unwrap().unwrap();
    assert_eq!((head.opcode, head.fin, head.mask), (opcode::PING, true, None));
    assert_eq!(bytes.len() - len, head.length as usize);
    bytes[len..].to_vec()
}

#[test]
fn a_byte_in_either_direction_keeps_a_stream() {
    for kind in [Kind::Opaque, Kind::WebSocket] {
        let bench = idle(kind);
        bench.advance(50);
        bench.wire.say(b"a");
        bench.run();
        bench.advance(50);
        bench.source.give(frame(opcode::TEXT, b""));
        bench.run();
        bench.advance(59);
        bench.assert_runs();
        bench.wire.take();
        bench.advance(1);
        let said = bench.wire.take();
        if kind == Kind::Opaque {
            assert!(said.is_empty());
            assert_eq!(bench.heard_end(), Some(Some(Cause::Deadline)));
        } else {
            assert_eq!(said[..4], [0x88, said[1], 0x03, 0xe9]);
            bench.advance(30);
        }
        bench.assert_over();
    }
}

#[test]
fn a_client_that_takes_nothing_is_idle() {
    let bench = idle(Kind::Opaque);
    bench.wire.room(0);
    bench.source.give("hello");
    bench.run();
    bench.advance(60);
    bench.assert_over();
}

#[test]
fn nothing_ends_by_itself_unless_it_is_set() {
    let bench = Bench::new(|relay, _| {
        relay
            .kind(Kind::WebSocket)
            .idle_timeout(Some(Duration::ZERO))
            .ping_interval(None)
    })
    .listen();
    bench.advance(1_000_000);
    bench.assert_runs();
    assert!(bench.wire.take().is_empty());
}

#[test]
fn a_silent_client_is_asked_and_its_answer_stays_here() {
    let bench = pinging().listen();
    bench.advance(19);
    assert!(bench.wire.take().is_empty());
    for _ in 0..5 {
        bench.advance(1);
        let payload = ping_of(&bench.wire.take());
        bench.advance(10);
        bench.wire.say(&masked(opcode::PONG, &payload));
        bench.run();
        assert!(bench.heard().is_empty());
        bench.advance(19);
        assert!(bench.wire.take().is_empty());
    }
    // Other Pongs are answers to the server.
    for foreign in [&b"12345678"[..], b"", b"a longer one than ours"] {
        let pong = masked(opcode::PONG, foreign);
        bench.wire.say(&pong);
        bench.run();
        assert_eq!(bench.heard(), pong);
    }
}

#[test]
fn a_client_that_does_not_answer_is_gone() {
    let bench = pinging().listen();
    bench.advance(20);
    ping_of(&bench.wire.take());
    bench.advance(19);
    bench.assert_runs();
    bench.advance(1);
    assert!(bench.wire.take().is_empty());
    assert_eq!(bench.heard_end(), Some(Some(Cause::Canceled)));
    bench.assert_over();
}

#[test]
fn a_client_that_nobody_listens_to_is_not_silent() {
    let mut bench = pinging();
    bench.advance(1_000);
    assert!(bench.wire.take().is_empty());
    bench.assert_runs();
    bench.start_listening();
    bench.advance(20);
    bench.advance(20);
    ping_of(&bench.wire.take());
}

#[test]
fn a_ping_waits_for_the_border_of_a_frame() {
    let bench = pinging().listen();
    let whole = frame(opcode::BINARY, &[7; 1_000]);
    bench.source.give(whole[..500].to_vec());
    bench.run();
    bench.advance(1_000);
    bench.advance(1_000);
    assert_eq!(bench.wire.take(), &whole[..500]);
    bench.assert_runs();
    bench.source.give([&whole[500..], &whole].concat());
    bench.run();
    let said = bench.wire.take();
    let rest = whole.len() - 500;
    assert_eq!(said[..rest], whole[500..]);
    assert_eq!(said[said.len() - whole.len()..], whole);
    ping_of(&said[rest..said.len() - whole.len()]);
}

#[test]
fn no_ping_goes_behind_a_close() {
    let bench = pinging().listen();
    bench.source.give(frame(opcode::CLOSE, &[0x03, 0xe8]));
    bench.run();
    bench.wire.take();
    bench.advance(1_000);
    assert!(bench.wire.take().is_empty());
    bench.assert_runs();
}

#[test]
fn pings_and_their_answers_are_no_life() {
    let bench = Bench::new(|relay, _| {
        relay
            .kind(Kind::WebSocket)
            .idle_timeout(Some(Duration::from_secs(60)))
            .ping_interval(Some(Duration::from_secs(20)))
    })
    .listen();
    for _ in 0..2 {
        bench.advance(20);
        let payload = ping_of(&bench.wire.take());
        bench.wire.say(&masked(opcode::PONG, &payload));
        bench.run();
    }
    bench.advance(20);
    assert!(bench.wire.take().starts_with(&[0x88]));
}

#[test]
fn a_client_whose_words_nobody_wants_is_asked_all_the_same() {
    let mut bench = pinging().listen();
    bench.abandon();
    for _ in 0..5 {
        bench.advance(20);
        let payload = ping_of(&bench.wire.take());
        bench.advance(1);
        bench.wire.say(&masked(opcode::PONG, &payload));
        bench.run();
    }
    bench.advance(20);
    bench.advance(20);
    bench.assert_over();
}
