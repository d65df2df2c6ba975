//! What follows an upgrade: frames of WebSocket, or bytes.

use super::{
    body::{Feed, Reader, empty, full},
    link::Note,
    pair::{Answer, Call, Pair, asking, data, get, request, response, response_start, switching},
};
use crate::{
    body::TunnelBody,
    error::{Cause, Initiator},
    flow::{DEFAULT_BUDGET, DEFAULT_INITIAL_CREDIT},
    message::{Data, End, MESSAGE_COST, Payload, ResponseStart},
    reason::ResetReason,
    settings::{Features, Settings},
    ws::{FrameHead, WsFrame, mask, opcode},
};

const KEY: Option<[u8; 4]> = Some([1, 2, 3, 4]);
const WINDOW: usize = DEFAULT_INITIAL_CREDIT as usize;

/// A whole frame as it stands on a connection.
fn frame(opcode: u8, key: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let head = FrameHead {
        fin: true,
        rsv: 4,
        opcode,
        mask: key,
        length: payload.len() as u64,
    };
    let mut payload = payload.to_vec();
    mask(&mut payload, key.unwrap_or_default(), 0);
    [&head.encode()[..], &payload].concat()
}

/// The frames of a client that came out at a server: with masks, but without the keys.
fn unmasked(mut bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    while !bytes.is_empty() {
        let (head, len) = FrameHead::parse(bytes).unwrap().expect("a whole head");
        let key = head.mask.expect("a client's frame has a mask");
        assert_ne!(key, KEY.unwrap(), "the key is a fresh one");
        let end = bytes.len().min(len + usize::try_from(head.length).unwrap());
        let mut payload = bytes[len..end].to_vec();
        mask(&mut payload, key, 0);
        plain.extend_from_slice(&FrameHead { mask: None, ..head }.encode());
        plain.extend(payload);
        bytes = &bytes[end..];
    }
    plain
}

/// A WebSocket that is open; both readers read all.
struct Open {
    call: Call,
    answer: Answer,
    client: Feed,
    server: Feed,
}

fn open(pair: &mut Pair, protocol: &'static str) -> Open {
    let ((client, up), (server, down)) = (Feed::new(), Feed::new());
    let call = pair.gateway.call(asking(protocol), up);
    pair.drive();
    let answer = pair.agent.answer_with(switching(), down);
    call.reader.allow(usize::MAX);
    answer.reader.allow(usize::MAX);
    pair.drive();
    Open {
        call,
        answer,
        client,
        server,
    }
}

#[test]
fn frames_pass_in_both_directions_and_each_direction_ends_by_itself() {
    let mut pair = Pair::new();
    let ws = open(&mut pair, "WebSocket");
    let frames = [
        (opcode::TEXT, &b"hello"[..]),
        (opcode::PING, b""),
        (opcode::BINARY, &[7; 100_000]),
    ];
    for (opcode, payload) in frames {
        ws.client.push(frame(opcode, KEY, payload));
        ws.server.push(frame(opcode, None, payload));
    }
    pair.drive();
    let bytes: Vec<u8> = frames
        .iter()
        .flat_map(|(opcode, payload)| frame(*opcode, None, payload))
        .collect();
    ws.client.end();
    pair.drive();
    assert_eq!(unmasked(&ws.answer.reader.complete()), bytes);
    ws.server.push(frame(opcode::CLOSE, None, &[3, 232]));
    ws.server.end();
    pair.drive();
    let close = frame(opcode::CLOSE, None, &[3, 232]);
    assert_eq!(ws.call.reader.complete(), [bytes, close].concat());
    let Note::Frame { len: 5, more: false } = pair.down().notes()[1] else {
        panic!("a small frame is one message")
    };
    drop(ws);
    pair.assert_empty();
}

#[test]
fn a_piece_of_a_frame_waits_for_no_other() {
    let mut pair = Pair::new();
    let ws = open(&mut pair, "websocket");
    let whole = frame(opcode::BINARY, KEY, &[9; 1_000]);
    for part in [&whole[..3], &whole[3..8], &whole[8..300], &whole[300..]] {
        ws.client.push(part.to_vec());
        pair.drive();
    }
    let notes = &pair.down().notes()[1..];
    assert_eq!(
        notes,
        [
            Note::Frame { len: 292, more: true },
            Note::Frame {
                len: 708,
                more: false
            },
        ]
    );
    assert_eq!(
        unmasked(&ws.answer.reader.look(|got| got.data.clone())),
        frame(opcode::BINARY, None, &[9; 1_000])
    );
}

