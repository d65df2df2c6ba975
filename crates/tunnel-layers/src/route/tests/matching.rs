//! Which rule a request matches, and which rules cannot be.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::{super::compiled::Ask, *};
use crate::reject::Direct;

/// The id of the rule that matches.
fn find<'a>(rules: &'a Rules, host: &str, path: &str) -> Option<&'a str> {
    find_with(rules, host, path, &Method::GET, &HeaderMap::new())
}

fn find_with<'a>(
    rules: &'a Rules,
    host: &str,
    path: &str,
    method: &Method,
    headers: &HeaderMap,
) -> Option<&'a str> {
    let ask = Ask::new(host, path, method, headers);
    rules.find(&ask).map(|rule| &*rule.id)
}

fn error(rule: Rule) -> String {
    Rules::compile([rule]).unwrap_err().to_string()
}

#[test]
fn a_wildcard_is_for_every_name_below_and_not_for_its_own() {
    let rules = rules([rule("wild").host("*.example.com")]);
    assert_eq!(find(&rules, "a.example.com", "/"), Some("wild"));
    assert_eq!(find(&rules, "a.b.example.com", "/"), Some("wild"));
    assert_eq!(find(&rules, "example.com", "/"), None);
    assert_eq!(find(&rules, "aexample.com", "/"), None);
    assert_eq!(find(&rules, "", "/"), None);
}

#[test]
fn a_prefix_ends_with_a_segment() {
    let api = rules([rule("api").path_prefix("/api/")]);
    for (path, found) in [
        ("/api", true),
        ("/api/", true),
        ("/api/x", true),
        ("/apix", false),
        ("/", false),
    ] {
        assert_eq!(find(&api, "h", path).is_some(), found, "{path}");
    }
    let all = rules([rule("root").path_prefix("/")]);
    assert_eq!(find(&all, "h", "/"), Some("root"));
    assert_eq!(find(&all, "h", "/x/y"), Some("root"));
    assert_eq!(find(&all, "h", "*"), None);
}

#[test]
fn a_pattern_matches_the_whole_path() {
    let rules = rules([rule("user").path_regex("/users/[0-9]+|/me")]);
    assert_eq!(find(&rules, "h", "/users/7"), Some("user"));
    assert_eq!(find(&rules, "h", "/me"), Some("user"));
    assert_eq!(find(&rules, "h", "/users/7/x"), None);
    assert_eq!(find(&rules, "h", "/x/me"), None);
}

#[test]
fn paths_of_rules_are_made_canonical() {
    let rules = rules([
        rule("a").path_exact("/%61//caf\u{e9}"),
        rule("b").path_prefix("/%62"),
    ]);
    assert_eq!(find(&rules, "h", "/a/caf%C3%A9"), Some("a"));
    assert_eq!(find(&rules, "h", "/b/x"), Some("b"));
}

