use tunnel_core::{Payload, Protocol};

use super::*;

/// Asserts that `payload` costs the exchange, with an error that says `what`.
#[track_caller]
fn costs_the_exchange(payload: Wire, what: &str) {
    refused(&wire(payload), what);
}

#[track_caller]
fn refused(message: &pb::TunnelMessage, what: &str) {
    let error = read(message).expect_err(what);
    assert_eq!(error.id, Some(id()), "{error}");
    assert!(error.what.contains(what), "{error} does not say {what:?}");
    let reason = if what.contains("settings") && !what.contains("body") {
        tunnel_core::ResetReason::HeadTooLarge
    } else {
        tunnel_core::ResetReason::Protocol
    };
    assert_eq!(error.reason, reason, "{error}");
}

#[track_caller]
fn request_with(change: impl FnOnce(&mut pb::HttpRequest), what: &str) {
    let mut changed = request();
    change(&mut changed);
    costs_the_exchange(Wire::HttpRequest(changed), what);
}

#[test]
fn the_message_that_the_others_change_is_valid() {
    let message = read(&wire(Wire::HttpRequest(request()))).unwrap().unwrap();
    assert!(matches!(message.payload, Payload::Request(_)));
    assert_eq!(message.protocol, Protocol::Http);
}

#[test]
fn heads_of_requests() {
    for method in ["", "GET /", "G\u{e9}T"] {
        request_with(|r| r.method = method.into(), "method");
    }
    for scheme in ["", "1http", "ht tp", "http:"] {
        request_with(|r| r.scheme = scheme.into(), "scheme");
    }
    request_with(|r| r.authority = "user@example.com".into(), "user information");
    for authority in ["a b", "a/b", "[::1", "a:b:c"] {
        request_with(|r| r.authority = authority.into(), "authority");
    }
    for path in [
        &b""[..],
        b"a",
        b"**",
        b"?q",
        b"/a b",
        b"/a\r\nb",
        b"/a#b",
        b"/\xff",
        b"http://a/b",
    ] {
        request_with(|r| r.path = path.into(), "path");
    }
}

#[test]
fn headers() {
    request_with(|r| r.headers = vec![header(":path", b"/")], "pseudo");
    request_with(|r| r.headers = vec![header("Accept", b"*/*")], "lower case");
    for name in ["", "a b", "a:", "\u{e9}", "a\n"] {
        request_with(|r| r.headers = vec![header(name, b"x")], "token");
    }
    for value in [&b"a\r\nb: c"[..], b"\0", b"\x7f"] {
        request_with(|r| r.headers = vec![header("a", value)], "value");
    }
    request_with(
        |r| r.headers = vec![header("a", b""); Limits::MAX.fields + 1],
        "fields than the settings",
    );
    let large = vec![0x20; Limits::MAX.head_bytes];
    request_with(
        |r| r.headers = vec![header("a", &large)],
        "larger than the settings",
    );
    request_with(
        |r| r.path = [b"/", &large[..]].concat().into(),
        "larger than the settings",
    );
}

#[test]
fn trailers() {
    request_with(
        |r| (r.end, r.trailers) = (false, vec![header("a", b"b")]),
        "before the end",
    );
    request_with(|r| r.trailers = vec![header("A", b"b")], "lower case");
    request_with(
        |r| r.trailers = vec![header("a", b""); Limits::MAX.fields + 1],
        "fields than the settings",
    );
}

#[test]
fn heads_of_responses() {
    let response = |status| pb::HttpResponse {
        status,
        ..Default::default()
    };
    for status in [100, 101, 199] {
        costs_the_exchange(Wire::HttpResponse(response(status)), "informational");
    }
    for status in [0, 99, 1_000, 65_736, u32::MAX] {
        costs_the_exchange(Wire::HttpResponse(response(status)), "status");
    }
    costs_the_exchange(Wire::GrpcResponse(response(101).into()), "informational");
    assert!(read(&wire(Wire::WsResponse(response(101).into()))).is_ok());
    costs_the_exchange(Wire::WsResponse(response(100).into()), "informational");
}

