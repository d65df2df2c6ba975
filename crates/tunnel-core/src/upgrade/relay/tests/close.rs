//! What a WebSocket client hears when its stream ends.

use super::*;
use crate::ws::opcode;

pub(super) fn server_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let head = FrameHead {
        fin: true,
        rsv: 0,
        opcode,
        mask: None,
        length: payload.len() as u64,
    };
    [&head.encode()[..], payload].concat()
}

/// The code and the reason of the one frame that these bytes are.
fn code_of(bytes: &[u8]) -> u16 {
    let (head, len) = FrameHead::parse(bytes).unwrap().unwrap();
    assert_eq!(
        (head.opcode, head.fin, head.rsv, head.mask),
        (opcode::CLOSE, true, 0, None)
    );
    assert_eq!(bytes.len() - len, head.length as usize);
    assert!(std::str::from_utf8(&bytes[len + 2..]).is_ok() && head.length <= 125);
    u16::from_be_bytes([bytes[len], bytes[len + 1]])
}

/// Something that fires when a test says so.
fn stopping() -> (Stopping, Source) {
    let (source, body) = Source::new();
    let body = Arc::new(Mutex::new(body));
    let stopping = Stopping::new(move || {
        let body = body.clone();
        Box::pin(async move {
            let _ = poll_fn(|cx| Pin::new(&mut *lock(&body)).poll_frame(cx)).await;
        })
    });
    (stopping, source)
}

fn stoppable() -> (Bench, Source) {
    let (stopping, fire) = stopping();
    let bench = Bench::new(|relay, _| relay.kind(Kind::WebSocket).stopping(Some(&stopping)));
    (bench.listen(), fire)
}

#[test]
fn each_failure_of_the_tunnel_has_its_code() {
    for (cause, code) in [
        (Cause::AgentLost, Some(1012)),
        (Cause::Draining, Some(1001)),
        (Cause::Deadline, Some(1001)),
        (Cause::Malformed, Some(1002)),
        (Cause::Upstream, None),
        (Cause::Canceled, None),
        (Cause::Protocol, None),
        (Cause::Internal, None),
    ] {
        let mut bench = Bench::websocket().listen();
        bench.source.give(frame(opcode::TEXT, b"hello"));
        bench.run();
        assert_eq!(bench.wire.take(), frame(opcode::TEXT, b"hello"));
        bench.source.fail(error(cause));
        bench.run();
        let said = bench.wire.take();
        match code {
            Some(code) => {
                assert_eq!(code_of(&said), code, "{cause}");
                assert!(bench.wire.is_shut());
                // The exchange is over; the client answers, and ends.
                bench.abandon();
                bench.wire.say(&masked(opcode::CLOSE, &code.to_be_bytes()));
                bench.wire.end();
                bench.run();
            }
            None => assert!(said.is_empty() && !bench.wire.is_shut(), "{cause}"),
        }
        bench.assert_over();
    }
}

#[test]
fn inside_a_frame_and_behind_a_close_the_tunnel_says_nothing() {
    let whole = frame(opcode::BINARY, &[7; 200]);
    for cut in [1, 2, 3, 4, 100, whole.len() - 1] {
        let bench = Bench::websocket().listen();
        bench.source.give(whole[..cut].to_vec());
        bench.run();
        bench.source.fail(error(Cause::AgentLost));
        bench.run();
        assert_eq!(bench.wire.take(), &whole[..cut]);
        bench.assert_over();
    }
    let close = frame(opcode::CLOSE, &[0x03, 0xe8]);
    let bench = Bench::websocket().listen();
    bench.source.give(close.clone());
    bench.run();
    bench.source.fail(error(Cause::AgentLost));
    bench.run();
    assert_eq!(bench.wire.take(), close);
    bench.assert_over();
}

#[test]
fn bytes_that_are_no_frames_pass_without_a_word_between_them() {
    let (bench, fire) = stoppable();
    let noise = [0x82, 126, 0, 1, 9, 9, 9];
    bench.source.give(noise.to_vec());
    bench.run();
    fire.end();
    bench.run();
    bench.source.fail(error(Cause::AgentLost));
    bench.run();
    assert_eq!(bench.wire.take(), noise);
    bench.assert_over();
}

#[test]
fn a_client_that_does_not_answer_a_close_is_cut_off() {
    let mut bench = Bench::websocket().listen();
    bench.source.fail(error(Cause::AgentLost));
    bench.run();
    bench.abandon();
    bench.advance(29);
    bench.assert_runs();
    bench.advance(1);
    bench.assert_over();
    // It may not even take the Close.
    let bench = Bench::websocket().listen();
    bench.wire.room(0);
    bench.source.fail(error(Cause::AgentLost));
    bench.run();
    bench.advance(30);
    bench.assert_over();
}