#[test]
fn a_direction_may_end_in_the_middle_of_a_frame() {
    let mut pair = Pair::new();
    let ws = open(&mut pair, "websocket");
    let whole = frame(opcode::BINARY, None, &[9; 100]);
    ws.server.push(whole[..50].to_vec());
    ws.server.end();
    ws.client.end();
    pair.drive();
    assert_eq!(ws.call.reader.complete(), whole[..50]);
    drop(ws);
    pair.assert_empty();
}

#[test]
fn other_protocols_and_older_peers_get_bytes_as_they_are() {
    let pairs = [
        (Pair::new(), "chat/1"),
        (Pair::featuring(Features::NONE), "websocket"),
    ];
    for (mut pair, protocol) in pairs {
        let ws = open(&mut pair, protocol);
        ws.client.push(&b"\xff\xff no frame"[..]);
        ws.server.push(frame(opcode::TEXT, KEY, b"masked"));
        ws.client.end();
        ws.server.end();
        pair.drive();
        assert_eq!(ws.answer.reader.complete(), b"\xff\xff no frame");
        assert_eq!(ws.call.reader.complete(), frame(opcode::TEXT, KEY, b"masked"));
        assert!(
            !pair
                .down()
                .notes()
                .iter()
                .any(|note| matches!(note, Note::Frame { .. }))
        );
        drop(ws);
        pair.assert_empty();
    }
}

#[test]
fn a_refusal_is_an_ordinary_answer_whatever_becomes_of_the_request() {
    for is_failing in [true, false] {
        let mut pair = Pair::new();
        let (client, up) = Feed::new();
        let call = pair.gateway.call(asking("websocket"), up);
        pair.drive();
        let (server, down) = Feed::new();
        let answer = pair.agent.answer_with(response_start(), down);
        server.push(&b"go "[..]);
        pair.drive();
        // Whoever has seen the head lets the body of the request go.
        if is_failing {
            client.fail("nobody will fill it");
        } else {
            client.end();
        }
        pair.drive();
        server.push(&b"away"[..]);
        server.end();
        call.reader.allow(usize::MAX);
        answer.reader.allow(usize::MAX);
        pair.drive();
        assert_eq!(call.reader.complete(), b"go away");
        assert!(answer.reader.complete().is_empty());
        drop((call, answer));
        pair.assert_empty();
    }
}

#[test]
fn a_client_that_breaks_the_framing_is_malformed() {
    let mut pair = Pair::new();
    let ws = open(&mut pair, "websocket");
    ws.client.push(frame(opcode::TEXT, None, b"no mask"));
    pair.drive();
    let error = ws.call.reader.error();
    assert_eq!(
        (error.cause(), error.initiator()),
        (Cause::Malformed, Initiator::Caller)
    );
    assert_eq!(ws.answer.reader.error().cause(), Cause::Canceled);
    assert!(ws.client.is_dropped() && ws.server.is_dropped());
    drop(ws);
    pair.assert_empty();
}

#[test]
fn a_server_that_breaks_the_framing_is_at_fault_itself() {
    let mut pair = Pair::new();
    let ws = open(&mut pair, "websocket");
    ws.server.push(frame(opcode::TEXT, KEY, b"a mask"));
    pair.drive();
    for error in [ws.call.reader.error(), ws.answer.reader.error()] {
        assert_eq!(
            (error.cause(), error.initiator()),
            (Cause::Protocol, Initiator::Peer)
        );
    }
    drop(ws);
    pair.assert_empty();
}

#[test]
fn a_content_length_promises_nothing_about_what_follows() {
    let mut pair = Pair::new();
    let (start, send, _recv) = pair.gateway.open(asking("websocket")).unwrap();
    let pump = pair.runtime.start(crate::pump::Pump::new(
        start,
        full(frame(opcode::TEXT, KEY, b"x")),
        send,
        super::pair::Direct,
    ));
    pair.drive();
    let accepted = pair.agent.accept();
    let mut headers = http::HeaderMap::new();
    headers.insert("content-length", http::HeaderValue::from_static("0"));
    let mut body = TunnelBody::new(accepted.recv, &headers);
    let polled =
        super::runtime::poll_once(|cx| http_body::Body::poll_frame(std::pin::Pin::new(&mut body), cx));
    assert!(matches!(polled, std::task::Poll::Ready(Some(Ok(_)))));
    drop((body, accepted.send, pump));
}

