use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, uri::PathAndQuery};
use proptest::{collection::vec, option, prelude::*, sample::select};
use tunnel_core::{
    Direction, End, Payload, Protocol, RequestHead, RequestId, ResetReason, ResponseHead, TraceId,
    TunnelMessage,
    message::{Data, RequestStart, Reset, ResponseStart},
    ws::WsFrame,
};

use super::*;

fn headers() -> impl Strategy<Value = HeaderMap> {
    // Few names, so that there are duplicates; values of any legal bytes.
    let name = select(vec!["set-cookie", "accept", "x-custom", "data-bin"]).prop_map(HeaderName::from_static);
    let legal = |byte: &u8| *byte == b'\t' || (*byte >= 0x20 && *byte != 0x7f);
    // On both sides of the border from which on a length has two bytes.
    let byte = any::<u8>().prop_filter("legal", legal);
    let value = prop_oneof![vec(byte.clone(), 0..20), vec(byte, 100..135)]
        .prop_map(|bytes| HeaderValue::from_bytes(&bytes).expect("only legal bytes"));
    vec((name, value), 0..8).prop_map(|fields| {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value);
        }
        headers
    })
}

fn end() -> impl Strategy<Value = Option<End>> {
    let trailers = option::of(headers().prop_filter("not empty", |trailers| !trailers.is_empty()));
    option::of(trailers.prop_map(|trailers| End {
        trailers: trailers.map(Box::new),
    }))
}

/// Sizes on both sides of the border where bytes are copied.
fn body() -> impl Strategy<Value = Bytes> {
    (select(vec![0, 1, 100, 16_383, 16_384, 65_536]), any::<u8>())
        .prop_map(|(len, byte)| Bytes::from(vec![byte; len]))
}

fn request_start() -> impl Strategy<Value = Payload> {
    let method = select(vec!["GET", "POST", "PROPFIND", "get"]);
    let scheme = select(vec!["http", "https"]);
    let authority = option::of(select(vec![
        "example.com",
        "example.com:8080",
        "[::1]:80",
        "10.0.0.1",
    ]));
    let path = select(vec![
        "/",
        "*",
        "/a/b?c=d&e=%2F",
        "//x/../y?",
        "/é?ü",
        "/a?b?c",
        "/%00\"{}",
    ]);
    let trace_id = select(vec!["", "4bf92f3577b34da6a3ce929d0e0e4736"]);
    let head = (method, scheme, authority, path, headers());
    (head, body(), end(), any::<u32>(), trace_id).prop_map(|(head, data, end, credit, trace_id)| {
        let (method, scheme, authority, path, headers) = head;
        Payload::Request(Box::new(RequestStart {
            head: RequestHead {
                upgrade: Some(Box::new(HeaderValue::from_static("websocket"))),
                method: Method::from_bytes(method.as_bytes()).expect("a token"),
                scheme: scheme.parse().expect("a scheme"),
                authority: authority.map(|authority| authority.parse().expect("an authority")),
                path: path.parse::<PathAndQuery>().expect("a path"),
                headers,
            },
            data,
            end,
            credit,
            trace_id: TraceId::from_text(trace_id.as_bytes()),
        }))
    })
}

fn response_start() -> impl Strategy<Value = Payload> {
    let status = (200..=999_u16).prop_map(|code| StatusCode::from_u16(code).expect("three digits"));
    (status, headers(), body(), end()).prop_map(|(status, headers, data, end)| {
        let head = ResponseHead {
            upgrade: None,
            status,
            headers,
        };
        Payload::Response(Box::new(ResponseStart { head, data, end }))
    })
}

fn data() -> impl Strategy<Value = Payload> {
    (body(), end())
        .prop_filter("empty only at the end", |(data, end)| {
            !data.is_empty() || end.is_some()
        })
        .prop_map(|(data, end)| Payload::Data(Data { data, end }))
}

