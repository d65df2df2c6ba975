//! Credential by rule by protocol.

use axum::body::Body;
use http::{HeaderMap, Request, Response, header};
use tunnel_tests::{
    client::{Client, Version},
    wait::within_limit,
    websocket::{Frame, Opened, handshake, open},
};

use crate::world::{CALLER, KNOWN, SAW, TOKEN, World};

/// What a request shows.
#[derive(Clone, Copy, Debug)]
struct Shown {
    name: &'static str,
    values: &'static [&'static str],
    /// Who it is, where it is let in.
    caller: &'static str,
}

/// How it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    In,
    /// 401, and UNAUTHENTICATED.
    Unknown,
    /// 403, and PERMISSION_DENIED.
    Forbidden,
    /// 400, and INTERNAL.
    Malformed,
}

const RULES: [&str; 7] = ["public", "tokens", "users", "jwt", "known", "any", "staff"];

/// Tokens of the issuer that PyJWT made: valid until 2100; expired in 2023; and for somebody else. The first two have the scope
/// `staff`.
const JWT: &str = "Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUuY29tLyIsImF1ZCI6ImFwaSIsInN1YiI6Imp3dC1hbGljZSIsImV4cCI6NDEwMjQ0NDgwMCwic2NvcGUiOiJyZWFkIHN0YWZmIn0.WeIwQbyVjAQJMZQFyM5pHEmYNGJ56urVXuWhjWzBgE8";
const EXPIRED: &str = "Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUuY29tLyIsImF1ZCI6ImFwaSIsInN1YiI6Imp3dC1hbGljZSIsImV4cCI6MTcwMDAwMDAwMCwic2NvcGUiOiJyZWFkIHN0YWZmIn0.uOJtbwVzIYODFN7B1c8pfKuXRfXm6mWjMFW54LKn3R0";
const FOR_OTHERS: &str = "Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUuY29tLyIsImF1ZCI6IndlYiIsInN1YiI6Imp3dC1hbGljZSIsImV4cCI6NDEwMjQ0NDgwMCwic2NvcGUiOiJzdGFmZiJ9.HiEHw1TV_jd7E02Qllo6HBf1AUv94_GLO6NVGi_mcAQ";

/// `alice`, `bob`, and `alice` with a wrong password.
const ALICE: &str = "Basic YWxpY2U6Y29ycmVjdCBob3JzZQ==";
const BOB: &str = "basic Ym9iOmNvcnJlY3QgaG9yc2U=";
const WRONG: &str = "Basic YWxpY2U6d3JvbmcgaG9yc2U=";

/// Each row has an outcome for each of [`RULES`]: `+` in, `-` unknown, `!` forbidden, `x` malformed.
const TABLE: [(Shown, &str); 11] = [
    (row("nothing", &[], ""), "+------"),
    (
        row("a token of ours", &["Bearer 0123456789-a-token-of-ours"], "ci"),
        "++---+!",
    ),
    (
        row("another token", &["Bearer 0123456789-a-token-of-mine"], ""),
        "+------",
    ),
    (row("alice", &[ALICE], "alice"), "+-+--+!"),
    (row("bob", &[BOB], "bob"), "+-+--+!"),
    (row("a wrong password", &[WRONG], ""), "+------"),
    (row("a JWT", &[JWT], "jwt-alice"), "+--+-++"),
    (row("an expired JWT", &[EXPIRED], ""), "+------"),
    (row("a JWT for others", &[FOR_OTHERS], ""), "+------"),
    (
        row(
            "a token that is known",
            &["Bearer opaque-token-of-carol"],
            "carol",
        ),
        "+---++!",
    ),
    (row("two fields", &[ALICE, JWT], ""), "+xxxxxx"),
];

