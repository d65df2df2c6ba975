//! The rules of a gateway's file, for people.

use serde_json::Value;
use tunnel_transport::admin::{RuleInfo, RuleTarget};

use super::document::Document;

/// All rules, in the order of the file.
pub(super) fn rules(document: &Document) -> Vec<RuleInfo> {
    let mut rules = of("main", document.at("rules"));
    for listener in document.at("listeners").as_array().into_iter().flatten() {
        let name = listener["name"].as_str().unwrap_or_default();
        rules.extend(of(name, &listener["rules"]));
    }
    rules.extend(of("agents", document.at("agents.calls.rules")));
    rules
}

fn of(listener: &str, rules: &Value) -> Vec<RuleInfo> {
    let rule = |rule: &Value| RuleInfo {
        id: rule["id"].as_str().unwrap_or_default().to_owned(),
        listener: listener.to_owned(),
        matches: matches(rule),
        target: target(rule),
    };
    rules.as_array().into_iter().flatten().map(rule).collect()
}

fn target(rule: &Value) -> RuleTarget {
    match (rule["group"].as_str(), rule["upstream"].as_str()) {
        (Some(group), _) => RuleTarget::Group(group.to_owned()),
        (None, Some(upstream)) => RuleTarget::Upstream(upstream.to_owned()),
        (None, None) => RuleTarget::Direct,
    }
}

/// What a rule matches, such as `GET www.example.com/api/*`.
fn matches(rule: &Value) -> String {
    let mut parts = Vec::new();
    let texts = |value: &Value| -> Vec<String> {
        let list = value.as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let methods = texts(&rule["methods"]);
    if !methods.is_empty() {
        parts.push(methods.join(","));
    }
    let host = match (rule["host"].as_str(), rule["registered_hosts"].as_bool()) {
        (Some(host), _) => host,
        (None, Some(true)) => "(hosts of agents)",
        (None, _) => "",
    };
    let place = format!("{host}{}", path(&rule["path"]));
    if !place.is_empty() {
        parts.push(place);
    }
    if let Some(grpc) = grpc(&rule["grpc"], &texts) {
        parts.push(grpc);
    }
    if let Some(protocol) = rule["protocol"].as_str() {
        parts.push(protocol.to_owned());
    }
    for name in rule["headers"]
        .as_object()
        .into_iter()
        .flat_map(|headers| headers.keys())
    {
        parts.push(format!("{name}: ..."));
    }
    match parts.is_empty() {
        true => "everything".to_owned(),
        false => parts.join(" "),
    }
}

fn path(path: &Value) -> String {
    let below = |prefix: &str| format!("{}/*", prefix.trim_end_matches('/'));
    match path {
        Value::String(prefix) => below(prefix),
        Value::Object(of) => match (of.get("exact"), of.get("prefix"), of.get("regex")) {
            (Some(Value::String(exact)), ..) => exact.clone(),
            (_, Some(Value::String(prefix)), _) => below(prefix),
            (.., Some(Value::String(regex))) => format!("~{regex}"),
            _ => String::new(),
        },
        _ => String::new(),
    }
}

fn grpc(grpc: &Value, texts: &dyn Fn(&Value) -> Vec<String>) -> Option<String> {
    let methods = texts(&grpc["methods"]).join(",");
    match (grpc["service"].as_str(), grpc["service_prefix"].as_str(), grpc) {
        (Some(service), ..) if methods.is_empty() => Some(format!("grpc {service}")),
        (Some(service), ..) => Some(format!("grpc {service}/{methods}")),
        (None, Some(prefix), _) => Some(format!("grpc {}.*", prefix.trim_end_matches('.'))),
        (None, None, Value::Object(_)) => Some(format!("grpc {methods}")),
        (None, None, Value::Bool(true)) => Some("grpc".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_told_in_few_words() {
        let document = Document::parse(
            "
rules:
  - {id: all, group: web}
  - {id: api, host: '*.example.com', path: /api/, methods: [GET, HEAD], group: api}
  - {id: robots, path: {exact: /robots.txt}, respond: {status: 200}}
  - {id: calls, grpc: {service: acme.Invoices, methods: [Get]}, upstream: own}
  - {id: sockets, protocol: websocket, path: {regex: '/r/[0-9]+'}, headers: {x-a: b}, group: web}
listeners:
  - name: inside
    rules: [{id: any, grpc: true, group: web}]
agents:
  calls:
    rules: [{id: own, registered_hosts: true, group: web}]
",
        );
        let told: Vec<_> = rules(&document)
            .into_iter()
            .map(|rule| {
                format!(
                    "{} {} {} -> {}",
                    rule.listener, rule.id, rule.matches, rule.target
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                "main all everything -> group:web",
                "main api GET,HEAD *.example.com/api/* -> group:api",
                "main robots /robots.txt -> direct",
                "main calls grpc acme.Invoices/Get -> upstream:own",
                "main sockets ~/r/[0-9]+ websocket x-a: ... -> group:web",
                "inside any grpc -> group:web",
                "agents own (hosts of agents) -> group:web",
            ]
        );
    }
}
