//! Rules for services and methods of gRPC.

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::{super::compiled::Ask, *};

fn grpc() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", crate::test_util::grpc());
    headers
}

fn find_with<'a>(rules: &'a Rules, path: &str, headers: &HeaderMap) -> Option<&'a str> {
    let ask = Ask::new("example.com", path, &Method::POST, headers);
    rules.find(&ask).map(|rule| &*rule.id)
}

fn find<'a>(rules: &'a Rules, path: &str) -> Option<&'a str> {
    find_with(rules, path, &grpc())
}

#[test]
fn a_service_is_matched_by_its_whole_name() {
    let rules = rules([rule("r").grpc_service("acme.Invoices")]);
    assert_eq!(find(&rules, "/acme.Invoices/Get"), Some("r"));
    assert_eq!(find(&rules, "/acme.Invoices/Put"), Some("r"));
    for path in [
        "/acme.Invoice/Get",
        "/acme.Invoices2/Get",
        "/acme.invoices/Get",
        "/Invoices/Get",
        "/acme.Invoices",
        "/acme.Invoices/Get/x",
    ] {
        assert_eq!(find(&rules, path), None, "{path}");
    }
}

#[test]
fn a_prefix_ends_with_a_package() {
    for prefix in ["acme.billing.", "acme.billing"] {
        let rules = rules([rule("r").grpc_service_prefix(prefix)]);
        assert_eq!(find(&rules, "/acme.billing.Invoices/Get"), Some("r"));
        assert_eq!(find(&rules, "/acme.billing.v1.Invoices/Get"), Some("r"));
        for path in [
            "/acme.billings.Invoices/Get",
            "/acme.billing/Get",
            "/acme.Other/Get",
            "/billing.Invoices/Get",
        ] {
            assert_eq!(find(&rules, path), None, "{path}");
        }
    }
}

#[test]
fn methods_are_named_in_full_or_within_a_service() {
    for rule in [
        rule("r")
            .grpc_service("acme.Invoices")
            .grpc_method("Get")
            .grpc_method("List"),
        rule("r")
            .grpc_method("acme.Invoices/Get")
            .grpc_method("acme.Invoices/List"),
        rule("r")
            .grpc_service("acme.Invoices")
            .grpc_method("acme.Invoices/Get")
            .grpc_method("List"),
    ] {
        let rules = rules([rule]);
        assert_eq!(find(&rules, "/acme.Invoices/Get"), Some("r"));
        assert_eq!(find(&rules, "/acme.Invoices/List"), Some("r"));
        assert_eq!(find(&rules, "/acme.Invoices/Put"), None);
        assert_eq!(find(&rules, "/acme.Other/Get"), None);
    }
    let two = rules([rule("r").grpc_method("a.A/X").grpc_method("b.B/Y")]);
    assert_eq!(
        [find(&two, "/a.A/X"), find(&two, "/b.B/Y"), find(&two, "/a.A/Y")],
        [Some("r"), Some("r"), None]
    );
}

#[test]
fn only_what_is_grpc_by_its_content_type_matches() {
    let rules = rules([
        rule("method").grpc_method("acme.A/Get"),
        rule("service").grpc_service("acme.A"),
        rule("prefix").grpc_service_prefix("acme."),
        rule("any").grpc(),
        rule("page").path_prefix("/acme.A"),
    ]);
    for content_type in ["application/json", "application/grpc-web", "application/grpcx"] {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(content_type));
        assert_eq!(
            find_with(&rules, "/acme.A/Get", &headers),
            Some("page"),
            "{content_type}"
        );
    }
    assert_eq!(find_with(&rules, "/acme.A/Get", &HeaderMap::new()), Some("page"));
    assert_eq!(find(&rules, "/acme.A/Get"), Some("method"));
    assert_eq!(find(&rules, "/other.A/Get"), Some("any"));
    assert_eq!(find(&rules, "/acme.A"), Some("page"), "this path calls no method");
}