#[test]
fn pieces() {
    costs_the_exchange(Wire::HttpChunk(pb::HttpBodyChunk::default()), "empty");
    costs_the_exchange(Wire::GrpcStreamChunk(pb::GrpcStreamChunk::default()), "empty");
    let large = vec![0; Limits::MAX.chunk + 1];
    let chunk = pb::HttpBodyChunk {
        data: large.clone().into(),
        ..Default::default()
    };
    costs_the_exchange(Wire::HttpChunk(chunk), "body bytes than the settings");
    request_with(|r| r.body = large.into(), "body bytes than the settings");
    costs_the_exchange(
        Wire::WindowUpdate(pb::WindowUpdate { increment: 0 }),
        "adds nothing",
    );
}

#[test]
fn frames() {
    let frame_with = |change: fn(&mut pb::WebSocketFrame), what: &str| {
        let mut frame = pb::WebSocketFrame::default();
        change(&mut frame);
        costs_the_exchange(Wire::WsFrame(frame), what);
    };
    assert!(read(&wire(Wire::WsFrame(pb::WebSocketFrame::default()))).is_ok());
    frame_with(|frame| frame.opcode = 16, "opcode");
    frame_with(|frame| frame.opcode = 256, "opcode");
    frame_with(|frame| frame.rsv = 8, "rsv");
    frame_with(|frame| frame.frame_direction = 2, "direction");
    frame_with(
        |frame| frame.payload = vec![0; Limits::MAX.chunk + 1].into(),
        "body bytes than the settings",
    );
}

#[test]
fn what_heads_upgrade_to() {
    let upgrading = |upgrade: &str| {
        [
            Wire::WsRequest(pb::WebSocketRequest {
                upgrade: upgrade.to_owned(),
                ..request().into()
            }),
            Wire::WsResponse(pb::WebSocketResponse {
                status: 101,
                upgrade: upgrade.to_owned(),
                ..Default::default()
            }),
        ]
    };
    for bad in ["a b", "a,b", "a\r\nb", "\u{e9}", &"a".repeat(257)] {
        for payload in upgrading(bad) {
            costs_the_exchange(payload, "upgrade");
        }
    }
    let upgrade = |payload| match read(&wire(payload)).unwrap().unwrap().payload {
        Payload::Request(start) => start.head.upgrade,
        Payload::Response(start) => start.head.upgrade,
        other => panic!("{other:?} is no head"),
    };
    for good in ["chat/1.0", &"a".repeat(256)] {
        for payload in upgrading(good) {
            assert_eq!(upgrade(payload).unwrap().as_bytes(), good.as_bytes());
        }
    }
    let [asked, done] = upgrading("").map(upgrade);
    assert_eq!((asked.unwrap().as_bytes(), done), (&b"websocket"[..], None));
    let refusal = pb::WebSocketResponse {
        status: 403,
        upgrade: "websocket".to_owned(),
        ..Default::default()
    };
    let Payload::Response(start) = read(&wire(Wire::WsResponse(refusal))).unwrap().unwrap().payload else {
        panic!("a response stays one");
    };
    assert_eq!(start.head.upgrade, None, "a refusal switches to nothing");
}

#[test]
fn labels() {
    let valid = wire(Wire::HttpRequest(request()));
    for direction in [-1, 2] {
        refused(
            &pb::TunnelMessage {
                direction,
                ..valid.clone()
            },
            "direction",
        );
    }
    for (protocol_type, what) in [(-1, "unknown"), (5, "unknown"), (4, "CONTROL"), (2, "payload")] {
        refused(
            &pb::TunnelMessage {
                protocol_type,
                ..valid.clone()
            },
            what,
        );
    }
}

#[test]
fn without_a_valid_id_it_costs_the_session() {
    let nil = "00000000-0000-0000-0000-000000000000";
    for request_id in ["", "x", nil, "0191e9a2-7b6d-7cc0-98c5-0a1b2c3d4e5"] {
        let message = pb::TunnelMessage {
            request_id: request_id.to_owned(),
            ..wire(Wire::HttpRequest(request()))
        };
        assert_eq!(read(&message).expect_err(request_id).id, None, "{request_id}");
    }
    let error = read(&wire(Wire::Ping(pb::Ping { nonce: 1 }))).expect_err("a ping of an exchange");
    assert_eq!(error.id, None);
}

