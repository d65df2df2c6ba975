use super::*;

fn list() -> AllowList {
    AllowList::parse(["10.0.0.0/8", "app.internal:8080"]).unwrap()
}

fn refused(text: &str) -> String {
    Pushed::parse(text, &list()).unwrap_err().to_string()
}

#[test]
fn the_parts_of_all_groups_count_in_their_order() {
    let text = "---
upstream: {url: http://app.internal:8080}
routes: [{path: /a, upstream: {url: http://10.0.0.1}}]
---
---
{\"own_rules\": \"forbidden\", \"routes\": [{\"path\": \"/b\", \"upstream\": {\"url\": \"http://10.0.0.2\"}}]}
";
    let pushed = Pushed::parse(text, &list()).unwrap();
    assert_eq!(pushed.upstreams.count(), 3);
    assert!(pushed.own_is_forbidden);
    let none = Pushed::parse("", &list()).unwrap();
    assert_eq!((none.upstreams.count(), none.own_is_forbidden), (0, false));
}

#[test]
fn nothing_beyond_the_list_is_taken() {
    let text = refused(
        "---\nupstream: {url: http://app.internal:8080}\n---\nupstream:\n  url: http://169.254.169.254\n",
    );
    assert!(text.starts_with("pushed configuration 2:2:8: "), "{text}");
    assert!(text.contains("169.254.169.254:80 is not allowed here"), "{text}");
    let text = refused("upstream: {url: unix:/run/docker.sock}");
    assert!(text.contains("not allowed here"), "{text}");
}

#[test]
fn files_of_the_agent_cannot_be_named() {
    let text = refused("upstream: {url: https://10.0.0.1, tls: {ca: /etc/shadow}}");
    assert!(text.contains("`tls` names files"), "{text}");
    assert!(!text.contains("root:"), "{text}");
    let text = refused("pushed: {allow: [0.0.0.0/0]}");
    assert!(text.contains("unknown key `pushed`"), "{text}");
}

#[test]
fn upstreams_of_which_the_same_is_said_are_kept() {
    let parse = |text: &str| Pushed::parse(text, &list()).unwrap();
    let old =
        parse("upstream: {url: http://10.0.0.1}\nroutes: [{path: /b, upstream: {url: http://10.0.0.2}}]");
    let mut new = parse(
        "routes: [{path: /c, upstream: {url: http://10.0.0.1}}, {path: /d, upstream: {url: http://10.0.0.3}}]",
    );
    new.keep(&old);
    assert_eq!(new.upstreams.count(), 2);
    let text = format!("{:?}", new.upstreams);
    assert!(
        text.contains("10.0.0.1") && text.contains("10.0.0.3") && !text.contains("10.0.0.2"),
        "{text}"
    );
}
