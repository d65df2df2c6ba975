//! The code in `crates/tunnel-transport/src/generated`, and that of the other protos here, is what the generators make of
//! them.
//!
//! `UPDATE_GENERATED=1 cargo test -p tunnel-tests --test codegen` writes it anew.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use prost::Message as _;
use protox::Compiler;

type Outcome = Result<(), Box<dyn Error>>;

const TRANSPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/tunnel-transport");
const PROTO: &str = "tunnel/v1/tunnel.proto";
const CODE: &str = "tunnel.v1.rs";
const DESCRIPTORS: &str = "tunnel.v1.fds.bin";

/// Protos whose code is made with the generator's defaults: their root, the file, and the code, which stands in
/// `generated` beside the root.
const OTHERS: [[&str; 3]; 2] = [
    [
        concat!(env!("CARGO_MANIFEST_DIR"), "/interop/proto"),
        "interop/v1/interop.proto",
        "tunnel.interop.v1.rs",
    ],
    [
        concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/proto"),
        "greeter/v1/greeter.proto",
        "greeter.v1.rs",
    ],
];

/// The messages whose `Debug` is written by hand, because they hold header values, bodies or secrets.
const REDACTED: [&str; 15] = [
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
    "Credentials",
];

#[test]
fn the_checked_in_code_is_what_the_proto_says() -> Outcome {
    let out = directory("tunnel")?;
    generate(&out)?;
    for file in [CODE, DESCRIPTORS] {
        let checked_in = Path::new(TRANSPORT).join("src/generated").join(file);
        compare(&out.join(file), &checked_in, PROTO)?;
    }
    fs::remove_dir_all(&out)?;
    Ok(())
}

#[test]
fn the_code_of_the_other_protos_is_what_they_say() -> Outcome {
    let out = directory("others")?;
    for [root, proto, code] in OTHERS {
        tonic_prost_build::configure()
            .out_dir(&out)
            .build_transport(false)
            .bytes(".")
            .emit_rerun_if_changed(false)
            .compile_fds(protox::compile([proto], [root])?)?;
        compare(
            &out.join(code),
            &Path::new(root).with_file_name("generated").join(code),
            proto,
        )?;
    }
    fs::remove_dir_all(&out)?;
    Ok(())
}

fn directory(name: &str) -> std::io::Result<PathBuf> {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("codegen-{name}-{}", std::process::id()));
    fs::create_dir_all(&out)?;
    Ok(out)
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

fn compare(made: &Path, checked_in: &Path, proto: &str) -> Outcome {
    let made = fs::read(made)?;
    if env::var_os("UPDATE_GENERATED").is_some_and(|value| value == "1") {
        fs::write(checked_in, made)?;
    } else if made != fs::read(checked_in)? {
        return Err(format!(
            "{} is not what {proto} says: run UPDATE_GENERATED=1 cargo test -p tunnel-tests --test codegen",
            checked_in.display()
        )
        .into());
    }
    Ok(())
}