fn frame() -> impl Strategy<Value = Payload> {
    let bits = (any::<bool>(), 0..8_u8, 0..16_u8, any::<bool>());
    (bits, any::<u64>(), body()).prop_map(|((fin, rsv, opcode, more), length, data)| {
        Payload::Frame(WsFrame {
            fin,
            rsv,
            opcode,
            more,
            length,
            data,
        })
    })
}

fn reset() -> impl Strategy<Value = Payload> {
    (select(ResetReason::ALL), option::of("[a-zé ]{1,100}"))
        .prop_map(|(reason, detail)| Payload::Reset(Reset { reason, detail }))
}

pub(super) fn of_exchange() -> impl Strategy<Value = TunnelMessage> {
    let payload = prop_oneof![
        frame(),
        request_start(),
        response_start(),
        data(),
        (1..=u32::MAX).prop_map(Payload::Window),
        reset(),
    ];
    let protocol = select(vec![Protocol::Http, Protocol::Grpc, Protocol::WebSocket]);
    let id = (0..1_u64 << 48, any::<[u8; 10]>())
        .prop_map(|(millis, random)| RequestId::from_parts(millis, random));
    (id, direction(), protocol, payload).prop_map(|(id, direction, protocol, mut payload)| {
        // Only heads of upgrades say what they switch to, and of answers only a 101.
        let protocol = match (&mut payload, protocol) {
            (Payload::Frame(_), _) => Protocol::WebSocket,
            (Payload::Request(start), Protocol::Http | Protocol::Grpc) => {
                start.head.upgrade = None;
                protocol
            }
            (Payload::Response(start), Protocol::WebSocket) if start.data.len() == 100 => {
                start.head.status = StatusCode::SWITCHING_PROTOCOLS;
                start.head.upgrade = Some(Box::new(HeaderValue::from_static("chat/2")));
                protocol
            }
            _ => protocol,
        };
        TunnelMessage {
            id,
            direction,
            protocol,
            payload,
        }
    })
}

pub(super) fn direction() -> impl Strategy<Value = Direction> {
    select(vec![Direction::ClientToServer, Direction::ServerToClient])
}

pub(super) fn assert_same(a: &TunnelMessage, b: &TunnelMessage) {
    assert_eq!((a.id, a.direction, a.protocol), (b.id, b.direction, b.protocol));
    match (&a.payload, &b.payload) {
        (Payload::Request(a), Payload::Request(b)) => {
            assert_eq!((&a.head.method, &a.head.scheme), (&b.head.method, &b.head.scheme));
            assert_eq!(a.head.authority, b.head.authority);
            assert_eq!(a.head.path.as_str(), b.head.path.as_str());
            assert_eq!(a.head.upgrade, b.head.upgrade);
            assert_eq!((a.credit, a.trace_id), (b.credit, b.trace_id));
            assert_eq!((&a.head.headers, &a.data), (&b.head.headers, &b.data));
            assert_same_end(a.end.as_ref(), b.end.as_ref());
        }
        (Payload::Response(a), Payload::Response(b)) => {
            assert_eq!((a.head.status, &a.head.headers), (b.head.status, &b.head.headers));
            assert_eq!((&a.head.upgrade, &a.data), (&b.head.upgrade, &b.data));
            assert_same_end(a.end.as_ref(), b.end.as_ref());
        }
        (Payload::Frame(a), Payload::Frame(b)) => assert_eq!(a, b),
        (Payload::Data(a), Payload::Data(b)) => {
            assert_eq!(a.data, b.data);
            assert_same_end(a.end.as_ref(), b.end.as_ref());
        }
        (Payload::Reset(a), Payload::Reset(b)) => assert_eq!((a.reason, &a.detail), (b.reason, &b.detail)),
        (Payload::Window(a), Payload::Window(b)) => assert_eq!(a, b),
        (Payload::Ping(a), Payload::Ping(b)) | (Payload::Pong(a), Payload::Pong(b)) => assert_eq!(a, b),
        (a, b) => panic!("not of one kind: {a:?}, {b:?}"),
    }
}