#[test]
fn frames_that_nobody_reads_are_discarded_and_their_credit_returned() {
    let mut pair = Pair::new();
    let ws = open(&mut pair, "websocket");
    ws.answer.reader.abort();
    for _ in 0..30 {
        ws.client.push(frame(opcode::BINARY, KEY, &[1; 60_000]));
    }
    ws.server.push(frame(opcode::TEXT, None, b"still here"));
    pair.drive();
    assert_eq!(ws.client.waiting(), 0, "all was sent");
    ws.server.end();
    pair.drive();
    assert_eq!(
        ws.call.reader.complete(),
        frame(opcode::TEXT, None, b"still here")
    );
    assert!(ws.client.is_dropped(), "the client's direction was stopped");
    drop(ws);
    pair.assert_empty();
}

/// Empty frames, so many to a message of the body.
fn pings(count: usize) -> Vec<u8> {
    frame(opcode::PING, KEY, b"").repeat(count)
}

#[test]
fn a_million_empty_frames_are_bounded_by_credit() {
    const FRAMES: usize = 1_000_000;
    let mut pair = Pair::new();
    let (client, up) = Feed::new();
    let _call = pair.gateway.call(asking("websocket"), up);
    pair.drive();
    let (_server, down) = Feed::new();
    let answer = pair.agent.answer_with(switching(), down);
    for _ in 0..FRAMES / 2_000 {
        client.push(pings(2_000));
    }
    client.end();
    pair.drive();
    let count = |notes: Vec<Note>| {
        notes
            .iter()
            .filter(|note| matches!(note, Note::Frame { .. }))
            .count()
    };
    assert_eq!(count(pair.down().notes()), WINDOW / MESSAGE_COST);
    assert_eq!(answer.reader.len(), 0);
    answer.reader.allow(1);
    pair.drive();
    assert_eq!(answer.reader.len() / 1_000, 16, "what waits comes out together");
    answer.reader.allow(usize::MAX);
    pair.drive();
    assert_eq!(answer.reader.complete().len(), FRAMES * 6);
}

#[test]
fn tiny_frames_move_through_the_smallest_window() {
    let settings = Settings {
        initial_credit: 1_024,
        max_chunk: 1_024,
        ..Settings::default()
    };
    let mut pair = Pair::of(settings, DEFAULT_BUDGET, 1);
    let ws = open(&mut pair, "websocket");
    let mut expected = Vec::new();
    for len in (0..3_000).step_by(7) {
        ws.server.push(frame(opcode::BINARY, None, &vec![5; len]));
        expected.extend(frame(opcode::BINARY, None, &vec![5; len]));
        ws.server.push(frame(opcode::PONG, None, b""));
        expected.extend(frame(opcode::PONG, None, b""));
    }
    ws.server.end();
    pair.drive();
    assert_eq!(ws.call.reader.complete(), expected);
}

fn whole(len: usize) -> Payload {
    Payload::Frame(WsFrame::whole(true, opcode::BINARY, vec![1; len].into()))
}

fn piece(len: usize, length: u64, more: bool) -> Payload {
    Payload::Frame(WsFrame {
        more,
        length,
        ..WsFrame::whole(true, opcode::BINARY, vec![1; len].into())
    })
}

fn upgraded() -> Payload {
    Payload::Response(Box::new(switching()))
}

/// An answer that switches, with this in its head.
fn upgraded_with(data: &'static [u8]) -> Payload {
    Payload::Response(Box::new(ResponseStart {
        data: data.into(),
        ..switching()
    }))
}

