//! Several endpoints as one upstream.

use std::collections::BTreeMap;

use http::StatusCode;
use tokio::sync::Semaphore;
use tunnel_core::{
    balance::{ConsistentHash, Outliers, PickFirst, RoundRobin},
    retry::Tried,
    upgrade::Switched,
};

use super::{upgrade::asking, *};
use crate::upstream::{HashKey, UpstreamEndpoint};

/// An origin that says its name.
pub(super) fn named(name: &'static str) -> Origin {
    Origin::start(move |_| async move { Ok(Response::new(body(name))) })
}

pub(super) fn endpoint(origin: &Origin) -> UpstreamEndpoint {
    UpstreamEndpoint::new(format!("http://{}", origin.addr))
}

/// One that nobody listens at.
fn dead() -> (TcpSocket, UpstreamEndpoint) {
    let (port, addr) = closed_port();
    (port, UpstreamEndpoint::new(format!("http://{addr}")))
}

fn round_robin() -> RoundRobin {
    RoundRobin::new()
}

pub(super) async fn ask(upstream: &Upstream) -> String {
    text(soon(upstream.clone().oneshot(get())).await.unwrap()).await
}

#[tokio::test]
async fn requests_are_shared_out_by_weight() {
    for protocol in BOTH {
        let (one, two) = (named("one"), named("two"));
        let upstream = Upstream::balanced([endpoint(&one), endpoint(&two).weight(3)])
            .policy(round_robin())
            .protocol(protocol)
            .build()
            .unwrap();
        let mut counts = BTreeMap::new();
        for _ in 0..40 {
            *counts.entry(ask(&upstream).await).or_insert(0) += 1;
            settle().await;
        }
        assert_eq!(counts, [("one".to_owned(), 10), ("two".to_owned(), 30)].into());
        assert_eq!((one.accepted(), two.accepted()), (1, 1), "{protocol:?}");
    }
}

#[tokio::test]
async fn the_busy_one_gets_nothing_more() {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let slow = Origin::start(move |_| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await?.forget();
            Ok(Response::new(body("slow")))
        }
    });
    let quick = named("quick");
    let upstream = Upstream::balanced([endpoint(&slow), endpoint(&quick)])
        .build()
        .unwrap();
    // As many as it takes until one waits for the slow one: two at random are the only two.
    let mut waiting = None;
    for _ in 0..64 {
        let mut call = Box::pin(upstream.clone().oneshot(get()));
        let answered = tokio::select! {
            biased;
            response = &mut call => Some(response.unwrap()),
            () = async { while upstream.endpoints()[0].pending == 0 { settle().await } } => None,
        };
        match answered {
            Some(response) => assert_eq!(text(response).await, "quick"),
            None => {
                waiting = Some(call);
                break;
            }
        }
    }
    let waiting = waiting.expect("one went to the slow one");
    for _ in 0..20 {
        assert_eq!(ask(&upstream).await, "quick");
    }
    opened.add_permits(1);
    assert_eq!(text(waiting.await.unwrap()).await, "slow");
    assert!(
        upstream.endpoints().iter().all(|one| one.pending == 0),
        "{upstream:?}"
    );
}