#[test]
fn methods_and_headers_are_looked_at() {
    let rules = rules([rule("r")
        .method(Method::POST)
        .method(Method::PUT)
        .header(header::ACCEPT, HeaderValue::from_static("a"))
        .header_present(header::ORIGIN)
        .header_regex(header::USER_AGENT, "curl/.*")]);
    let mut headers = HeaderMap::new();
    headers.append(header::ACCEPT, HeaderValue::from_static("z"));
    headers.append(header::ACCEPT, HeaderValue::from_static("a"));
    headers.insert(header::ORIGIN, HeaderValue::from_static("x"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static("curl/8"));
    assert_eq!(find_with(&rules, "h", "/", &Method::PUT, &headers), Some("r"));
    assert_eq!(find_with(&rules, "h", "/", &Method::GET, &headers), None);
    for name in [header::ACCEPT, header::ORIGIN, header::USER_AGENT] {
        let mut fewer = headers.clone();
        fewer.remove(&name);
        assert_eq!(find_with(&rules, "h", "/", &Method::PUT, &fewer), None, "{name}");
    }
    headers.insert(header::USER_AGENT, HeaderValue::from_static("x curl/8"));
    assert_eq!(find_with(&rules, "h", "/", &Method::PUT, &headers), None);
}

#[test]
fn priority_comes_first_then_host_then_path_then_order() {
    // In reverse, so that the order of declaration would be wrong at every step.
    let mut list = vec![
        rule("last"),
        rule("any-first").path_regex("/.*"),
        rule("any-second").path_regex("/x.*"),
        rule("any-prefix").path_prefix("/x"),
        rule("any-longer").path_prefix("/x/y"),
        rule("any-exact").path_exact("/x/y/z"),
        rule("com").host("*.com"),
        rule("example").host("*.example.com"),
        rule("exact").host("a.example.com"),
        rule("urgent").priority(1),
    ];
    let mut order = Vec::new();
    while !list.is_empty() {
        let table = rules(list.clone());
        let found = find(&table, "a.example.com", "/x/y/z").unwrap().to_owned();
        list.retain(|rule| rule.id != found);
        order.push(found);
    }
    assert_eq!(
        order,
        [
            "urgent",
            "exact",
            "example",
            "com",
            "any-exact",
            "any-longer",
            "any-prefix",
            "any-first",
            "any-second",
            "last"
        ]
    );
}

#[test]
fn a_rule_that_fails_its_headers_lets_the_next_one_try() {
    let rules = rules([
        rule("picky")
            .host("h")
            .path_exact("/x")
            .header_present(header::ORIGIN),
        rule("general"),
    ]);
    assert_eq!(find(&rules, "h", "/x"), Some("general"));
}

#[test]
fn errors_name_the_rule_and_what_would_be_right() {
    for (rule, expected) in [
        (rule(""), "rule \"\": id: \"\" is no name: use 1 to 128"),
        (rule("a b"), "id: \"a b\" is no name"),
        (
            rule("r").path_exact("x"),
            "path: \"x\" cannot match: the path does not start with `/`",
        ),
        (rule("r").path_prefix("/a?b"), "leave the query out"),
        (rule("r").path_prefix("/a/../b"), "dot segment"),
        (
            rule("r").path_regex("("),
            "path: the pattern \"(\" is not a regular expression",
        ),
        (rule("r").path_regex("a)|(b"), "is not a regular expression"),
        (
            rule("r").path_regex("(a{1000}){1000}"),
            "is not a regular expression",
        ),
        (
            rule("r").header_regex(header::ACCEPT, "["),
            "headers: the pattern \"[\"",
        ),
        (
            rule("r").header_present(header::HOST),
            "matched by the rule's host",
        ),
        (rule("r").strip_prefix(), "match with a path prefix"),
        (
            rule("r").path_prefix("/a").replace_prefix("b"),
            "\"b\" is no path: write one such as /v2",
        ),
        (
            rule("r").rewrite_host("a b"),
            "\"a b\" is no host: write one such as",
        ),
        (rule("r").rewrite_host("u@h"), "is no host"),
        (
            rule("r").set_request_header(header::HOST, HeaderValue::from_static("h")),
            "rewrite the host",
        ),
        (
            rule("r").remove_response_header(header::CONTENT_LENGTH),
            "belongs to the connection",
        ),
        (rule("r").timeout(Duration::ZERO), "timeout: it is zero"),
        (
            Rule::upstream("r", "files"),
            "action: it goes to the upstream \"files\"",
        ),
        (
            Rule::direct("r", Direct::new(StatusCode::SWITCHING_PROTOCOLS)),
            "101 is no final status",
        ),
    ] {
        let error = error(rule);
        assert!(error.contains(expected), "{error}");
    }
    let twice = Rules::compile([rule("a"), rule("b"), rule("a")]).unwrap_err();
    assert_eq!((twice.index(), twice.rule(), twice.field()), (2, "a", "id"));
}

#[test]
fn the_upstreams_of_the_rules_are_known() {
    let list = [
        Rule::upstream("a", "files"),
        Rule::upstream("b", "files"),
        rule("c"),
    ];
    let rules = Rules::compile_with_upstreams(list).unwrap();
    assert!(rules.upstreams().into_iter().eq(["files"]));
}

#[test]
fn debug_shows_no_header_values() {
    let secret = || HeaderValue::from_static("hunter2");
    let rule = rule("r")
        .header(header::AUTHORIZATION, secret())
        .header_regex(header::COOKIE, "hunter2")
        .set_request_header(header::AUTHORIZATION, secret())
        .set_response_header(header::SET_COOKIE, secret());
    assert!(!format!("{rule:?}").contains("hunter2"), "{rule:?}");
    assert!(format!("{rule:?}").contains("authorization"));
    assert_eq!(format!("{:?}", rules([rule])), "[\"r\"]");
}
