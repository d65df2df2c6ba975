use std::time::Duration;

use tunnel_layers::upgrade::UpgradeLayer;

use super::*;

fn with(yaml: &str) -> Result<GatewayConfig, String> {
    gateway(&GATEWAY.replacen("rules:", &format!("websocket: {yaml}\nrules:"), 1))
}

/// What it is set to, which only its `Debug` tells.
fn told(layer: &UpgradeLayer) -> String {
    format!("{layer:?}")
}

#[test]
fn what_websockets_may_do_is_off_unless_it_is_set() {
    let (idle, ping) = (Duration::from_secs(300), Duration::from_secs(30));
    for (yaml, expected) in [
        ("{}", UpgradeLayer::new()),
        ("{idle_timeout: 5m}", UpgradeLayer::new().idle_timeout(idle)),
        ("{ping_interval: 30s}", UpgradeLayer::new().ping_interval(ping)),
        (
            "{idle_timeout: 5m, ping_interval: 30s}",
            UpgradeLayer::new().idle_timeout(idle).ping_interval(ping),
        ),
    ] {
        assert_eq!(told(&with(yaml).unwrap().upgrade), told(&expected), "{yaml}");
    }
    assert_eq!(
        told(&gateway(GATEWAY).unwrap().upgrade),
        told(&UpgradeLayer::new())
    );
    assert_ne!(
        told(&UpgradeLayer::new()),
        told(&UpgradeLayer::new().idle_timeout(idle))
    );
}

#[test]
fn what_is_wrong_about_websockets_is_found_at_its_line() {
    for (yaml, place, right) in [
        (
            "{idle: 5m}",
            "8:13",
            "known here are `idle_timeout`, `ping_interval`",
        ),
        ("{idle_timeuot: 5m}", "8:13", "did you mean `idle_timeout`?"),
        ("{idle_timeout: 5}", "8:27", "write 5s for seconds"),
        ("{ping_interval: 0s}", "8:28", "at least 1ms"),
        ("30s", "8:12", "a mapping is needed"),
    ] {
        let error = with(yaml).unwrap_err();
        let place = format!("gateway.yaml:{place}: ");
        assert!(
            error.starts_with(&place) && error.contains(right),
            "{yaml}\n{error}"
        );
    }
}
