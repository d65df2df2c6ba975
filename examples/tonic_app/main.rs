//! A tonic service behind NAT: it has no listening port, and answers the calls that its agent brings through the tunnel.
//!
//! ```sh
//! cargo run -p tunnel-examples --bin custom_gateway    # in one terminal
//! cargo run -p tunnel-examples --bin tonic_app         # in another
//! cargo run -p tunnel-examples --bin tonic_app -- call # in a third: two calls from outside
//! ```
//!
//! Any other gRPC client does as well, in any language: it calls `127.0.0.1:8080`, without TLS. The gateway knows nothing
//! of the service. Its address comes from `TUNNEL_GATEWAY`, the token, if it wants one, from `TUNNEL_TOKEN`. Ctrl-C lets open
//! calls finish.

#[path = "generated/mod.rs"]
mod greeter;

use clap::Parser;
use futures_util::{StreamExt as _, stream, stream::BoxStream};
use tonic::{Request, Response, Status, Streaming, async_trait, service::Routes, transport::Endpoint};
use tunnel_core::BoxError;
use tunnel_transport::Agent;

use self::greeter::{
    GreetRequest, GreetResponse,
    greeter_client::GreeterClient,
    greeter_server::{Greeter, GreeterServer},
};

/// Serves a tonic service through a tunnel, or calls one.
#[derive(Parser)]
enum Command {
    /// Serve the greeter (what happens without a command)
    Serve,
    /// Call a greeter, as a client outside does
    Call {
        /// The gateway's outside
        #[arg(default_value = "http://127.0.0.1:8080")]
        url: String,
    },
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let command = match std::env::args_os().len() {
        1 => Command::Serve,
        _ => Command::parse(),
    };
    match command {
        Command::Serve => serve().await,
        Command::Call { url } => call(url).await,
    }
}

async fn serve() -> Result<(), BoxError> {
    tunnel_examples::program::log("info");
    let gateway = std::env::var("TUNNEL_GATEWAY").unwrap_or_else(|_| "http://127.0.0.1:7000".to_owned());

    let app = Routes::new(GreeterServer::new(Polite));
    let agent = Agent::builder(&gateway).token_from_env().group("web").build()?;

    println!("serving the group `web` through {gateway}, without a port of its own");
    agent.serve(app).with_graceful_shutdown(interrupted()).await?;
    Ok(())
}

#[derive(Clone, Copy)]
struct Polite;

#[async_trait]
impl Greeter for Polite {
    type GreetAllStream = BoxStream<'static, Result<GreetResponse, Status>>;

    async fn greet(&self, request: Request<GreetRequest>) -> Result<Response<GreetResponse>, Status> {
        greet(&request.into_inner()).map(Response::new)
    }

    async fn greet_all(
        &self,
        request: Request<Streaming<GreetRequest>>,
    ) -> Result<Response<Self::GreetAllStream>, Status> {
        let greetings = request.into_inner().map(|one| greet(&one?));
        Ok(Response::new(greetings.boxed()))
    }
}

fn greet(request: &GreetRequest) -> Result<GreetResponse, Status> {
    if request.name.is_empty() {
        return Err(Status::invalid_argument("nobody is there"));
    }
    let greeting = format!("hello {}", request.name);
    Ok(GreetResponse { greeting })
}

async fn call(url: String) -> Result<(), BoxError> {
    let mut client = GreeterClient::new(Endpoint::from_shared(url)?.connect().await?);
    let greeting = client.greet(named("world")).await?.into_inner().greeting;
    println!("{greeting}");

    let names = stream::iter(["Ada", "Grace", ""]).map(named);
    let mut greetings = client.greet_all(names).await?.into_inner();
    while let Some(greeting) = greetings.next().await {
        match greeting {
            Ok(GreetResponse { greeting }) => println!("{greeting}"),
            Err(status) => println!("{:?}: {}", status.code(), status.message()),
        }
    }
    Ok(())
}

fn named(name: &str) -> GreetRequest {
    GreetRequest {
        name: name.to_owned(),
    }
}

async fn interrupted() {
    let _ = tokio::signal::ctrl_c().await;
}
