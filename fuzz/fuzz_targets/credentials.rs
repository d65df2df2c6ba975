#![no_main]

use libfuzzer_sys::fuzz_target;
use tunnel_layers::auth::{Htpasswd, JwtKeys};

fuzz_target!(|bytes: &[u8]| {
    let _ = JwtKeys::new().jwks(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = JwtKeys::new().pem(text);
        let _ = text.parse::<Htpasswd>();
    }
});
