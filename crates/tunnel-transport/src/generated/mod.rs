//! The code made from `proto/tunnel/v1/tunnel.proto`: messages, client and server.
//!
//! `tunnel.v1.rs` and `tunnel.v1.fds.bin` are written by the test target `codegen` of the package `tunnel-tests`, which
//! also fails when they are not what the proto says.

// The generators answer for their own style.
#![allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    rustdoc::all,
    clippy::all,
    clippy::needless_pass_by_value,
    clippy::use_self
)]

mod debug;

include!("tunnel.v1.rs");

/// The proto as a `google.protobuf.FileDescriptorSet`, without comments, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("tunnel.v1.fds.bin");
