#![no_main]

use libfuzzer_sys::fuzz_target;
use tunnel_core::ws::{FrameHead, Tracker};

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, bytes) = input;
    if let Ok(Some((head, len))) = FrameHead::parse(bytes) {
        assert_eq!(&*head.encode(), &bytes[..len]);
    }
    let (mut whole, mut pieces) = (Tracker::new(), Tracker::new());
    let (first, second) = bytes.split_at(usize::from(cut).min(bytes.len()));
    let cut = pieces.follow(first).and_then(|()| pieces.follow(second));
    assert_eq!(whole.follow(bytes).is_ok(), cut.is_ok());
    if cut.is_ok() {
        assert_eq!(whole.is_at_border(), pieces.is_at_border());
    }
});
