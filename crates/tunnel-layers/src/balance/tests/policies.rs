//! Who is chosen, by what stands around the policy.

use std::time::Duration;

use http::{HeaderName, StatusCode};

use super::*;
use crate::{key::HashKey, test_session::Group};

/// Who gets a request, through `layer`; the agent answers what `answer` says of its place among `sessions`.
async fn ask(
    layer: &BalanceLayer<Group, impl Pick<Member>>,
    sessions: &[Session],
    request: Request<Full<Bytes>>,
    answer: impl Fn(usize) -> (Duration, StatusCode) + Clone,
) -> usize {
    let service = ServiceBuilder::new().layer(layer.clone()).service(service_fn(
        move |request: Request<Lent<Full<Bytes>>>| {
            let id = request.extensions().get::<Session>().unwrap().id();
            let place = sessions.iter().position(|session| session.id() == id).unwrap();
            let (time, status) = answer(place);
            let mut response = Response::new(Full::new(Bytes::new()));
            *response.status_mut() = status;
            response.extensions_mut().insert(place);
            async move {
                tokio::time::sleep(time).await;
                Ok::<_, TunnelError>(response)
            }
        },
    ));
    let response = service.oneshot(request).await.unwrap();
    *response.extensions().get::<usize>().unwrap()
}

async fn counts(
    layer: &BalanceLayer<Group, impl Pick<Member>>,
    sessions: &[Session],
    times: usize,
    answer: impl Fn(usize) -> (Duration, StatusCode) + Clone,
) -> Vec<usize> {
    let mut counts = vec![0; sessions.len()];
    for _ in 0..times {
        counts[ask(layer, sessions, request(b""), answer.clone()).await] += 1;
    }
    counts
}

const fn well(_: usize) -> (Duration, StatusCode) {
    (Duration::ZERO, StatusCode::OK)
}

/// At once; the one at `at` with this status, the others well.
fn all_but(at: usize, status: StatusCode) -> impl Fn(usize) -> (Duration, StatusCode) + Clone {
    move |place| (Duration::ZERO, if place == at { status } else { StatusCode::OK })
}

#[tokio::test]
async fn suspects_get_nothing_while_somebody_else_can() {
    let sessions = [session(1, 1), session(2, 1), session(3, 1)];
    let layer = BalanceLayer::new(group(&sessions.each_ref()), RoundRobin::new());
    sessions[0].suspect(true);
    assert_eq!(counts(&layer, &sessions, 10, well).await, [0, 5, 5]);
    sessions[1].suspect(true);
    sessions[2].suspect(true);
    assert_eq!(counts(&layer, &sessions, 9, well).await, [3, 3, 3]);
    sessions[0].suspect(false);
    assert_eq!(counts(&layer, &sessions, 9, well).await, [9, 0, 0]);
}

#[tokio::test]
async fn the_same_key_comes_to_the_same_agent_and_others_to_all() {
    let sessions = [session(1, 1), session(2, 1), session(3, 1)];
    let balancing =
        Balancing::new(ConsistentHash::new()).hash_key(HashKey::header(HeaderName::from_static("x-tenant")));
    let layer = BalanceLayer::balancing(group(&sessions.each_ref()), balancing);
    let keyed = |tenant: usize| {
        let mut request = request(b"");
        request.headers_mut().insert("x-tenant", tenant.into());
        request
    };
    let mut places = Vec::new();
    for tenant in 0..90 {
        let place = ask(&layer, &sessions, keyed(tenant), well).await;
        assert_eq!(ask(&layer, &sessions, keyed(tenant), well).await, place);
        places.push(place);
    }
    let of = |agent| places.iter().filter(|place| **place == agent).count();
    assert!((0..3).all(|agent| (18..=42).contains(&of(agent))), "{places:?}");
    let without = counts(&layer, &sessions, 90, well).await;
    assert!(without.iter().all(|count| *count > 15), "{without:?}");
}

