//! What the operator's programs do with upstreams that fail, and with names of SRV records.

use std::{collections::BTreeSet, net::Ipv4Addr};

use axum::{Router, body::Body};
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::BodyExt as _;
use tunnel_tests::{
    client::{Client, Version},
    dns::DnsServer,
    origin::Origin,
    tunnel::closed_port,
    wait::within_limit,
};

use crate::{
    program::{Running, program},
    world::{Files, Pair, RunningGateway, TO_WEB, gateway_file, get},
};

/// A server that says its name, with this status, and sends back what came.
async fn server(name: &'static str, status: StatusCode) -> Origin {
    let app = async move |body: String| (status, format!("{name} {body}"));
    Origin::http1(Router::new().fallback(app)).await
}

/// A gateway without agents that runs, and its port.
async fn start(files: &Files, text: &str) -> (Running, std::net::SocketAddr) {
    let file = files.write("gateway.yaml", &format!("listen: 127.0.0.1:0\n{text}"));
    let mut gateway = Running::start(program("gateway", &["--config", &file]));
    let ready = gateway.line("ready listen=").await;
    (gateway, ready.parse().expect("an address"))
}

async fn send(
    port: std::net::SocketAddr,
    method: Method,
    more: &HeaderMap,
) -> (StatusCode, HeaderMap, String) {
    let mut client = Client::connect(Version::Http1, port).await;
    let mut request = http::Request::builder().method(method).uri("/");
    request.headers_mut().expect("a request").extend(more.clone());
    let request = request.body(Body::from("whole")).expect("a request");
    let (parts, body) = client.send(request).await.expect("an answer").into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    (
        parts.status,
        parts.headers,
        String::from_utf8_lossy(&body).into_owned(),
    )
}

#[tokio::test]
async fn a_rule_sends_again_to_another_endpoint_what_its_policy_allows() {
    let (bad, good) = (
        server("bad", StatusCode::SERVICE_UNAVAILABLE).await,
        server("good", StatusCode::OK).await,
    );
    let text = format!(
        "upstreams: {{site: {{endpoints: [\"{}\", \"{}\"], balance: {{policy: pick-first, outliers: none}}}}}}
rules:
  - {{id: once, path: /once, upstream: site}}
  - {{id: site, upstream: site, retry: {{attempts: 2, backoff: {{first: 1ms, cap: 5ms}}}}}}
",
        bad.uri(),
        good.uri()
    );
    let files = Files::new();
    let (_gateway, port) = start(&files, &text).await;
    within_limit(async {
        let none = HeaderMap::new();
        let (status, _, text) = send(port, Method::PUT, &none).await;
        assert_eq!((status.as_u16(), text.as_str()), (200, "good whole"));
        let (status, _, text) = send(port, Method::POST, &none).await;
        assert_eq!(
            (status.as_u16(), text.as_str()),
            (503, "bad whole"),
            "not idempotent"
        );
        assert_eq!(get(port, "/once").await.0, 503, "no policy");
    })
    .await;
}

#[tokio::test]
async fn without_a_healthy_endpoint_the_answer_is_503() {
    let (_port, gone) = closed_port();
    let upstream = format!("{{url: \"http://{gone}\", health: {{tcp: true, interval: 10ms}}}}");
    let files = Files::new();
    let text = format!("upstreams: {{site: {upstream}}}\nrules: [{{id: site, upstream: site}}]\n");
    let (_gateway, here) = start(&files, &text).await;
    let pair = Pair::start(TO_WEB, &upstream).await;
    within_limit(async {
        let mut grpc = HeaderMap::new();
        grpc.insert(header::CONTENT_TYPE, "application/grpc".parse().expect("a value"));
        for port in [here, pair.gateway.listen] {
            // Until the first check.
            let (headers, text) = loop {
                let (status, headers, text) = send(port, Method::GET, &HeaderMap::new()).await;
                match status.as_u16() {
                    502 => {}
                    status => {
                        assert_eq!(status, 503);
                        break (headers, text);
                    }
                }
            };
            assert_eq!(headers["x-tunnel-error"], "no-endpoint");
            assert_eq!(headers["retry-after"], "1");
            assert!(text.contains("no endpoint of the upstream is healthy"), "{text}");
            let (status, headers, _) = send(port, Method::POST, &grpc).await;
            assert_eq!(
                (status.as_u16(), &headers["grpc-status"]),
                (200, &"14".parse().unwrap())
            );
        }
    })
    .await;
}

#[tokio::test]
async fn what_proxies_saw_keeps_requests_together() {
    let servers = [
        server("a", StatusCode::OK).await,
        server("b", StatusCode::OK).await,
        server("c", StatusCode::OK).await,
    ];
    let [a, b, c] = servers.each_ref().map(Origin::uri);
    let text = format!(
        "trusted_peers: [127.0.0.1]
upstreams:
  site:
    endpoints: [\"{a}\", \"{b}\", \"{c}\"]
    balance: {{policy: consistent-hash, hash: {{address: {{behind_proxies: 1}}}}}}
rules: [{{id: site, upstream: site}}]
"
    );
    let files = Files::new();
    let (_gateway, port) = start(&files, &text).await;
    within_limit(async {
        let mut places = BTreeSet::new();
        for client in 1..=20 {
            let mut headers = HeaderMap::new();
            // What the client claims stands before what the proxy saw.
            let claims = [
                format!("198.51.100.9, 192.0.2.{client}"),
                format!("192.0.2.{client}"),
            ];
            let mut place = None;
            for claim in claims {
                headers.insert("x-forwarded-for", claim.parse().expect("a value"));
                let (_, _, text) = send(port, Method::GET, &headers).await;
                assert_eq!(place.get_or_insert_with(|| text.clone()), &text);
            }
            places.extend(place);
        }
        assert_eq!(places.len(), 3, "{places:?}");
    })
    .await;
}

#[tokio::test]
async fn gateways_and_upstreams_are_found_by_their_records() {
    let origin = Origin::http1(Router::new().fallback(async || "found")).await;
    let dns = DnsServer::start().await;
    dns.host("host.example", &[Ipv4Addr::LOCALHOST]);
    dns.service(
        "_web._tcp.example",
        60,
        &[(0, 0, origin.addr.port(), "host.example")],
    );
    let upstream = format!("{{url: srv+http://_web._tcp.example, dns: [\"{}\"]}}", dns.addr);
    let rules =
        format!("  - {{id: own, path: /own, upstream: site}}\n{TO_WEB}upstreams: {{site: {upstream}}}\n");
    let files = Files::new();
    let file = files.write("gateway.yaml", &gateway_file(&rules));
    let gateway = RunningGateway::start("gateway", &["--config", &file]).await;
    let here = (0, 0, gateway.agents.port(), "host.example");
    dns.service("_tunnel._tcp.example", 60, &[here]);
    let text = format!(
        "gateway: srv+http://_tunnel._tcp.example\ndns: [\"{}\"]\nid: web-1\ngroups: [web]\ntoken_env: TUNNEL_TOKEN\nupstream: \
         {upstream}\n",
        dns.addr
    );
    let file = files.write("agent.yaml", &text);
    let mut agent = Running::start(program("agent", &["--config", &file]));
    within_limit(async {
        agent.line("ready ").await;
        for path in ["/own", "/agent"] {
            assert_eq!(get(gateway.listen, path).await, (200, "found".to_owned()));
        }
    })
    .await;
}