#[tokio::test]
async fn a_key_comes_to_the_same_endpoint() {
    let origins = [named("a"), named("b"), named("c")];
    let key = HashKey::Header(http::HeaderName::from_static("x-user"));
    let upstream = Upstream::balanced(origins.iter().map(endpoint))
        .policy(ConsistentHash::new())
        .hash_key(key)
        .build()
        .unwrap();
    let mut places = BTreeMap::new();
    for round in 0..3 {
        for user in 0..30 {
            let mut request = get();
            request
                .headers_mut()
                .insert("x-user", user.to_string().parse().unwrap());
            let place = text(soon(upstream.clone().oneshot(request)).await.unwrap()).await;
            let known = places.entry(user).or_insert_with(|| place.clone());
            assert_eq!(*known, place, "user {user}, round {round}");
        }
    }
    let used: std::collections::BTreeSet<_> = places.values().collect();
    assert_eq!(used.len(), 3);
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_reached_costs_no_request() {
    for protocol in BOTH {
        let living = named("living");
        let (_port, dead) = dead();
        let upstream = Upstream::balanced([dead, endpoint(&living)])
            .policy(PickFirst)
            .protocol(protocol)
            .build()
            .unwrap();
        for _ in 0..10 {
            let response = soon(upstream.clone().oneshot(post(body("x")))).await.unwrap();
            assert_eq!(text(response).await, "living", "{protocol:?}");
        }
    }
}

#[tokio::test]
async fn an_upgrade_goes_to_the_endpoint_that_is_there() {
    let (listener, addr) = listen();
    let living = UpstreamEndpoint::new(format!("http://{addr}"));
    let (_port, dead) = dead();
    let upstream = Upstream::balanced([dead, living])
        .policy(PickFirst)
        .build()
        .unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = head(&mut stream).await;
        assert_eq!(head.matches("upgrade, te").count(), 1, "{head}");
        let granted =
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        stream.write_all(granted).await.unwrap();
        let _ = stream.read_u8().await;
    });
    let (sender, request) = asking();
    let response = soon(upstream.clone().oneshot(request)).await.unwrap();
    assert!(response.extensions().get::<Switched>().is_some());
    assert_eq!(upstream.endpoints()[1].pending, 1);
    drop((response, sender));
    soon(async {
        while upstream.endpoints()[1].pending > 0 {
            settle().await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_read_is_sent_to_nobody_else() {
    let (listener, addr) = listen();
    let living = named("living");
    let upstream = Upstream::balanced([UpstreamEndpoint::new(format!("http://{addr}")), endpoint(&living)])
        .policy(PickFirst)
        .build()
        .unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        head(&mut stream).await;
    });
    let error = soon(upstream.oneshot(get())).await.unwrap_err();
    assert_eq!(error.sent(), Sent::Yes);
    assert_eq!(living.accepted(), 0);
}

#[tokio::test]
async fn one_that_fails_is_ejected_and_taken_back() {
    let failing = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let state = Arc::clone(&failing);
    let flaky = Origin::start(move |_| {
        let mut response = Response::new(body("flaky"));
        if state.load(Ordering::SeqCst) {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        async move { Ok(response) }
    });
    let steady = named("steady");
    let outliers = Outliers {
        consecutive_failures: 3,
        ejection: Duration::from_millis(200),
        ..Outliers::default()
    };
    let upstream = Upstream::balanced([endpoint(&flaky), endpoint(&steady)])
        .policy(round_robin())
        .outliers(Some(outliers))
        .build()
        .unwrap();
    let mut answers = Vec::new();
    for _ in 0..12 {
        answers.push(ask(&upstream).await);
    }
    let flaky_ones = answers.iter().filter(|answer| *answer == "flaky").count();
    assert_eq!(flaky_ones, 3, "{answers:?}");
    assert!(upstream.endpoints()[0].is_ejected);

    failing.store(false, Ordering::SeqCst);
    soon(async {
        while ask(&upstream).await != "flaky" {
            settle().await;
        }
    })
    .await;
    let answers = [ask(&upstream).await, ask(&upstream).await];
    assert!(answers.contains(&"flaky".to_owned()) && answers.contains(&"steady".to_owned()));
}

#[tokio::test]
async fn a_call_that_ends_unavailable_counts_as_failed() {
    let origin = Origin::start(|_| async {
        let (mut sender, body) = streamed();
        tokio::spawn(async move {
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", http::HeaderValue::from_static("14"));
            sender.send_trailers(trailers).await
        });
        Ok(Response::new(body))
    });
    let outliers = Outliers {
        consecutive_failures: 1,
        ..Outliers::default()
    };
    let (_port, dead) = dead();
    let upstream = Upstream::balanced([endpoint(&origin), dead])
        .policy(PickFirst)
        .protocol(UpstreamProtocol::H2c)
        .outliers(Some(outliers))
        .build()
        .unwrap();
    let response = soon(upstream.clone().oneshot(get())).await.unwrap();
    assert!(!upstream.endpoints()[0].is_ejected);
    text(response).await;
    assert!(upstream.endpoints()[0].is_ejected);
}

#[tokio::test]
async fn a_request_waits_for_a_place_once() {
    let stuck = || Origin::start(|_| std::future::pending());
    let origins = [stuck(), stuck()];
    let upstream = Upstream::balanced(origins.iter().map(endpoint))
        .policy(round_robin())
        .max_connections(1)
        .queue_timeout(Duration::from_millis(400))
        .build()
        .unwrap();
    let running = [(); 2].map(|()| tokio::spawn(upstream.clone().oneshot(get())));
    soon(async {
        while upstream.connections() < 2 {
            settle().await;
        }
    })
    .await;
    let start = tokio::time::Instant::now();
    let error = soon(upstream.oneshot(get())).await.unwrap_err();
    assert_eq!((error.cause(), error.sent()), (Cause::Overloaded, Sent::No));
    assert!(
        start.elapsed() < Duration::from_millis(800),
        "{:?}",
        start.elapsed()
    );
    running.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn what_is_sent_again_goes_to_an_endpoint_that_has_not_had_it() {
    let (one, two) = (named("one"), named("two"));
    let upstream = Upstream::balanced([endpoint(&one), endpoint(&two)])
        .policy(PickFirst)
        .build()
        .unwrap();
    let tried = Tried::default();
    let ask = async || {
        let mut request = get();
        request.extensions_mut().insert(tried.clone());
        text(soon(upstream.clone().oneshot(request)).await.unwrap()).await
    };
    assert_eq!((ask().await, ask().await), ("one".to_owned(), "two".to_owned()));
    // When all have had it, anyone gets it.
    assert_eq!(ask().await, "one");
}

#[test]
fn endpoints_have_to_fit_together() {
    let build = |uris: &[&str]| {
        let builder = Upstream::balanced(uris.iter().map(|uri| UpstreamEndpoint::new(*uri)));
        builder.build().map(drop).unwrap_err().to_string()
    };
    assert!(build(&[]).contains("no endpoint"));
    #[cfg(feature = "tls")]
    assert!(build(&["http://a", "https://b"]).contains("two upstreams"));
    assert!(build(&["http://a", "b"]).contains("write http://b"));
}
