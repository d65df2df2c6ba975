//! A tonic service behind NAT: it has no listening port, and answers the calls that its agent brings through the tunnel.
//!
//! ```sh
//! cargo run -p tunnel-examples --bin typed_client    # in one terminal: the gateway
//! cargo run -p tunnel-examples --bin tonic_app       # in another
//! grpcurl -plaintext -import-path examples/proto -proto greeter/v1/greeter.proto -d '{"name": "Ada"}' \
//!     127.0.0.1:8080 greeter.v1.Greeter/Greet
//! ```
//!
//! Any gateway with a rule for the group `greeter` will do. Its address comes from `TUNNEL_GATEWAY`, the token, if it wants
//! one, from `TUNNEL_TOKEN`. Ctrl-C lets open calls finish.

use tonic::service::Routes;
use tunnel_core::BoxError;
use tunnel_examples::{
    greeter::{GreeterServer, Hello},
    program,
};
use tunnel_transport::Agent;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    program::log("info");
    let gateway = std::env::var("TUNNEL_GATEWAY").unwrap_or_else(|_| "http://127.0.0.1:7000".to_owned());

    // Other services would be added with `add_service`.
    let services = Routes::new(GreeterServer::new(Hello));
    let agent = Agent::builder(&gateway)
        .token_from_env()
        .group("greeter")
        .build()?;

    println!("serving the group `greeter` through {gateway}, without a port of its own");
    agent
        .serve(services)
        .with_graceful_shutdown(interrupted())
        .await?;
    Ok(())
}

async fn interrupted() {
    let _ = tokio::signal::ctrl_c().await;
}