#[test]
fn a_stop_is_said_at_the_next_border_and_the_exchange_ends_in_order() {
    let (bench, fire) = stoppable();
    let whole = frame(opcode::BINARY, &[7; 70_000]);
    bench.source.give(whole[..30_000].to_vec());
    bench.run();
    fire.end();
    bench.run();
    assert_eq!(bench.wire.take(), &whole[..30_000]);
    // The rest of the frame, and what the client does not get any more.
    let next = frame(opcode::TEXT, b"too late");
    bench.source.give([&whole[30_000..], &next].concat());
    bench.run();
    let said = bench.wire.take();
    assert_eq!(said[..40_004 + 6], whole[30_000..]);
    assert_eq!(code_of(&said[40_010..]), 1001);
    // The client's answer goes up; the server answers too, and ends.
    let answer = masked(opcode::CLOSE, &1001_u16.to_be_bytes());
    bench.wire.say(&answer);
    bench.run();
    assert_eq!(bench.heard(), answer);
    bench.source.give(frame(opcode::CLOSE, &1001_u16.to_be_bytes()));
    bench.source.end();
    bench.run();
    assert!(bench.wire.take().is_empty() && bench.wire.is_shut());
    bench.wire.end();
    bench.run();
    assert_eq!(bench.heard_end(), Some(None));
    bench.assert_over();
}

#[test]
fn a_stop_is_said_once_and_at_once_between_frames() {
    let (bench, fire) = stoppable();
    fire.end();
    bench.run();
    assert_eq!(code_of(&bench.wire.take()), 1001);
    bench.source.fail(error(Cause::AgentLost));
    bench.run();
    assert!(bench.wire.take().is_empty() && bench.wire.is_shut());
    // The client ends as well.
    bench.wire.end();
    bench.run();
    bench.assert_over();
}

#[test]
fn a_stop_during_the_servers_close_says_nothing() {
    let (bench, fire) = stoppable();
    let close = frame(opcode::CLOSE, &[0x03, 0xe8, b'b', b'y', b'e']);
    bench.source.give(close[..3].to_vec());
    bench.run();
    fire.end();
    bench.run();
    bench.source.give(close[3..].to_vec());
    bench.source.end();
    bench.wire.end();
    bench.run();
    assert_eq!(bench.wire.take(), close);
    bench.assert_over();
}

#[test]
fn a_stop_means_nothing_to_bytes_that_are_not_websocket() {
    let (stopping, fire) = stopping();
    let bench = Bench::new(|relay, _| relay.stopping(Some(&stopping))).listen();
    fire.end();
    bench.run();
    bench.source.give("on");
    bench.run();
    assert_eq!(bench.wire.take(), b"on");
    bench.assert_runs();
}

#[test]
fn a_server_that_ends_leaves_its_client_half_a_minute() {
    let bench = Bench::websocket().listen();
    bench.source.give(frame(opcode::CLOSE, &[0x03, 0xe8]));
    bench.source.end();
    bench.run();
    assert!(bench.wire.is_shut());
    bench.wire.say(&masked(opcode::CLOSE, &[0x03, 0xe8]));
    bench.run();
    assert_eq!(bench.heard().len(), 8);
    bench.advance(29);
    bench.assert_runs();
    bench.advance(1);
    assert_eq!(bench.heard_end(), Some(Some(Cause::Deadline)));
    bench.assert_over();
}

#[test]
fn credentials_that_expire_are_said_between_frames_and_break_off_other_protocols() {
    let limited = |kind| {
        Bench::new(|relay, runtime| {
            let at = runtime.now() + Duration::from_secs(60);
            let later = at + Duration::from_secs(60);
            relay.kind(kind).expiry(Some(at)).deadline(Some(later))
        })
        .listen()
    };
    let bench = limited(Kind::WebSocket);
    bench.advance(59);
    bench.assert_runs();
    bench.advance(1);
    assert_eq!(code_of(&bench.wire.take()), 1008);
    bench.wire.end();
    bench.source.end();
    bench.run();
    bench.assert_over();

    let bench = limited(Kind::Opaque);
    bench.advance(60);
    assert!(bench.wire.take().is_empty() && !bench.wire.is_shut());
    assert_eq!(bench.heard_end(), Some(Some(Cause::Unauthenticated)));
    bench.assert_over();
}

#[test]
fn a_deadline_is_said_between_frames_and_breaks_off_within_one() {
    let limited = |kind| {
        Bench::new(|relay, runtime| {
            let at = runtime.now() + Duration::from_secs(60);
            relay.kind(kind).deadline(Some(at))
        })
        .listen()
    };
    let bench = limited(Kind::WebSocket);
    bench.advance(59);
    bench.assert_runs();
    bench.advance(1);
    assert_eq!(code_of(&bench.wire.take()), 1001);
    bench.wire.end();
    bench.source.end();
    bench.run();
    bench.assert_over();

    let bench = limited(Kind::WebSocket);
    bench.source.give(vec![0x82]);
    bench.run();
    bench.advance(60);
    assert_eq!(bench.wire.take(), [0x82]);
    assert_eq!(bench.heard_end(), Some(Some(Cause::Deadline)));
    bench.assert_over();

    let bench = limited(Kind::Opaque);
    bench.advance(60);
    assert!(bench.wire.take().is_empty() && !bench.wire.is_shut());
    bench.assert_over();
}
