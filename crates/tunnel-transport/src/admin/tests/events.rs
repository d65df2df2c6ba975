//! Streams of events.

use super::*;
use crate::admin::{MAX_STREAMS, view};

fn data(event: &str) -> view::Snapshot {
    let text = event.strip_prefix("event: snapshot\ndata: ").expect(event);
    serde_json::from_str(text.strip_suffix("\n\n").expect("its end")).unwrap()
}

#[tokio::test]
async fn an_event_of_a_thousand_agents_is_below_100_kb() {
    let gateway = gateway();
    let _agents = gateway.agents().fill(1_000, &["web", "api"]);
    let traffic = || {
        let row = |number: usize| view::Traffic {
            rule: format!("rule-{number}"),
            target: "web".to_owned(),
            requests: number as u64,
            latency_log2_us: vec![u64::from(u32::MAX); 32],
            ..view::Traffic::default()
        };
        (0..1_000).map(row).collect()
    };
    let asks = Asks::new(Admin::gateway(&gateway).traffic(traffic));
    let told = asks.get("/api/events").await;
    assert!(told.text.len() < 100_000, "{}", told.text.len());
    let snapshot = data(&told.text);
    assert_eq!((snapshot.agents_total, snapshot.groups_total), (1_000, 62));
    assert_eq!(
        (
            snapshot.overview.counts.agents,
            snapshot.overview.counts.available
        ),
        (1_000, 1_000)
    );
    assert_eq!(snapshot.overview.traffic_total, 1_000);
    assert!(snapshot.agents.len() >= 50 && snapshot.overview.traffic.len() >= 20);
    assert_eq!(snapshot.overview.traffic[0].requests, 999, "the busiest first");
}

#[tokio::test]
async fn agents_that_need_a_look_come_first() {
    let gateway = gateway();
    let _agents = gateway.agents().fill(300, &["web"]);
    gateway.rest_agent(&"agent-0299".parse().unwrap());
    let asks = Asks::new(Admin::gateway(&gateway));
    let snapshot = data(&asks.get("/api/events").await.text);
    assert_eq!(
        (snapshot.agents[0].id.as_str(), snapshot.agents[0].state.as_str()),
        ("agent-0299", "drained")
    );
    assert_eq!(snapshot.overview.counts.drained, 1);
}

#[tokio::test(start_paused = true)]
async fn streams_are_bounded_and_come_each_second() {
    use futures_util::StreamExt as _;
    let asks = Asks::new(Admin::agent(&agent()));
    let open = || async {
        let request = Request::get("/api/events")
            .header("host", "127.0.0.1")
            .body(Body::empty());
        let mut request = request.unwrap();
        request
            .extensions_mut()
            .insert(PeerInfo::plaintext(([127, 0, 0, 1], 1).into()));
        asks.admin.router().oneshot(request).await.unwrap()
    };
    let mut streams = Vec::new();
    for _ in 0..MAX_STREAMS {
        streams.push(open().await.into_body().into_data_stream());
    }
    assert_eq!(open().await.status(), 503);
    let start = tokio::time::Instant::now();
    let mut first = streams.remove(0);
    for _ in 0..3 {
        first.next().await.unwrap().unwrap();
    }
    assert_eq!(start.elapsed().as_secs(), 2, "one at once, and one a second");
    drop(first);
    assert_eq!(open().await.status(), 200);
    asks.admin.replace_access(token()).unwrap();
    let mut second = streams.remove(0);
    assert!(
        second.next().await.is_none(),
        "it has to be asked for again, with the token"
    );
}
