//! Where traces go.

use super::*;

/// The good file of a gateway, with `traces` as it stands here.
fn traces(text: &str) -> Result<GatewayConfig, String> {
    gateway(&format!("{GATEWAY}traces: {text}\n"))
}

#[cfg(feature = "otel")]
#[test]
fn a_collector_and_a_share_are_told() {
    let text =
        "{otlp: \"http://collector:4317\", sample: 0.1, service_name: edge, paths: true, trust: false}";
    let config = traces(text).unwrap().traces.unwrap();
    assert_eq!(
        (config.otlp.as_str(), config.sample),
        ("http://collector:4317", 0.1)
    );
    assert_eq!(config.service_name.as_deref(), Some("edge"));
    assert!(config.paths && !config.trust);
    let config = traces("{otlp: \"https://[::1]:4317/\"}").unwrap().traces.unwrap();
    assert_eq!((config.sample, config.paths, config.trust), (1.0, false, true));
    assert_eq!(gateway(GATEWAY).unwrap().traces, None);
}

#[test]
fn mistakes_are_told() {
    for (text, problem) in [
        ("{otlp: \"collector:4317\"}", "such as http://collector:4317"),
        ("{otlp: \"http://c:4317/v1/traces\"}", "without a path"),
        ("{otlp: \"http://c:4317\", sample: 1.5}", "from 0, nothing, to 1"),
        ("{otlp: \"http://c:4317\", sample: .nan}", "from 0, nothing, to 1"),
        (
            "{otlp: \"http://c:4317\", service_name: \"\"}",
            "a service has a name",
        ),
        ("{sample: 1.0}", "otlp"),
    ] {
        let error = traces(text).unwrap_err();
        assert!(error.contains(problem), "{text}: {error}");
    }
    let error = agent(&format!(
        "{AGENT}traces: {{otlp: \"http://c:4317\", trust: true}}\n"
    ))
    .unwrap_err();
    assert!(error.contains("`trust` is for gateways"), "{error}");
}

#[cfg(not(feature = "otel"))]
#[test]
fn a_program_that_cannot_export_says_so() {
    let error = traces("{otlp: \"http://collector:4317\"}").unwrap_err();
    assert!(error.contains("--features otel"), "{error}");
}
