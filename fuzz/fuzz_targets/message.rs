#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use tunnel_transport::wire::{Encoded, Limits, TunnelMessage, decode};

fuzz_target!(|bytes: &[u8]| {
    let ours = decode(&Encoded::take(&mut &*bytes), &Limits::MAX);
    if let Ok(Some(_)) = ours {
        assert!(TunnelMessage::decode(bytes).is_ok(), "what is no message was taken for one");
    }
});