const fn row(name: &'static str, values: &'static [&'static str], caller: &'static str) -> Shown {
    Shown { name, values, caller }
}

fn outcome(symbol: char) -> Outcome {
    match symbol {
        '+' => Outcome::In,
        '-' => Outcome::Unknown,
        '!' => Outcome::Forbidden,
        'x' => Outcome::Malformed,
        other => panic!("{other} is no outcome"),
    }
}

/// What it came to in plain HTTP, and whom the app saw.
fn http(head: &Response<()>) -> (Outcome, Option<String>) {
    let outcome = match head.status().as_u16() {
        101 | 200 => Outcome::In,
        401 => Outcome::Unknown,
        403 => Outcome::Forbidden,
        400 => Outcome::Malformed,
        status => panic!("answered {status}: {head:?}"),
    };
    let has_challenge = head.headers().contains_key(header::WWW_AUTHENTICATE);
    assert!(has_challenge || outcome != Outcome::Unknown, "{head:?}");
    (outcome, saw(head.headers()))
}

fn grpc(head: &Response<()>) -> (Outcome, Option<String>) {
    assert_eq!(head.status(), 200, "{head:?}");
    let outcome = match head.headers()["grpc-status"].to_str().expect("a number") {
        "0" => Outcome::In,
        "16" => Outcome::Unknown,
        "7" => Outcome::Forbidden,
        "13" => Outcome::Malformed,
        status => panic!("answered {status}: {head:?}"),
    };
    (outcome, saw(head.headers()))
}

fn saw(headers: &HeaderMap) -> Option<String> {
    // Every answer through the gateway has it, refusals too.
    assert!(headers.contains_key("x-trace-id"), "{headers:?}");
    Some(headers.get(SAW)?.to_str().expect("text").to_owned())
}

/// Shows the credentials, and claims to be somebody else.
fn fill(headers: &mut HeaderMap, shown: Shown) {
    for value in shown.values {
        headers.append(header::AUTHORIZATION, value.parse().expect("a value"));
    }
    headers.insert(CALLER, "root".parse().expect("a value"));
    headers.insert("x_caller", "root".parse().expect("a value"));
}

async fn request(world: &World, version: Version, request: Request<Body>) -> Response<()> {
    let mut client = Client::connect(version, world.addr).await;
    client.send(request).await.expect("a response").map(drop)
}

async fn websocket(world: &World, version: Version, path: &str, shown: Shown) -> Response<()> {
    let mut request = handshake(path);
    fill(request.headers_mut(), shown);
    match open(version, world.addr, request).await {
        Opened::Refused(answer) => answer.map(drop),
        Opened::Upgraded(head, mut peer) => {
            peer.send(&Frame::text("hello")).await;
            assert_eq!(peer.recv().await, Frame::text("hello"));
            head
        }
    }
}

async fn cell(world: &World, shown: Shown, rule: &str, expected: Outcome) {
    let path = format!("/{rule}/Method");
    let before = world.calls();
    let mut seen = Vec::new();
    for version in [Version::Http1, Version::Http2] {
        let mut get = Request::get(&path).body(Body::empty()).expect("a request");
        fill(get.headers_mut(), shown);
        seen.push(http(&request(world, version, get).await));
        seen.push(http(&websocket(world, version, &path, shown).await));
    }
    let call = Request::post(&path).header(header::CONTENT_TYPE, "application/grpc");
    let mut call = call.body(Body::empty()).expect("a request");
    fill(call.headers_mut(), shown);
    seen.push(grpc(&request(world, Version::Http2, call).await));

    let saw = match (expected, rule) {
        (Outcome::In, "public") => Some("nobody".to_owned()),
        (Outcome::In, _) => Some(shown.caller.to_owned()),
        _ => None,
    };
    for (index, got) in seen.iter().enumerate() {
        assert_eq!(
            *got,
            (expected, saw.clone()),
            "{} by {rule}, protocol {index}",
            shown.name
        );
    }
    let let_in = if expected == Outcome::In { seen.len() } else { 0 };
    assert_eq!(world.calls() - before, let_in, "what came to the app");
}

#[tokio::test]
async fn every_credential_by_every_rule_in_every_protocol() {
    assert!(TABLE[1].0.values[0].ends_with(TOKEN) && TABLE[9].0.values[0].ends_with(KNOWN));
    within_limit(async {
        let world = World::new().await;
        for (shown, outcomes) in TABLE {
            assert_eq!(outcomes.len(), RULES.len());
            for (rule, symbol) in RULES.into_iter().zip(outcomes.chars()) {
                cell(&world, shown, rule, outcome(symbol)).await;
            }
        }
    })
    .await;
}
