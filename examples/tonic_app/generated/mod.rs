//! The code made from `proto/greeter/v1/greeter.proto`, which the test target `codegen` writes and compares.

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

include!("greeter.v1.rs");
