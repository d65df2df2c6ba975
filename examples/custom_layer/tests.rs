//! How a layer of one's own is tested in a whole tunnel.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use tower::ServiceBuilder;
use tunnel_layers::{
    balance::{BalanceLayer, RoundRobin},
    chunk::ChunkLayer,
    correlate::CorrelateLayer,
    rescue::RescueLayer,
    route::{RouteLayer, Rule, Rules},
};
use tunnel_transport::testing::Tunnel;

use crate::{app, timing::TimingLayer};

fn rules() -> Rules {
    Rules::compile([Rule::group("web", "web".parse().expect("a name"))]).expect("the rules are right")
}

#[tokio::test(start_paused = true)]
async fn the_time_is_that_of_the_app_and_of_the_way() {
    let mut tunnel = Tunnel::builder()
        .agent("web", app())
        .start(|gateway| {
            ServiceBuilder::new()
                .layer(RescueLayer::new())
                .layer(RouteLayer::new(rules()))
                .layer(TimingLayer)
                .layer(BalanceLayer::new(gateway.agents(), RoundRobin::new()))
                .layer(ChunkLayer::new())
                .layer(CorrelateLayer::new())
                .service(gateway.transport())
        })
        .await;
    let mut client = tunnel.http1().await;
    let mut timing = async || {
        let request = Request::get("/slow")
            .body(Empty::<Bytes>::new())
            .expect("a request");
        let answer = client.send(request).await.expect("an answer");
        let value = answer.headers()["server-timing"].to_str().expect("a text");
        let millis = value.strip_prefix("web;dur=").expect("the rule").parse::<f64>();
        millis.expect("a number").round()
    };
    // The timer of tokio has steps of a millisecond.
    assert!((50.0..=52.0).contains(&timing().await));

    tunnel.agent("web-1").link().delay(Duration::from_millis(100));
    assert!((250.0..=256.0).contains(&timing().await));

    tunnel.agent("web-1").kill().await;
    // Until the gateway hears of it, by the slow link.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(timing().await, 0.0, "nobody is there, and that is said at once");
    tunnel.idle().await;
}