#[test]
fn the_more_specific_rule_is_first() {
    // In reverse, so that the order of declaration would be wrong at every step.
    let mut list = vec![
        rule("last"),
        rule("pattern").path_regex("/acme.*"),
        rule("prefix").path_prefix("/acme.v1.A"),
        rule("any-grpc").grpc(),
        rule("package").grpc_service_prefix("acme."),
        rule("inner-package").grpc_service_prefix("acme.v1."),
        rule("service").grpc_service("acme.v1.A"),
        rule("exact").path_exact("/acme.v1.A/Get"),
        rule("method").grpc_method("acme.v1.A/Get"),
        rule("host").host("example.com"),
        rule("urgent").priority(1),
    ];
    let mut order = Vec::new();
    while !list.is_empty() {
        let table = rules(list.clone());
        let found = find(&table, "/acme.v1.A/Get").unwrap().to_owned();
        list.retain(|rule| rule.id != found);
        order.push(found);
    }
    assert_eq!(
        order,
        [
            "urgent",
            "host",
            "method",
            "exact",
            "service",
            "inner-package",
            "package",
            "any-grpc",
            "prefix",
            "pattern",
            "last"
        ]
    );
}

#[test]
fn metadata_is_matched_as_headers_are() {
    let tenant = HeaderName::from_static("tenant");
    let rules = rules([
        rule("blue")
            .grpc_service("acme.A")
            .header(tenant.clone(), HeaderValue::from_static("blue")),
        rule("rest").grpc_service("acme.A"),
    ]);
    let mut headers = grpc();
    assert_eq!(find_with(&rules, "/acme.A/Get", &headers), Some("rest"));
    headers.insert(tenant, HeaderValue::from_static("blue"));
    assert_eq!(find_with(&rules, "/acme.A/Get", &headers), Some("blue"));
}

#[test]
fn errors_say_what_would_be_right() {
    for (rule, expected) in [
        (
            rule("r").grpc_service(""),
            "grpc: \"\" is no service: write its full name",
        ),
        (rule("r").grpc_service("/acme.A"), "is no service"),
        (rule("r").grpc_service("acme..A"), "is no service"),
        (rule("r").grpc_service("acme.1A"), "is no service"),
        (rule("r").grpc_service("acme.*"), "is no service"),
        (
            rule("r").grpc_service_prefix("."),
            "is no prefix of services: write a package such as acme.billing.",
        ),
        (rule("r").grpc_service_prefix("acme.*"), "is no prefix"),
        (
            rule("r").grpc_method("Get"),
            "\"Get\" names no service: write package.Service/Method",
        ),
        (rule("r").grpc_method("acme.A/"), "is no method"),
        (rule("r").grpc_method("acme.A/Get/x"), "is no method"),
        (
            rule("r").grpc_method("/acme.A/Get"),
            "is no method: write one such as package.Service/Method",
        ),
        (
            rule("r").grpc_service("acme.A").grpc_method("acme.B/Get"),
            "is no method of the service \"acme.A\"",
        ),
        (
            rule("r").grpc_service("acme.A").grpc_service_prefix("acme."),
            "not both",
        ),
        (
            rule("r").grpc_service_prefix("acme.").grpc_method("acme.A/Get"),
            "belongs to one service",
        ),
        (
            rule("r").grpc_service("acme.A").path_prefix("/acme.A"),
            "match that or a path, not both",
        ),
        (rule("r").grpc().path_exact("/x"), "not both"),
        (rule("r").grpc().method(Method::GET), "is a POST"),
        (
            rule("r").grpc_service("acme.A").strip_prefix(),
            "match with a path prefix",
        ),
    ] {
        let error = Rules::compile([rule]).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let both = rule("r").grpc().method(Method::POST).method(Method::GET);
    assert!(Rules::compile([both]).is_ok());
}

#[test]
fn a_tonic_service_need_not_be_typed_twice() {
    struct Invoices;
    impl tonic::server::NamedService for Invoices {
        const NAME: &'static str = "acme.Invoices";
    }
    let rules = rules([rule("r").grpc_service_of::<Invoices>()]);
    assert_eq!(find(&rules, "/acme.Invoices/Get"), Some("r"));
}
