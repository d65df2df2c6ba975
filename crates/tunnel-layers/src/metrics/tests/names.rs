//! The labels that there are.

use super::*;

#[tokio::test]
async fn rules_are_labels_and_what_outsiders_choose_is_not() {
    let recorder = Recorder::new();
    let overview = Overview::new();
    let rules = Rules::compile([
        Rule::direct("hello", Direct::new(StatusCode::OK)).path_prefix("/hello"),
        Rule::group("shop", "web".parse().unwrap()).path_prefix("/shop"),
    ]);
    let service = ServiceBuilder::new()
        .layer(MetricsLayer::new().overview(overview.clone()))
        .layer(RouteLayer::new(rules.unwrap()))
        .service(answering(|| Response::new(Scripted::of(["x"]))));
    for n in 0..1_000 {
        for path in ["/hello", "/shop", ""] {
            let mut request = request(&format!("{path}/{n}"));
            let host = format!("h{n}.example.com");
            request
                .headers_mut()
                .insert("host", HeaderValue::from_str(&host).unwrap());
            let answer = service.clone().oneshot(request).await.unwrap();
            answer.into_body().collect().await.unwrap();
        }
    }
    assert_eq!(recorder.series("tunnel_exchanges_total"), 3);
    let shop = ["rule=\"shop\"", "group=\"web\"", "upstream=\"\""];
    assert_eq!(recorder.value("tunnel_exchanges_total", &shop), Some(1_000.0));
    assert_eq!(
        recorder.value("tunnel_exchange_failures_total", &["cause=\"no-route\""]),
        Some(1_000.0)
    );
    let rows = overview.snapshot();
    let rules: Vec<_> = rows.iter().map(|row| (&*row.rule, row.requests)).collect();
    assert_eq!(rules, [("", 1_000), ("hello", 1_000), ("shop", 1_000)]);
}

/// Whoever asks is told what the recorder is told, at a gateway and at an agent.
#[tokio::test]
async fn the_families_are_what_the_recorder_has() {
    for own in [None, Some("own")] {
        let recorder = Recorder::new();
        let overview = Overview::new();
        let layer = MetricsLayer::new().group("g").overview(overview.clone());
        let layer = match own {
            None => layer,
            Some(name) => layer.agent(name),
        };
        let service = layer.layer(service_fn(move |request| one_of_many(request, own.is_none())));
        for path in ["", "retried", "lost", "404", "500", "204"] {
            let request = request(&format!("/{path}")).map(|_| Scripted::of(["in"]));
            if let Ok(answer) = service.clone().oneshot(request).await {
                answer.into_body().collect().await.unwrap();
            }
        }
        let families = overview.families();
        assert_eq!(families.len(), 13);
        for Family { name, samples, .. } in families {
            // A histogram has more lines, and one that tells how many it has.
            let recorded = match recorder.series(&format!("{name}_count")) {
                0 => recorder.series(name),
                histograms => histograms,
            };
            assert_eq!(recorded, samples.len(), "{name}");
            for (labels, sample) in samples {
                let text = |label: &metrics::Label| format!("{}=\"{}\"", label.key(), label.value());
                let labels: Vec<_> = labels.iter().map(text).collect();
                let labels: Vec<_> = labels.iter().map(String::as_str).collect();
                let value = |end| recorder.value(&format!("{name}{end}"), &labels).unwrap();
                match sample {
                    Sample::Counter(count) => assert_eq!(value(""), count as f64, "{name} {labels:?}"),
                    Sample::Gauge(number) => assert_eq!(value(""), number, "{name} {labels:?}"),
                    Sample::Histogram { below, count, sum } => {
                        assert_eq!(value("_count"), count as f64, "{name} {labels:?}");
                        assert!((value("_sum") - sum).abs() < 1e-6, "{name} {labels:?}");
                        assert_eq!(below.last().unwrap().1, count, "nothing took long");
                    }
                }
            }
        }
    }
}

