use super::*;
use crate::{admit::HOPS_HEADER, auth::AgentCaller, id::SessionId};

/// The same, from an agent.
fn of_agent(mut parts: Parts) -> Parts {
    let session = SessionId::from_random([3; 16]);
    let caller = AgentCaller::new("edge", "a".parse().unwrap(), session, []);
    parts.extensions.insert(caller);
    parts
}

fn hops(parts: &Parts) -> Vec<String> {
    values(parts, HOPS_HEADER.as_str())
}

#[test]
fn what_an_agent_asks_is_counted_from_then_on() {
    assert!(
        hops(&admitted(get("/"))).is_empty(),
        "it was never in an agent's hands"
    );
    let first = admitted(of_agent(get("/")));
    assert_eq!(hops(&first), ["1"]);
    // It comes back by a listener, whose admission knows it by the field.
    let listener = admitted(with(
        get("/"),
        &[("x-tunnel-hops", "1"), ("connection", "x-tunnel-hops")],
    ));
    assert_eq!(hops(&listener), ["2"]);
}

#[test]
fn a_circle_ends() {
    let refused = |parts| try_with(parts, &peer(), &Policy::new().max_hops(2)).unwrap_err();
    for parts in [of_agent(get("/")), get("/")] {
        let error = refused(with(parts, &[("x-tunnel-hops", "2")]));
        assert_eq!(
            (error.cause(), error.initiator(), error.sent()),
            (Cause::Loop, Initiator::Caller, Sent::No)
        );
    }
    let once_more = with(of_agent(get("/")), &[("x-tunnel-hops", "1")]);
    assert_eq!(
        hops(&try_with(once_more, &peer(), &Policy::new().max_hops(2)).unwrap()),
        ["2"]
    );
    let last = with(of_agent(get("/")), &[("x-tunnel-hops", &u32::MAX.to_string())]);
    assert_eq!(refused(last).cause(), Cause::Loop);
}

#[test]
fn what_is_no_count_is_refused() {
    for values in [&["-1"][..], &["x"], &[""], &["1", "1"], &["99999999999"]] {
        let fields: Vec<_> = values.iter().map(|value| ("x-tunnel-hops", *value)).collect();
        let error = try_with(with(of_agent(get("/")), &fields), &peer(), &Policy::new()).unwrap_err();
        assert_eq!(error.cause(), Cause::Malformed, "{values:?}");
    }
}

#[test]
fn an_agent_is_no_trusted_proxy_wherever_it_comes_from() {
    let policy = Policy::new().trusted_peers(["192.0.2.7".parse().unwrap()]);
    let said = [
        ("x-forwarded-for", "203.0.113.5"),
        ("forwarded", "for=203.0.113.5"),
        ("x-real-ip", "203.0.113.5"),
    ];
    let parts = try_with(with(of_agent(get("/")), &said), &peer(), &policy).unwrap();
    assert_eq!(values(&parts, "x-forwarded-for"), ["192.0.2.7"]);
    assert_eq!(
        values(&parts, "forwarded"),
        ["for=192.0.2.7;host=example.com;proto=http"]
    );
    assert!(values(&parts, "x-real-ip").is_empty());
}