#[tokio::test]
async fn each_group_and_each_rule_may_be_balanced_in_its_own_way() {
    let sessions = [session(1, 1), session(2, 1)];
    let always = |place: usize| move |_: &[Candidate<'_, Member>], _: &Choice| place;
    let layer = |group_name: &str| {
        // Two closures of one type.
        let [first, second] = [0, 1].map(always);
        BalanceLayer::new(group(&sessions.each_ref()), first)
            .group(group_name.parse().unwrap(), Balancing::new(second))
    };
    assert_eq!(counts(&layer("app"), &sessions, 4, well).await, [0, 4]);
    assert_eq!(counts(&layer("other"), &sessions, 4, well).await, [4, 0]);
    // The rule is closer than the group.
    let by_rule = layer("app").rule("all", Balancing::new(always(0)));
    assert_eq!(counts(&by_rule, &sessions, 4, well).await, [4, 0]);
    let by_rule = layer("app").rule("another", Balancing::new(always(0)));
    assert_eq!(counts(&by_rule, &sessions, 4, well).await, [0, 4]);
}

#[tokio::test]
async fn weights_and_zones_of_members_count() {
    let sessions = [session(1, 1), session(2, 1), session(3, 1)];
    let members = [1, 3, 1].into_iter().zip(&sessions);
    let members: Vec<_> = members
        .map(|(weight, session)| Member::new(session.clone(), weight))
        .collect();
    let layer = BalanceLayer::new(Group::from(members.clone()), RoundRobin::new());
    assert_eq!(counts(&layer, &sessions, 10, well).await, [2, 6, 2]);
    let near = vec![
        members[0].clone().in_zone("a"),
        members[1].clone().in_zone("b"),
        members[2].clone(),
    ];
    let balancing = Balancing::new(RoundRobin::new()).zone(ZonePreference::new("a"));
    let layer = BalanceLayer::balancing(Group::from(near), balancing);
    assert_eq!(counts(&layer, &sessions, 10, well).await, [10, 0, 0]);
    sessions[0].drain();
    assert_eq!(counts(&layer, &sessions, 8, well).await, [0, 6, 2]);
}

#[tokio::test(start_paused = true)]
async fn who_fails_is_ejected_and_taken_back() {
    let sessions = [session(1, 1), session(2, 1), session(3, 1)];
    let balancing = Balancing::new(RoundRobin::new()).outliers(Outliers::default());
    let layer = BalanceLayer::balancing(group(&sessions.each_ref()), balancing);
    let fails = all_but(1, StatusCode::BAD_GATEWAY);
    // Five failures, and not one more.
    assert_eq!(counts(&layer, &sessions, 45, fails.clone()).await[1], 5);
    tokio::time::advance(Duration::from_secs(29)).await;
    assert_eq!(counts(&layer, &sessions, 10, fails).await[1], 0);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(counts(&layer, &sessions, 9, well).await, [3, 3, 3]);
    // What callers bring about is no failure.
    let wrong = all_but(1, StatusCode::NOT_FOUND);
    assert_eq!(counts(&layer, &sessions, 60, wrong).await, [20, 20, 20]);
}

#[tokio::test(start_paused = true)]
async fn who_is_slow_gets_little_by_latency() {
    let sessions = [session(1, 1), session(2, 1), session(3, 1)];
    let layer = BalanceLayer::new(group(&sessions.each_ref()), PeakEwma::new());
    let times = |place| (Duration::from_millis([500, 10, 10][place]), StatusCode::OK);
    let first = counts(&layer, &sessions, 60, times).await;
    assert!(first[0] <= 2 && first[1] > 15 && first[2] > 15, "{first:?}");
    // It is tried again when what was measured is old.
    tokio::time::advance(Duration::from_secs(120)).await;
    let later = counts(&layer, &sessions, 20, times).await;
    assert!(later[0] >= 1, "{later:?}");
}