/// Does what the path says.
async fn one_of_many(
    request: Request<crate::observe::RequestBody<Scripted>>,
    is_gateway: bool,
) -> Result<Response<Scripted>, BoxError> {
    let path = request.uri().path()[1..].to_owned();
    let record = request.extensions().get::<Record>().unwrap().clone();
    record.note_rule(&"r".into(), None::<&Target>);
    if is_gateway {
        let id = tunnel_core::RequestId::NIL;
        record.note_sent(&"first".parse().unwrap(), id);
        if path == "retried" {
            tokio::task::yield_now().await;
            record.note_sent(&"second".parse().unwrap(), id);
        }
    }
    request.into_body().collect().await?;
    if path == "lost" {
        return Err(lost().into());
    }
    let mut response = Response::new(Scripted::of(["x"]));
    *response.status_mut() = path.parse().unwrap_or(StatusCode::OK);
    Ok(response)
}

#[tokio::test]
async fn names_are_bounded() {
    let recorder = Recorder::new();
    let overview = Overview::new();
    let layer = MetricsLayer::new()
        .overview(overview.clone())
        .max_agents(2)
        .max_rules(3);
    let service = layer.layer(service_fn(
        |request: Request<crate::observe::RequestBody<Scripted>>| {
            let n = request.uri().path()[1..].to_owned();
            let record = request.extensions().get::<Record>().unwrap();
            let id = tunnel_core::RequestId::NIL;
            record.note_sent(&format!("agent-{n}").parse().unwrap(), id);
            record.note_rule(&format!("rule-{n}").into(), None::<&Target>);
            std::future::ready(Ok::<_, Infallible>(Response::new(Scripted::of(["x"]))))
        },
    ));
    for n in 0..10 {
        let answer = service.clone().oneshot(request(&format!("/{n}"))).await.unwrap();
        answer.into_body().collect().await.unwrap();
    }
    let value = |label| recorder.value("tunnel_agent_exchanges_total", &[label, "outcome=\"ok\""]);
    assert_eq!(value("agent=\"agent-1\""), Some(1.0));
    assert_eq!(value("agent=\"other\""), Some(8.0));
    assert_eq!(recorder.series("tunnel_agent_exchanges_total"), 3);
    assert_eq!(recorder.series("tunnel_exchanges_total"), 4);
    let other = overview.snapshot().into_iter().find(|row| &*row.rule == "other");
    assert_eq!(other.unwrap().requests, 7);
    assert_eq!(overview.agents().len(), 3);
}

#[tokio::test]
async fn another_try_counts_for_both_agents() {
    let recorder = Recorder::new();
    let service = MetricsLayer::new().layer(service_fn(
        |request: Request<crate::observe::RequestBody<Scripted>>| async move {
            let record = request.extensions().get::<Record>().unwrap().clone();
            let id = tunnel_core::RequestId::NIL;
            record.note_sent(&"first".parse().unwrap(), id);
            tokio::task::yield_now().await;
            record.note_sent(&"second".parse().unwrap(), id);
            Ok::<_, Infallible>(Response::new(Scripted::of(["x"])))
        },
    ));
    let answer = service.oneshot(request("/")).await.unwrap();
    answer.into_body().collect().await.unwrap();
    let value = |name, labels: &[_]| recorder.value(name, labels);
    let total = "tunnel_agent_exchanges_total";
    assert_eq!(
        value(total, &["agent=\"first\"", "outcome=\"retried\""]),
        Some(1.0)
    );
    assert_eq!(value(total, &["agent=\"second\"", "outcome=\"ok\""]), Some(1.0));
    for agent in ["agent=\"first\"", "agent=\"second\""] {
        assert_eq!(value("tunnel_agent_exchanges_open", &[agent]), Some(0.0));
    }
}

#[tokio::test]
async fn what_an_agent_sends_on_is_its_own_exchange() {
    let recorder = Recorder::new();
    let layer = MetricsLayer::new().agent("own");
    let service = layer.layer(service_fn(
        |request: Request<crate::observe::RequestBody<Scripted>>| async move {
            let record = request.extensions().get::<Record>().unwrap().clone();
            record.note_sent(&"next".parse().unwrap(), tunnel_core::RequestId::NIL);
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(Response::new(Scripted::of(["x"])))
        },
    ));
    let answer = service.oneshot(request("/")).await.unwrap();
    answer.into_body().collect().await.unwrap();
    let value = |outcome| recorder.value("tunnel_agent_exchanges_total", &["agent=\"own\"", outcome]);
    assert_eq!(value("outcome=\"ok\""), Some(1.0));
    assert_eq!(value("outcome=\"retried\""), None);
}
