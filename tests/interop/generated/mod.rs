//! The code made from `proto/interop/v1/interop.proto`, which the test target `codegen` writes and compares.

// The generators answer for their own style, and not every test needs every item.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    rustdoc::all,
    clippy::all,
    clippy::needless_pass_by_value,
    clippy::use_self
)]

include!("tunnel.interop.v1.rs");
