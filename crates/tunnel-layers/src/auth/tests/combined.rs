use std::time::{Duration, SystemTime};

use super::*;
use tunnel_core::auth::Refusal;

/// Answers what it is told to, to everybody.
fn says(answer: Result<Principal, Rejection>) -> BoxAuthenticator {
    auth_fn(move |_| {
        let answer = answer.clone();
        async move { answer }
    })
    .boxed()
}

fn refuses(refusal: Refusal, challenge: &'static str) -> BoxAuthenticator {
    let rejection = Rejection::new(refusal, "no").with_challenge(HeaderValue::from_static(challenge));
    says(Err(rejection))
}

fn takes(name: &str) -> BoxAuthenticator {
    says(Ok(Principal::new(name, "test")))
}

async fn any_of(list: impl IntoIterator<Item = BoxAuthenticator>) -> Answer {
    ask(&AuthLayer::new(AnyOf::new(list).unwrap()), request("/")).await
}

#[tokio::test]
async fn any_of_takes_the_first_that_does() {
    let all = [
        Refusal::Missing,
        Refusal::Invalid,
        Refusal::Malformed,
        Refusal::Forbidden,
        Refusal::Unavailable,
    ];
    for refusal in all {
        let answer = any_of([refuses(refusal, "A"), takes("b"), takes("c")]).await;
        assert_eq!(who(answer).await, "b", "{refusal:?}");
    }
}

#[tokio::test]
async fn any_of_tells_the_most_telling_reason_and_all_challenges_once() {
    let answer = any_of([
        refuses(Refusal::Missing, "A"),
        refuses(Refusal::Invalid, "B"),
        refuses(Refusal::Missing, "A"),
    ])
    .await;
    assert_eq!(answer.status(), 401);
    assert_eq!(challenges(answer.headers()), ["A", "B"]);
    for (one, other, status) in [
        (Refusal::Missing, Refusal::Missing, 401),
        (Refusal::Unavailable, Refusal::Invalid, 503),
        (Refusal::Invalid, Refusal::Malformed, 400),
        (Refusal::Malformed, Refusal::Forbidden, 403),
        (Refusal::Unavailable, Refusal::Forbidden, 403),
    ] {
        for list in [[one, other], [other, one]] {
            let answer = any_of(list.map(|refusal| refuses(refusal, "A"))).await;
            assert_eq!(answer.status(), status, "{list:?}");
        }
    }
}

#[tokio::test]
async fn nobody_is_asked_without_need() {
    let never = auth_fn(async |_| panic!("asked")).boxed();
    assert_eq!(who(any_of([takes("a"), never.clone()]).await).await, "a");
    let layer = AuthLayer::new(AllOf::new([refuses(Refusal::Missing, "A"), never]).unwrap());
    assert_eq!(ask(&layer, request("/")).await.status(), 401);
}

#[tokio::test]
async fn all_of_needs_every_one_and_joins_what_they_say() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
    let first = Principal::new("a", "one").with_claim("x", ["1"]).with_expiry(now);
    let second = Principal::new("b", "two")
        .with_claim("x", ["2"])
        .with_claim("y", ["3"])
        .with_expiry(now - Duration::from_secs(1));
    let all = AllOf::new([says(Ok(first)), says(Ok(second))]).unwrap();
    let parts = request("/").into_parts().0;
    let principal = all.authenticate(&AuthRequest::of(&parts)).await.unwrap();
    assert_eq!((principal.name(), principal.scheme()), ("a", "one"));
    assert!(principal.has("x", "1") && !principal.has("x", "2") && principal.has("y", "3"));
    assert_eq!(principal.expires(), Some(now - Duration::from_secs(1)));

    let one_missing = AllOf::new([takes("a"), refuses(Refusal::Forbidden, "A")]).unwrap();
    assert_eq!(
        ask(&AuthLayer::new(one_missing), request("/")).await.status(),
        403
    );
}

#[tokio::test]
async fn claims_may_be_demanded() {
    let demanding = |scope| AuthLayer::new(Require::new(tokens()).scope(scope).unwrap());
    let answer = ask(&demanding("read"), with_token(request("/"), TOKEN)).await;
    assert_eq!(who(answer).await, "ci");
    let answer = ask(&demanding("write"), with_token(request("/"), TOKEN)).await;
    assert_eq!(answer.status(), 403);
    assert_eq!(
        challenges(answer.headers()),
        ["Bearer realm=\"tunnel\", error=\"insufficient_scope\", scope=\"write\""]
    );
    assert_eq!(ask(&demanding("read"), request("/")).await.status(), 401);

    let staff = Principal::new("a", "mtls").with_claim(Principal::GROUPS, ["staff"]);
    for (groups, status) in [(["staff", "admin"], 200), (["other", "admin"], 403)] {
        let require = Require::new(says(Ok(staff.clone())))
            .one_of(Principal::GROUPS, groups)
            .unwrap();
        let answer = ask(&AuthLayer::new(require), request("/")).await;
        assert_eq!(answer.status(), status);
        assert!(challenges(answer.headers()).is_empty());
    }
}

#[test]
fn combinations_that_let_nobody_in_are_refused() {
    assert!(AnyOf::new([]).is_err() && AllOf::new([]).is_err());
    assert!(Require::new(tokens()).one_of("x", [""; 0]).is_err());
    for scope in ["", "a b", "a\"b", "a\\b"] {
        assert!(Require::new(tokens()).scope(scope).is_err(), "{scope}");
    }
}
