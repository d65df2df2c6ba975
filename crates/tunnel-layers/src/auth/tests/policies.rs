use super::*;

fn named(name: &'static str) -> BoxAuthenticator {
    auth_fn(move |_| async move { Ok(Principal::new(name, "test")) }).boxed()
}

fn two() -> Policies {
    Policies::new([("a", named("a")), ("b", named("b"))]).unwrap()
}

fn policy(name: &str) -> Access {
    Access::Policy(name.into())
}

#[tokio::test]
async fn a_rule_says_who_may_call() {
    let layer = AuthLayer::policies(two().default_policy("b").unwrap());
    for (access, expected) in [
        (policy("a"), "a"),
        (policy("b"), "b"),
        (Access::Default, "b"),
        (Access::Public, "nobody"),
    ] {
        let answer = ask(&layer, by_rule(request("/"), access)).await;
        assert_eq!(who(answer).await, expected);
    }
    assert_eq!(who(ask(&layer, request("/")).await).await, "b");
}

#[tokio::test]
async fn public_may_be_the_default() {
    let layer = AuthLayer::policies(two().public_by_default());
    assert_eq!(who(ask(&layer, request("/")).await).await, "nobody");
    assert_eq!(
        who(ask(&layer, by_rule(request("/"), policy("a"))).await).await,
        "a"
    );
}

#[tokio::test]
async fn what_nobody_has_decided_is_closed() {
    let layer = AuthLayer::policies(two());
    for request in [
        request("/"),
        by_rule(request("/"), Access::Default),
        by_rule(request("/"), policy("c")),
    ] {
        let answer = ask(&layer, request).await;
        assert_eq!(
            (answer.status().as_u16(), cause(&answer)),
            (500, Some(Cause::Internal))
        );
    }
    // One authenticator has no name.
    let layer = AuthLayer::new(named("one"));
    assert_eq!(
        ask(&layer, by_rule(request("/"), policy("one"))).await.status(),
        500
    );
}

#[test]
fn policies_that_cannot_be_are_refused() {
    let none: [(&str, BoxAuthenticator); 0] = [];
    assert!(Policies::new(none).is_err());
    assert!(Policies::new([("a", named("a")), ("a", named("b"))]).is_err());
    assert!(two().default_policy("c").is_err());
    assert!(two().check(["a", "b"]).is_ok());
    assert!(two().check(["a", "c"]).unwrap_err().to_string().contains("\"c\""));
}

#[cfg(feature = "route")]
mod routed {
    use super::*;
    use crate::{
        reject::Direct,
        route::{RouteLayer, Rule, Rules},
    };

    fn rule(id: &str) -> Rule {
        Rule::group(id, "g".parse().unwrap())
    }

    #[tokio::test]
    async fn rules_carry_it() {
        let rules = Rules::compile([
            rule("open").path_prefix("/open").public(),
            rule("staff").path_prefix("/staff").policy("a"),
            rule("rest"),
        ])
        .unwrap();
        assert_eq!(rules.policies(), ["a"].into());
        let policies = two().default_policy("b").unwrap();
        policies.check(rules.policies()).unwrap();
        let service = RouteLayer::new(rules).layer(AuthLayer::policies(policies).layer(service_fn(inside)));
        for (path, expected) in [
            ("/open/x", "nobody"),
            ("/staff/x", "a"),
            ("/other", "b"),
            // One path, whatever way it is written.
            ("//staff/x", "a"),
            ("/%73taff/x", "a"),
            ("/staff;x=1/x", "a"),
            ("/openx", "b"),
        ] {
            let answer = service.clone().oneshot(request(path)).await.unwrap();
            let bytes = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(bytes, expected, "{path}");
        }
    }

    #[test]
    fn rules_that_nothing_could_guard_are_refused() {
        let direct = Rule::direct("d", Direct::new(http::StatusCode::OK));
        let error = Rules::compile([direct.clone().policy("a")]).unwrap_err();
        assert_eq!(error.field(), "policy");
        assert!(Rules::compile([direct.public()]).is_ok());
        assert_eq!(
            Rules::compile([rule("r").policy("")]).unwrap_err().field(),
            "policy"
        );
    }
}
