#![no_main]

use http::Request;
use libfuzzer_sys::fuzz_target;
use tunnel_core::{
    PeerInfo,
    admit::{self, Policy},
};

// The first line is method and target, each other one a field.
fuzz_target!(|input: (bool, &[u8])| {
    let (trusted, bytes) = input;
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let mut words = first.splitn(2, |byte| *byte == b' ');
    let mut request = Request::builder().method(words.next().unwrap_or_default());
    request = request.uri(words.next().unwrap_or_default());
    for line in lines {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        request = request.header(parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    }
    let Ok(request) = request.body(()) else { return };
    let (mut parts, ()) = request.into_parts();
    let mut policy = Policy::new();
    if trusted {
        policy = policy.trusted_peers(["127.0.0.0/8".parse().expect("a prefix")]);
    }
    let peer = PeerInfo::plaintext(([127, 0, 0, 1], 1).into());
    if admit::admit(&mut parts, &peer, &policy).is_ok() {
        assert!(!parts.headers.contains_key("transfer-encoding"));
        assert!(!parts.headers.contains_key("connection"));
    }
});
