//! Upstreams whose servers are named by SRV records.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use axum::Router;
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Empty};
use tower::ServiceExt as _;
use tunnel_core::{Cause, Sent, TunnelError, balance::RoundRobin};
use tunnel_tests::{
    dns::DnsServer,
    origin::Origin,
    tunnel::closed_port,
    wait::{eventually, within_limit},
};
use tunnel_transport::{
    Upstream,
    upstream::{AllowList, UpstreamBuilder},
};

const NAME: &str = "_web._tcp.app.example";

/// A server that says its name and what it was called.
async fn named(name: &'static str) -> Origin {
    let app = move |headers: http::HeaderMap| async move {
        let host = headers[header::HOST].to_str().expect("a text").to_owned();
        format!("{name} {host}")
    };
    Origin::http1(Router::new().fallback(app)).await
}

fn builder(dns: &DnsServer) -> UpstreamBuilder {
    Upstream::builder(format!("srv+http://{NAME}"))
        .dns(dns.dns())
        .preserve_host(false)
        .policy(RoundRobin::new())
}

async fn ask(upstream: &Upstream) -> Result<String, TunnelError> {
    let request = Request::get("http://outside.example/").body(Empty::<Bytes>::new());
    let answer = upstream.clone().oneshot(request.expect("a request")).await?;
    let body = answer.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&body).into_owned())
}

async fn answers(upstream: &Upstream, count: usize) -> BTreeMap<String, usize> {
    let mut answers = BTreeMap::new();
    for _ in 0..count {
        *answers
            .entry(ask(upstream).await.expect("an answer"))
            .or_insert(0) += 1;
    }
    answers
}

fn counts<const N: usize>(counts: [(&str, usize); N]) -> BTreeMap<String, usize> {
    let of_app = |(name, count)| (format!("{name} app.example"), count);
    counts.into_iter().map(of_app).collect()
}

#[tokio::test]
async fn records_say_ports_weights_and_priorities() {
    let (one, two, spare) = (named("one").await, named("two").await, named("spare").await);
    let dns = DnsServer::start().await;
    dns.host("a.app.example", &[Ipv4Addr::LOCALHOST]);
    dns.host("b.app.example", &[Ipv4Addr::LOCALHOST]);
    dns.service(
        NAME,
        60,
        &[
            (20, 100, spare.addr.port(), "a.app.example"),
            (10, 1, one.addr.port(), "a.app.example"),
            (10, 3, two.addr.port(), "b.app.example"),
            (0, 1, 80, "nobody.app.example"),
        ],
    );
    within_limit(async {
        let upstream = builder(&dns).build().unwrap();
        assert_eq!(answers(&upstream, 40).await, counts([("one", 10), ("two", 30)]));
        let states = upstream.endpoints();
        let priorities: BTreeMap<_, _> = states.iter().map(|one| (one.priority, one.weight)).collect();
        assert_eq!((states.len(), priorities[&20]), (3, 100), "{states:?}");

        // Those with the next priority stand in when nobody else is there, and only then.
        for (origin, expected) in [(&one, "two"), (&two, "spare")] {
            assert!(upstream.drain_endpoint(&origin.addr.to_string()));
            assert_eq!(answers(&upstream, 4).await, counts([(expected, 4)]));
        }
        assert!(upstream.resume_endpoint(&one.addr.to_string()));
        assert_eq!(answers(&upstream, 4).await, counts([("one", 4)]));
        assert_eq!(dns.asked(), 1, "the records are right for a minute");
    })
    .await;
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_gives_way_to_the_next_priority() {
    let spare = named("spare").await;
    let (_port, gone) = closed_port();
    let dns = DnsServer::start().await;
    dns.host("a.app.example", &[Ipv4Addr::LOCALHOST]);
    let spare_port = spare.addr.port();
    let gone = (1, 0, gone.port(), "a.app.example");
    dns.service(NAME, 60, &[gone, (2, 0, spare_port, "a.app.example")]);
    within_limit(async {
        let upstream = builder(&dns).build().unwrap();
        assert_eq!(answers(&upstream, 4).await, counts([("spare", 4)]));
    })
    .await;
}

#[tokio::test]
async fn records_are_asked_for_again_when_their_time_is_over_and_failures_change_nothing() {
    let (one, two) = (named("one").await, named("two").await);
    let dns = DnsServer::start().await;
    dns.host("a.app.example", &[Ipv4Addr::LOCALHOST]);
    let service = |origin: &Origin| {
        let record = (0, 7, origin.addr.port(), "a.app.example");
        dns.service(NAME, 1, &[record]);
    };
    service(&one);
    within_limit(async {
        let upstream = builder(&dns).build().unwrap();
        assert_eq!(answers(&upstream, 1).await, counts([("one", 1)]));
        dns.fails(true);
        let asked = dns.asked();
        eventually(|| dns.asked() > asked).await;
        assert_eq!(answers(&upstream, 1).await, counts([("one", 1)]));
        // A service that is decidedly not there is one more failure.
        dns.fails(false);
        dns.service(NAME, 1, &[(0, 0, 0, ".")]);
        let asked = dns.asked();
        eventually(|| dns.asked() > asked).await;
        assert_eq!(answers(&upstream, 1).await, counts([("one", 1)]));
        service(&two);
        let there = two.addr.to_string();
        eventually(|| upstream.endpoints().iter().any(|one| one.name == there)).await;
        assert_eq!(answers(&upstream, 2).await, counts([("two", 2)]));
    })
    .await;
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_no_upstream() {
    let dns = DnsServer::start().await;
    within_limit(async {
        let upstream = builder(&dns).build().unwrap();
        let error = ask(&upstream).await.unwrap_err();
        assert_eq!((error.cause(), error.sent()), (Cause::Upstream, Sent::No));
    })
    .await;
}

#[tokio::test]
async fn records_lead_nowhere_that_is_not_allowed() {
    let one = named("one").await;
    let dns = DnsServer::start().await;
    dns.host("a.app.example", &[Ipv4Addr::LOCALHOST]);
    dns.service(NAME, 60, &[(0, 0, one.addr.port(), "a.app.example")]);
    let allowed = |entry: &str| builder(&dns).allow(AllowList::parse([entry]).unwrap());
    within_limit(async {
        let elsewhere = allowed("10.0.0.0/8")
            .dial_timeout(Duration::from_secs(1))
            .build()
            .unwrap();
        let error = ask(&elsewhere).await.unwrap_err();
        assert_eq!((error.cause(), error.sent()), (Cause::Upstream, Sent::No));
        for entry in ["127.0.0.0/8", "app.example"] {
            let upstream = allowed(entry).build().unwrap();
            assert_eq!(answers(&upstream, 1).await, counts([("one", 1)]), "{entry}");
        }
        // A port of the name that the records do not say.
        let upstream = allowed("app.example:1").build().unwrap();
        assert_eq!(ask(&upstream).await.unwrap_err().cause(), Cause::Upstream);
        assert!(allowed("other.example").build().is_err());
    })
    .await;
}