#[test]
fn what_is_unknown_or_of_the_set_up_is_left_alone() {
    let strange = pb::TunnelMessage {
        direction: 9,
        request_id: "x".to_owned(),
        ..Default::default()
    };
    assert!(read(&strange).unwrap().is_none());
    let open = Wire::StreamOpen(pb::StreamOpen::default());
    assert!(read(&wire(open)).unwrap().is_none());
    // Field 32 and payload 19, which nobody knows yet, after a valid message.
    let mut bytes = wire(Wire::HttpRequest(request())).encode_to_vec();
    bytes.extend([0x82, 0x02, 1, b'x', 0x9a, 0x01, 0]);
    assert!(read_bytes(&bytes, &Limits::MAX).unwrap().is_some());
}

#[test]
fn what_is_no_protobuf_is_refused() {
    let valid = wire(Wire::HttpRequest(request())).encode_to_vec();
    for (broken, costs_the_session) in [
        // A field without a number, a length that is not there, a field of a type that there is not.
        ([&valid[..], &[0x00, 0x01]].concat(), true),
        ([&valid[..], &[0x82, 0x02, 9]].concat(), true),
        ([&valid[..], &[0x1f]].concat(), true),
        // `direction` as bytes, and a payload whose `end` is bytes.
        ([&valid[..], &[0x1a, 0]].concat(), true),
        (
            [
                &wire(Wire::Ping(pb::Ping::default())).encode_to_vec()[..38],
                &[0x52, 2, 0x3a, 0],
            ]
            .concat(),
            false,
        ),
    ] {
        assert!(pb::TunnelMessage::decode(&*broken).is_err());
        let error = read_bytes(&broken, &Limits::MAX).expect_err("no protobuf");
        assert_eq!(error.id.is_none(), costs_the_session, "{error}");
        assert_eq!(error.reason, tunnel_core::ResetReason::Protocol);
    }
}

#[test]
fn an_error_in_a_request_says_what_it_opens() {
    let labels = |payload| {
        let message = pb::TunnelMessage {
            direction: 1,
            ..wire(payload)
        };
        read(&message).expect_err("no method").opens
    };
    let to_client = Direction::ServerToClient;
    let request = pb::HttpRequest::default;
    assert_eq!(
        labels(Wire::HttpRequest(request())),
        Some((to_client, Protocol::Http))
    );
    assert_eq!(
        labels(Wire::GrpcRequest(request().into())),
        Some((to_client, Protocol::Grpc))
    );
    assert_eq!(
        labels(Wire::WsRequest(request().into())),
        Some((to_client, Protocol::WebSocket))
    );
    assert_eq!(labels(Wire::HttpResponse(pb::HttpResponse::default())), None);
}

#[test]
fn a_trace_id_that_is_none_is_dropped() {
    let ids = [
        "x",
        "4BF92F3577B34DA6A3CE929D0E0E4736",
        "4bf92f3577b34da6a3ce929d0e0e473\n",
    ];
    for trace_id in ids {
        let message = pb::TunnelMessage {
            trace_id: trace_id.to_owned(),
            ..wire(Wire::HttpRequest(request()))
        };
        let Payload::Request(start) = read(&message).unwrap().unwrap().payload else {
            panic!("a request stays one");
        };
        assert_eq!(start.trace_id, None);
    }
}

#[test]
fn the_detail_of_a_reset_is_one_short_line() {
    let reset = pb::Reset {
        reason: 8,
        detail: "a\r\nb".to_owned() + &"x".repeat(1_000),
    };
    let Payload::Reset(reset) = read(&wire(Wire::Reset(reset))).unwrap().unwrap().payload else {
        panic!("a reset stays one");
    };
    assert_eq!(reset.detail, Some("a  b".to_owned() + &"x".repeat(252)));
}

#[test]
fn debug_shows_no_value_no_body_and_no_key() {
    let mut shown = request();
    shown.path = "/secret".into();
    shown.headers = vec![header("authorization", b"secret")];
    shown.trailers = vec![header("a", b"secret")];
    shown.body = "secret".into();
    let open = pb::StreamOpen {
        lane_key: "secret".into(),
        ..Default::default()
    };
    for payload in [Wire::HttpRequest(shown), Wire::StreamOpen(open)] {
        let text = format!("{:?}", wire(payload));
        assert!(!text.contains("secret"), "{text}");
        assert!(text.contains(".len"), "{text}");
    }
    assert!(!format!("{:?}", header("a", b"secret")).contains("secret"));
}
