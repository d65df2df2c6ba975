//! From text to raw values: what the YAML reader finds wrong, in our words.

use serde::de::DeserializeOwned;
use serde_saphyr::{DefaultMessageFormatter, Error, Location, MessageFormatter, Options};

use super::error::{Checker, ConfigError};

/// Reads `text` as one YAML document.
///
/// # Errors
///
/// The first thing that is no YAML, or has no place in a `T`.
pub(super) fn read<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, ConfigError> {
    let options = serde_saphyr::options! { with_snippet: false };
    let options: Options = options;
    serde_saphyr::from_str_with_options(text, options).or_else(|error| {
        let mut checker = Checker::new(file, text);
        let error = error.without_snippet();
        checker.wrong(place_of(error), explain(error));
        checker.finish(None)
    })
}

/// The reader's place, but for a key that is missing at the top: that has no line.
fn place_of(error: &Error) -> Location {
    let location = error.location().unwrap_or(Location::UNKNOWN);
    match error {
        Error::SerdeMissingField { .. } if location.column() == 1 => Location::UNKNOWN,
        _ => location,
    }
}

fn explain(error: &Error) -> String {
    match error {
        Error::SerdeUnknownField { field, expected, .. } => unknown("key", field, expected),
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => unknown("word", variant, expected),
        Error::SerdeMissingField { field, .. } => format!("the key `{field}` is missing{}", hint(field)),
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().map(|key| format!(" `{key}`")).unwrap_or_default();
            format!("the key{key} stands here a second time: keep one of them")
        }
        // What was found is not told: it may be a secret that stands in the wrong place.
        Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => {
            needed(expected)
        }
        Error::Unexpected { expected, .. } => needed(expected),
        Error::InvalidScalar { ty, .. } => needed(ty),
        Error::Eof { .. } => "the file is empty, or ends too early".to_owned(),
        other => DefaultMessageFormatter.format_message(other).into_owned(),
    }
}

/// What has to stand in a place, out of the reader's word for it.
fn needed(expected: &str) -> String {
    let right = match expected {
        "string scalar" => "a text is needed here",
        "sequence start" => "a list is needed here, such as [a, b]",
        "mapping start" => "a mapping is needed here: lines of `key: value`",
        "mapping end" => "only one key may stand here",
        "enum" => "exactly one key is needed here",
        "boolean" => "true or false is needed here",
        "i32" => "a whole number is needed here, such as 10 or -10",
        "u16" => "a whole number from 0 to 65535 is needed here",
        other => return format!("{other} is needed here"),
    };
    right.to_owned()
}

/// What is said of a word that is none of those that are known here.
pub(super) fn unknown(what: &str, found: &str, known: &[&str]) -> String {
    let listed = known
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ");
    let near = known.iter().min_by_key(|name| distance(found, name));
    match near.filter(|name| distance(found, name) <= 2) {
        Some(near) => format!("unknown {what} `{found}`: did you mean `{near}`? (known here: {listed})"),
        None => format!("unknown {what} `{found}`: known here are {listed}"),
    }
}

/// What a required key may look like.
fn hint(field: &str) -> &'static str {
    match field {
        "listen" => ": write one such as `listen: 127.0.0.1:8080`",
        "address" => ": write one such as `address: 127.0.0.1:8443`",
        "certificates" => ": write one such as `certificates: [{cert: app.pem, key: app.key}]`",
        "cert" => ": write one such as `cert: app.pem`",
        "key" => ": write one such as `key: app.key`",
        "ca" => ": write one such as `ca: clients-ca.pem`",
        "agents" => ": write `agents:` with the keys `listen` and `tokens`",
        "rules" => ": write `rules:` with at least one rule, such as `- {id: all, group: web}`",
        "id" => ": write one such as `id: web`",
        "gateway" => ": write one such as `gateway: https://gateway.example:7000`",
        "groups" => ": write one such as `groups: [web]`",
        "name" => ": write one such as `name: web-agents`",
        "upstream" => ": write `upstream:` with the key `url`",
        "url" => ": write one such as `url: http://127.0.0.1:3000`",
        "default" => ": write `default:` with the policy of rules that name none, or `default: public`",
        "providers" => {
            ": write `providers:` with at least one, such as `tokens: {bearer: [{name: ci, token_env: CI_TOKEN}]}`"
        }
        "htpasswd" => ": write one such as `htpasswd: users.htpasswd`",
        "algorithms" => ": write one such as `algorithms: [RS256]`",
        "client_id" => ": write one such as `client_id: gateway`",
        "policy" => ": write one such as `policy: machines`",
        "rate" => ": write one such as `rate: 100/s`",
        "max" => ": write one such as `max: 100`",
        "status" => ": write one such as `status: 200`",
        _ => "",
    }
}

/// How many letters have to be added, dropped, changed or swapped with their neighbour to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let change = above[j] + usize::from(a[i] != b[j]);
            let mut least = change.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_were_mistyped_are_near() {
        for (a, b, expected) in [
            ("group", "group", 0),
            ("gruop", "group", 1),
            ("methdos", "methods", 1),
            ("host", "hosts", 1),
            ("", "abc", 3),
            ("token", "groups", 5),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
