//! Both codecs against each other: that of the lanes, and that which the generators made of `tunnel.proto`.

use proptest::{collection::vec, prelude::*, sample::Index};
use tunnel_core::Payload;

use super::{
    round_trip::{assert_same, direction, of_exchange},
    *,
};

/// The fields of an encoded message, each with its key.
fn fields(message: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = message;
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let before = rest;
        let (tag, wire_type) = prost::encoding::decode_key(&mut rest).expect("a key");
        prost::encoding::skip_field(wire_type, tag, &mut rest, Default::default()).expect("a field");
        fields.push(before[..before.len() - rest.len()].to_vec());
    }
    fields
}

/// Whether the payload is one that only the generated types read.
fn is_set_up(message: &pb::TunnelMessage) -> bool {
    match &message.payload {
        None => true,
        Some(payload) => matches!(
            payload,
            Wire::StreamOpen(_)
                | Wire::StreamOpenResponse(_)
                | Wire::ConfigSync(_)
                | Wire::ConfigSyncResponse(_)
                | Wire::ErrorMessage(_)
                | Wire::Drain(_)
        ),
    }
}

/// Asserts that bytes mean the same as what the generated types make of them.
fn assert_agreed(bytes: &[u8]) {
    let ours = read_bytes(bytes, &Limits::MAX);
    let Ok(theirs) = pb::TunnelMessage::decode(bytes) else {
        // A payload of the set-up is not looked into here.
        assert!(
            !matches!(ours, Ok(Some(_))),
            "what is no message was taken for one"
        );
        return;
    };
    match (ours, read(&theirs)) {
        (Ok(None), Ok(None)) => assert!(is_set_up(&theirs)),
        (Ok(Some(a)), Ok(Some(b))) => assert_same(&a, &b),
        (Err(a), Err(b)) => assert_eq!((a.id, a.opens, a.reason), (b.id, b.opens, b.reason)),
        (a, b) => panic!("{a:?} is not {b:?}"),
    }
}

proptest! {
    #[test]
    fn what_is_written_is_what_the_generated_types_write(message in of_exchange(), opens in direction()) {
        let bytes = written(&message, opens);
        let read = pb::TunnelMessage::decode(&*bytes).expect("a valid message");
        prop_assert!(read.encode_to_vec() == bytes);
    }

    #[test]
    fn fields_may_stand_in_any_order_and_beside_unknown_ones(
        message in of_exchange(),
        opens in direction(),
        order in vec(any::<Index>(), 0..12),
    ) {
        let mut fields = fields(&written(&message, opens));
        // A number, a group, eight bytes and four bytes that nobody knows.
        fields.push(vec![0xf8, 0x07, 0x96, 0x01]);
        fields.push(vec![0xfb, 0x07, 0x08, 0x01, 0xfc, 0x07]);
        fields.push(vec![0xf9, 0x07, 1, 2, 3, 4, 5, 6, 7, 8]);
        fields.push(vec![0xfd, 0x07, 1, 2, 3, 4]);
        for (to, from) in order.iter().enumerate() {
            let from = from.index(fields.len());
            let to = to % fields.len();
            fields.swap(from, to);
        }
        assert_agreed(&fields.concat());
    }

    #[test]
    fn two_messages_in_one_are_merged_alike(first in of_exchange(), second in of_exchange(), opens in direction()) {
        let mut bytes = written(&first, opens);
        bytes.extend(written(&second, opens));
        assert_agreed(&bytes);
    }

    #[test]
    fn bytes_that_were_changed_mean_the_same_to_both(
        message in of_exchange().prop_filter("short", |message| message.payload.data_len() < 1_000),
        opens in direction(),
        changes in vec((any::<Index>(), any::<u8>()), 1..4),
        cut in any::<Index>(),
    ) {
        let mut bytes = written(&message, opens);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        assert_agreed(&bytes);
        assert_agreed(&bytes[..cut.index(bytes.len())]);
    }
}

#[test]
fn names_that_http_does_not_know_come_through() {
    for name in [
        "x-forwarded-for",
        "traceparent",
        "grpc-status",
        "x-forwarded-foo",
        "x-request-ie",
    ] {
        let mut request = request();
        request.headers = vec![header(name, b"v")];
        let Payload::Request(start) = read(&wire(Wire::HttpRequest(request))).unwrap().unwrap().payload
        else {
            panic!("a request stays one");
        };
        assert_eq!(start.head.headers.iter().next().unwrap().0.as_str(), name);
    }
}
