//! A gateway without a tunnel, from the library: rules, servers with weights, health checks, retries, and an operator's drain.
//!
//! ```sh
//! cargo run -p tunnel-examples --bin reverse_proxy
//! ```
//!
//! It starts three small servers, proxies to them, prints who answered while one of them falls ill and another is drained, and then
//! stays up for `curl`, until Ctrl-C. With `--once` it ends after the demonstration. The same from a file: `config/proxy.yaml`.

mod server;

use std::{collections::BTreeMap, net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use bytes::Bytes;
use clap::Parser;
use http::Method;
use tokio::time::sleep;
use tower::ServiceBuilder;
use tunnel_core::{BoxError, RetryPolicy, balance::RoundRobin};
use tunnel_examples::{client::Client, program};
use tunnel_layers::{
    deadline::DeadlineLayer,
    rescue::RescueLayer,
    retry::RetryLayer,
    route::{RouteLayer, Rule, Rules},
    trace_id::TraceIdLayer,
    upgrade::UpgradeLayer,
};
use tunnel_transport::{
    TokioRuntime, Upstream,
    entry::Entry,
    upstream::{HealthCheck, NamedUpstreams, UpstreamEndpoint},
};

use self::server::Server;

#[derive(Debug, Parser)]
struct Options {
    /// Where outside traffic comes in; port 0 lets the system choose.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Ends after the demonstration.
    #[arg(long)]
    once: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    program::log("error");
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => program::fail("reverse_proxy", &*error),
    }
}

async fn run(options: Options) -> Result<(), BoxError> {
    let [one, two, spare] = ["one", "two", "spare"].map(Server::start);
    let (one, two, spare) = (one?, two?, spare?);

    let site = Upstream::balanced([
        UpstreamEndpoint::new(&one.url).weight(3),
        UpstreamEndpoint::new(&two.url),
    ])
    .policy(RoundRobin::new())
    .health(HealthCheck::http("/healthz")?.interval(Duration::from_millis(20)))
    .build()?;
    let upstreams = NamedUpstreams::new()
        .with("site", site.clone())
        .with("static", Upstream::http1(&spare.url)?);
    upstreams.start();

    let rules = Rules::compile_with_upstreams([
        Rule::upstream("static", "static").path_prefix("/static"),
        // What may have been carried out is sent once more, to the other server.
        Rule::upstream("site", "site").retry(RetryPolicy::new(2)),
    ])?;
    // Where there are agents too, the second is a layer that parts their ways; here all goes to upstreams.
    let (route, _split) = RouteLayer::with_upstreams(rules, ());
    let runtime = Arc::new(TokioRuntime::current());
    let proxy = ServiceBuilder::new()
        .layer(TraceIdLayer::new())
        .layer(RescueLayer::new())
        .layer(route)
        .layer(DeadlineLayer::new())
        .layer(RetryLayer::new(runtime.clone()))
        .layer(UpgradeLayer::new().runtime(runtime))
        .service(upstreams);
    let outside = program::listen(options.listen)?;
    let listen = outside.local_addr()?;
    tokio::spawn(Entry::new().serve(outside, proxy).into_future());

    let client = Client::new(listen);
    show("weights 3 and 1", &client, "/").await?;
    show("another rule", &client, "/static").await?;
    two.is_ill(true);
    while site.endpoints().iter().all(|endpoint| endpoint.is_healthy) {
        sleep(Duration::from_millis(5)).await;
    }
    show("two is ill", &client, "/").await?;
    two.is_ill(false);
    while site.endpoints().iter().any(|endpoint| !endpoint.is_healthy) {
        sleep(Duration::from_millis(5)).await;
    }
    site.drain_endpoint(&one.url);
    show("one is drained", &client, "/").await?;
    site.resume_endpoint(&one.url);
    show("all are back", &client, "/").await?;
    if !options.once {
        println!("listening on http://{listen}");
        tokio::signal::ctrl_c().await?;
    }
    Ok(())
}

/// Asks forty times, and tells who answered.
async fn show(what: &str, client: &Client, path: &str) -> Result<(), BoxError> {
    let mut answers = BTreeMap::new();
    for _ in 0..40 {
        let answer = client.send(Method::GET, path, Bytes::new()).await?;
        let name = String::from_utf8_lossy(&answer.body).into_owned();
        *answers
            .entry(format!("{} {name}", answer.status.as_u16()))
            .or_insert(0) += 1;
    }
    let told: Vec<_> = answers
        .iter()
        .map(|(answer, count)| format!("{answer}: {count}"))
        .collect();
    println!("{what:<16} {}", told.join(", "));
    Ok(())
}