#[test]
fn an_answer_that_breaks_the_rules_costs_itself_alone() {
    use ResetReason::{FlowControl, Protocol};
    let cases = [
        ("a frame before the head", true, vec![whole(1)], Protocol),
        (
            "a frame after a refusal",
            true,
            vec![response(), whole(1)],
            Protocol,
        ),
        (
            "a frame of plain HTTP",
            false,
            vec![response(), whole(1)],
            Protocol,
        ),
        ("a switch that nobody wants", false, vec![upgraded()], Protocol),
        ("bytes", true, vec![upgraded(), data(1, false)], Protocol),
        ("bytes in the head", true, vec![upgraded_with(b"x")], Protocol),
        ("two heads", true, vec![upgraded(), upgraded()], Protocol),
        (
            "a frame after the end",
            true,
            vec![upgraded(), data(0, true), whole(1)],
            Protocol,
        ),
        (
            "too few pieces",
            true,
            vec![upgraded(), piece(1, 3, true), piece(1, 0, false)],
            Protocol,
        ),
        (
            "a length that nothing follows",
            true,
            vec![upgraded(), piece(3, 3, false)],
            Protocol,
        ),
        (
            "an empty piece",
            true,
            vec![upgraded(), piece(0, 3, true)],
            Protocol,
        ),
        (
            "more than the credit",
            true,
            vec![upgraded(), whole(WINDOW - 63)],
            FlowControl,
        ),
    ];
    for (what, is_upgrade, messages, reason) in cases {
        let mut pair = Pair::new();
        let (_feed, body) = Feed::new();
        let call = pair
            .gateway
            .call(if is_upgrade { asking("websocket") } else { get() }, body);
        pair.drive();
        for message in messages {
            pair.forge_up(call.id, message)
                .unwrap_or_else(|error| panic!("{what}: {error}"));
        }
        call.reader.allow(usize::MAX);
        pair.drive();
        let last = pair.down().notes_of(call.id).pop();
        if what == "a frame after the end" {
            // That direction was over; the other one is not.
            assert!(call.reader.complete().is_empty());
        } else {
            assert_eq!(call.reader.error().cause(), Cause::Protocol, "{what}");
        }
        assert_eq!(last, Some(Note::Reset(reason)), "{what}");
        pair.agent.accepted.clear();
        pair.assert_works();
        drop(call);
        pair.assert_empty();
    }
}

#[test]
fn a_request_that_breaks_the_rules_costs_itself_alone() {
    use ResetReason::{FlowControl, Protocol};
    let start = || Payload::Request(Box::new(super::pair::request_start(asking("websocket"), 1_000)));
    let ping = Payload::Frame(WsFrame::whole(true, opcode::PING, vec![1].into()));
    let mut empty_frames = vec![start()];
    empty_frames.extend((0..=WINDOW / MESSAGE_COST).map(|_| whole(0)));
    let cases = [
        ("a frame of plain HTTP", vec![request(1_000), whole(1)], Protocol),
        ("bytes", vec![start(), data(1, false)], Protocol),
        (
            "pieces of two frames",
            vec![start(), piece(1, 2, true), ping],
            Protocol,
        ),
        ("one empty frame too many", empty_frames, FlowControl),
    ];
    for (what, messages, reason) in cases {
        let mut pair = Pair::new();
        let id = pair.runtime.next_id();
        for message in messages {
            pair.forge(id, message)
                .unwrap_or_else(|error| panic!("{what}: {error}"));
        }
        let accepted = pair.agent.accept();
        let reader = Reader::new(&pair.runtime, accepted.recv, false).all();
        pair.drive();
        assert!(reader.is_over(), "{what}");
        assert_eq!(reader.error().cause(), Cause::Protocol, "{what}");
        assert_eq!(pair.up().notes_of(id), [Note::Reset(reason)], "{what}");
        drop((accepted.send, reader));
        pair.assert_works();
        pair.assert_empty();
    }
}

#[test]
fn a_session_without_the_feature_takes_no_frames() {
    let mut pair = Pair::featuring(Features::NONE);
    let call = pair.gateway.call(asking("websocket"), empty());
    pair.drive();
    pair.forge_up(call.id, upgraded()).unwrap();
    pair.forge_up(call.id, whole(1)).unwrap();
    call.reader.allow(usize::MAX);
    pair.drive();
    assert_eq!(call.reader.error().cause(), Cause::Protocol);
    pair.agent.accepted.clear();
    drop(call);
    pair.assert_empty();
}

#[test]
fn a_frame_that_nobody_waits_for_costs_what_a_frame_costs() {
    assert_eq!(whole(0).cost(), MESSAGE_COST);
    assert_eq!(whole(10).cost(), MESSAGE_COST + 10);
    let end = Data {
        end: Some(End::default()),
        ..Data::default()
    };
    assert_eq!(Payload::Data(end).cost(), 0);
}
