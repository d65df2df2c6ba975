//! What is measured and logged.

use tunnel_layers::access_log::Format;

use super::*;
use crate::config::{LogTo, MetricsSettings};

fn with(text: &str) -> Result<GatewayConfig, String> {
    gateway(&format!("{GATEWAY}{text}\n"))
}

#[test]
fn nothing_is_measured_or_logged_unless_it_is_asked_for() {
    let observe = gateway(GATEWAY).unwrap().observe;
    assert_eq!((observe.metrics, observe.access_log), (None, None));
    let observe = agent(AGENT).unwrap().observe;
    assert_eq!((observe.metrics, observe.access_log), (None, None));
}

#[test]
fn both_have_defaults() {
    let observe = with("metrics: {}\naccess_log: {}").unwrap().observe;
    assert_eq!(observe.metrics, Some(MetricsSettings::default()));
    let log = observe.access_log.unwrap();
    assert_eq!(
        (log.to, log.format, log.query),
        (LogTo::Stdout, Format::Json, false)
    );
    assert!(log.headers.is_empty());
}

#[test]
fn what_is_told_is_taken() {
    let text = "metrics: {max_agents: 10, max_rules: 20}\n\
                access_log: {file: logs/access.log, format: common, query: true, headers: [user-agent, Referer]}";
    let observe = agent(&format!("{AGENT}{text}\n")).unwrap().observe;
    let metrics = observe.metrics.unwrap();
    assert_eq!((metrics.max_agents, metrics.max_rules), (Some(10), Some(20)));
    let log = observe.access_log.unwrap();
    assert!(matches!(&log.to, LogTo::File(path) if path.ends_with("logs/access.log")));
    assert_eq!((log.format, log.query), (Format::Common, true));
    assert_eq!(log.headers, ["user-agent", "Referer"]);
    for (to, expected) in [("stderr", LogTo::Stderr), ("events", LogTo::Events)] {
        let observe = with(&format!("access_log: {{to: {to}}}")).unwrap().observe;
        assert_eq!(observe.access_log.unwrap().to, expected);
    }
}

#[test]
fn mistakes_are_told() {
    for (text, problem) in [
        ("access_log: {to: syslog}", "`syslog` is nowhere"),
        ("access_log: {to: stdout, file: x}", "write one of them"),
        ("access_log: {format: xml}", "`xml` is no format"),
        (
            "access_log: {headers: [accept, Cookie]}",
            "`Cookie` holds secrets",
        ),
        ("access_log: {headers: [\"a b\"]}", "no name of a header"),
        ("access_log: {fields: [a]}", "unknown key `fields`"),
        ("metrics: {max_agents: 1000000}", "at most 100000"),
        ("metrics: {listen: \"127.0.0.1:9\"}", "unknown key `listen`"),
    ] {
        let error = with(text).unwrap_err();
        assert!(error.contains(problem), "{text}: {error}");
    }
}
