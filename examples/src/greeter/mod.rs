//! The gRPC service of the examples: code made from `examples/proto/greeter/v1/greeter.proto`, and a server.
//!
//! The test target `codegen` of `tests` compares the code with the proto, and writes it.

mod service;

pub use self::{
    generated::{
        GreetAllRequest, GreetAllResponse, GreetEachRequest, GreetEachResponse, GreetOftenRequest,
        GreetOftenResponse, GreetRequest, GreetResponse, greeter_client::GreeterClient,
        greeter_server::GreeterServer,
    },
    service::Hello,
};

// The generators answer for their own style, and not every item is used.
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    rustdoc::all,
    clippy::all,
    clippy::needless_pass_by_value,
    clippy::use_self
)]
mod generated {
    include!("../../generated/greeter.v1.rs");
}
