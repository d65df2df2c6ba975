//! The code in `crates/tunnel-transport/src/generated` is what the generators make of the proto.
//!
//! `UPDATE_GENERATED=1 cargo test -p tunnel-tests --test codegen` writes it anew.

use std::{env, error::Error, fs, path::Path};

use prost::Message as _;
use protox::Compiler;

type Outcome = Result<(), Box<dyn Error>>;

const TRANSPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/tunnel-transport");
const PROTO: &str = "tunnel/v1/tunnel.proto";
const CODE: &str = "tunnel.v1.rs";
const DESCRIPTORS: &str = "tunnel.v1.fds.bin";

/// The messages whose `Debug` is written by hand, because they hold header values, bodies or secrets.
const REDACTED: [&str; 14] = [
    "Header",
    "HttpRequest",
    "HttpResponse",
    "HttpBodyChunk",
    "GrpcRequest",
    "GrpcResponse",
    "GrpcStreamChunk",
    "WebSocketRequest",
    "WebSocketResponse",
    "WebSocketFrame",
    "StreamOpen",
    "StreamOpenResponse",
    "ConfigSyncRequest",
    "ConfigUpdate",
];

#[test]
fn the_checked_in_code_is_what_the_proto_says() -> Outcome {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("codegen-{}", std::process::id()));
    fs::create_dir_all(&out)?;
    generate(&out)?;
    for file in [CODE, DESCRIPTORS] {
        let checked_in = Path::new(TRANSPORT).join("src/generated").join(file);
        compare(&out.join(file), &checked_in)?;
    }
    fs::remove_dir_all(&out)?;
    Ok(())
}

fn generate(out: &Path) -> Outcome {
    let mut compiler = Compiler::new([Path::new(TRANSPORT).join("proto")])?;
    compiler.open_file(PROTO)?;
    // Comments become documentation in the code; reflection has no use for them.
    let with_comments = compiler.include_source_info(true).file_descriptor_set();
    let without = compiler.include_source_info(false).file_descriptor_set();

    tonic_prost_build::configure()
        .out_dir(out)
        .build_transport(false)
        .bytes(".tunnel.v1")
        .codec_path("crate::codec::TunnelCodec")
        .skip_debug(REDACTED.map(|name| format!(".tunnel.v1.{name}")))
        .emit_rerun_if_changed(false)
        .compile_fds(with_comments)?;
    fs::write(out.join(DESCRIPTORS), without.encode_to_vec())?;
    Ok(())
}

fn compare(made: &Path, checked_in: &Path) -> Outcome {
    let made = fs::read(made)?;
    if env::var_os("UPDATE_GENERATED").is_some_and(|value| value == "1") {
        fs::write(checked_in, made)?;
    } else if made != fs::read(checked_in)? {
        return Err(format!(
            "{} is not what {PROTO} says: run UPDATE_GENERATED=1 cargo test -p tunnel-tests --test codegen",
            checked_in.display()
        )
        .into());
    }
    Ok(())
}
