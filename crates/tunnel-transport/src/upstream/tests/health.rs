//! Health checks, in front of real servers.

use std::sync::atomic::{AtomicBool, AtomicU16};

use http::StatusCode;
use hyper_util::service::TowerToHyperService;
use tunnel_core::balance::{PickFirst, RoundRobin};

use super::*;
use crate::upstream::{HealthCheck, UpstreamEndpoint};

const SOON: Duration = Duration::from_millis(20);

fn quick(check: HealthCheck) -> HealthCheck {
    check.interval(SOON).jitter(0.5)
}

/// Two endpoints at the same server, and one check of each.
fn twice(origin: &Origin, protocol: UpstreamProtocol, check: HealthCheck) -> Upstream {
    let other = format!("http://localhost:{}", origin.addr.port());
    to(origin.addr, protocol)
        .endpoint(UpstreamEndpoint::new(other))
        .policy(RoundRobin::new())
        .health(check)
        .build()
        .unwrap()
}

fn healthy(upstream: &Upstream) -> usize {
    upstream.endpoints().iter().filter(|one| one.is_healthy).count()
}

async fn until(upstream: &Upstream, count: usize) {
    soon(async {
        while healthy(upstream) != count {
            settle().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_status_says_whether_an_endpoint_is_well() {
    let status = Arc::new(AtomicU16::new(204));
    let (answer, asked) = (Arc::clone(&status), Arc::new(AtomicBool::new(false)));
    let hosts = Arc::clone(&asked);
    let origin = Origin::start(move |request| {
        let status = match request.uri().path() {
            "/healthz" => {
                hosts.fetch_or(request.headers()["host"] == "probe.example", Ordering::SeqCst);
                answer.load(Ordering::SeqCst)
            }
            _ => 200,
        };
        async move {
            let mut response = Response::new(body("ok"));
            *response.status_mut() = StatusCode::from_u16(status)?;
            Ok(response)
        }
    });
    let check = HealthCheck::http("/healthz")
        .unwrap()
        .status(204..=204)
        .status(301..=302)
        .host("probe.example")
        .unwrap();
    let upstream = twice(&origin, UpstreamProtocol::Http1, quick(check));
    upstream.start();
    soon(async {
        while !asked.load(Ordering::SeqCst) {
            settle().await;
        }
    })
    .await;
    assert_eq!(healthy(&upstream), 2);
    // Only what was named, although 200 is a success.
    status.store(200, Ordering::SeqCst);
    until(&upstream, 0).await;
    let error = soon(upstream.clone().oneshot(get())).await.unwrap_err();
    assert_eq!((error.cause(), error.sent()), (Cause::NoEndpoint, Sent::No));
    status.store(302, Ordering::SeqCst);
    until(&upstream, 2).await;
    assert_eq!(text(soon(upstream.oneshot(get())).await.unwrap()).await, "ok");
}

#[tokio::test]
async fn one_that_is_not_there_gets_nothing_even_as_the_first() {
    let (_port, gone) = closed_port();
    let origin = Origin::start(|_| async { Ok(Response::new(body("ok"))) });
    let upstream = to(gone, UpstreamProtocol::Http1)
        .endpoint(UpstreamEndpoint::new(format!("http://{}", origin.addr)))
        .policy(PickFirst)
        .health(quick(HealthCheck::tcp()))
        .build()
        .unwrap();
    upstream.start();
    until(&upstream, 1).await;
    assert!(!upstream.endpoints()[0].is_healthy);
    assert_eq!(text(soon(upstream.oneshot(get())).await.unwrap()).await, "ok");
}

/// A server with the health service of gRPC.
async fn grpc(service: &'static str) -> (SocketAddr, tonic_health::server::HealthReporter) {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter
        .set_service_status(service, tonic_health::ServingStatus::Serving)
        .await;
    let (listener, addr) = listen();
    let service = TowerToHyperService::new(tonic::service::Routes::new(health).prepare());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (addr, reporter)
}

#[tokio::test]
async fn a_service_says_whether_it_serves() {
    for watch in [false, true] {
        let (addr, reporter) = grpc("acme.Billing").await;
        let check = quick(HealthCheck::grpc("acme.Billing"));
        let check = if watch { check.watch() } else { check };
        let upstream = to(addr, UpstreamProtocol::H2c).health(check).build().unwrap();
        upstream.start();
        // The connection of the check.
        soon(async {
            while upstream.connections() == 0 {
                settle().await;
            }
        })
        .await;
        assert_eq!(healthy(&upstream), 1);
        let (serving, not) = (
            tonic_health::ServingStatus::Serving,
            tonic_health::ServingStatus::NotServing,
        );
        for _ in 0..2 {
            reporter.set_service_status("acme.Billing", not).await;
            until(&upstream, 0).await;
            reporter.set_service_status("acme.Billing", serving).await;
            until(&upstream, 1).await;
        }
        assert_eq!(upstream.connections(), 1, "watch {watch}");
        // What is dropped is checked no more.
        let count = upstream.open_count();
        drop(upstream);
        soon(async {
            while count.get() > 0 {
                settle().await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_server_without_the_service_is_well_and_not_asked_again() {
    for watch in [false, true] {
        let calls = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&calls);
        let origin = Origin::start(move |request| {
            count.fetch_add(
                usize::from(request.uri().path().contains("Health")),
                Ordering::SeqCst,
            );
            async {
                let mut response = Response::new(body(""));
                let headers = response.headers_mut();
                headers.insert("content-type", "application/grpc".parse()?);
                headers.insert("grpc-status", "12".parse()?);
                Ok(response)
            }
        });
        let check = quick(HealthCheck::grpc(""));
        let check = if watch { check.watch() } else { check };
        let upstream = to(origin.addr, UpstreamProtocol::H2c)
            .health(check)
            .build()
            .unwrap();
        upstream.start();
        soon(async {
            while calls.load(Ordering::SeqCst) == 0 {
                settle().await;
            }
        })
        .await;
        tokio::time::sleep(SOON * 5).await;
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        assert_eq!(healthy(&upstream), 1);
    }
}

#[tokio::test]
async fn one_that_says_nothing_fails_in_time() {
    let (listener, addr) = listen();
    let check = quick(HealthCheck::http("/").unwrap()).timeout(SOON);
    let upstream = to(addr, UpstreamProtocol::Http1).health(check).build().unwrap();
    upstream.start();
    until(&upstream, 0).await;
    drop(listener);
}

#[test]
fn checks_have_to_fit_to_the_upstream() {
    assert!(HealthCheck::http("healthz").is_err());
    assert!(HealthCheck::http("/").unwrap().host("a b").is_err());
    let built = Upstream::builder("http://a")
        .health(HealthCheck::grpc(""))
        .build();
    assert!(built.unwrap_err().to_string().contains("h2c"));
}
