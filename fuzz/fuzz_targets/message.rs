#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use tunnel_transport::wire::{Limits, TunnelMessage, decode};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = TunnelMessage::decode(bytes) {
        let _ = decode(message, &Limits::MAX);
    }
});