fn assert_same_end(a: Option<&End>, b: Option<&End>) {
    assert_eq!(a.map(|end| &end.trailers), b.map(|end| &end.trailers));
}

proptest! {
    #[test]
    fn a_message_comes_back_as_it_was(message in of_exchange(), opens in direction()) {
        let back = read(&encode(&message, opens)).expect("valid").expect("of an exchange");
        assert_same(&message, &back);
    }

    #[test]
    fn a_message_from_anybody_does_no_harm(bytes in vec(any::<u8>(), 0..200), flip in any::<u8>(), at in any::<usize>()) {
        // Random bytes are seldom a message; a valid message with one byte changed often is.
        let mut near = wire(Wire::HttpRequest(request())).encode_to_vec();
        let at = at % near.len();
        near[at] = flip;
        for bytes in [bytes, near] {
            if let Ok(Some(message)) = read_bytes(&bytes, &Limits::MAX) {
                let of_lane = matches!(message.payload, Payload::Ping(_) | Payload::Pong(_));
                prop_assert_eq!(message.id.is_nil(), of_lane);
            }
        }
    }
}

#[test]
fn a_frame_says_where_it_goes() {
    for opens in [Direction::ClientToServer, Direction::ServerToClient] {
        let message = TunnelMessage {
            id: id(),
            direction: Direction::ServerToClient,
            protocol: Protocol::WebSocket,
            payload: Payload::Frame(WsFrame::whole(true, 1, Bytes::from_static(b"x"))),
        };
        let sent = encode(&message, opens);
        assert_eq!(sent.message_type(), pb::MessageType::StreamChunk);
        let Some(Wire::WsFrame(frame)) = sent.payload else {
            panic!("a frame stays one");
        };
        let toward_the_gateway = opens == Direction::ClientToServer;
        let expected = if toward_the_gateway {
            pb::Direction::ClientToServer
        } else {
            pb::Direction::ServerToClient
        };
        assert_eq!(frame.frame_direction(), expected);
    }
}

#[test]
fn pings_belong_to_no_exchange() {
    for payload in [Payload::Ping(u64::MAX), Payload::Pong(0)] {
        let message = TunnelMessage {
            id: RequestId::NIL,
            direction: Direction::ClientToServer,
            protocol: Protocol::Http,
            payload,
        };
        let sent = encode(&message, Direction::ServerToClient);
        assert_eq!(sent.request_id, "");
        assert_eq!(sent.protocol_type(), pb::ProtocolType::Control);
        assert_same(&message, &read(&sent).expect("valid").expect("a ping or pong"));
    }
}

#[test]
fn a_grpc_chunk_says_whether_it_is_of_the_request() {
    for (direction, expected) in [
        (Direction::ClientToServer, true),
        (Direction::ServerToClient, false),
    ] {
        let message = TunnelMessage {
            id: id(),
            direction,
            protocol: Protocol::Grpc,
            payload: Payload::Data(Data {
                data: Bytes::from_static(b"x"),
                end: None,
            }),
        };
        let Some(Wire::GrpcStreamChunk(chunk)) = encode(&message, Direction::ClientToServer).payload else {
            panic!("gRPC has chunks of its own");
        };
        assert_eq!(chunk.is_request, expected);
    }
}

#[test]
fn the_detail_of_a_reset_is_cut_between_characters() {
    let message = TunnelMessage {
        id: id(),
        direction: Direction::ClientToServer,
        protocol: Protocol::Http,
        payload: Payload::Reset(Reset {
            reason: ResetReason::Internal,
            detail: Some("é".repeat(127) + "a" + "é"),
        }),
    };
    let Some(Wire::Reset(reset)) = encode(&message, Direction::ClientToServer).payload else {
        panic!("a reset stays one");
    };
    assert_eq!(reset.detail, "é".repeat(127) + "a");
}
