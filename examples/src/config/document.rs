//! What stood in a file when it was read, so that another reading of it can be compared with it.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde_json::{Map, Value};

/// The names by which the items of a list are known, the first that an item has.
const LABELS: [&str; 2] = ["id", "name"];

/// The values of a file, by their keys. `Debug` shows none of them: there may be secrets.
#[derive(Clone, Default)]
pub(super) struct Document(Value);

/// What differs between two documents: keys such as `timeouts.head` or `rules[web]`, and no values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes(Vec<Change>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    kind: Kind,
    key: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Added,
    Removed,
    Changed,
}

/// The list whose items are compared key by key.
const LISTENERS: &str = "listeners";

/// How many changes are told by their names.
const TOLD: usize = 20;

impl Document {
    /// Of a text that has been found right.
    pub(super) fn parse(text: &str) -> Self {
        Self(serde_saphyr::from_str(text).unwrap_or_default())
    }

    /// What stands under this key, with a point between the keys of each level; null if nothing does.
    pub(super) fn at(&self, key: &str) -> &Value {
        key.split('.').fold(&self.0, |value, key| &value[key])
    }

    /// Whether both have the same under this key.
    pub(super) fn agrees(&self, other: &Self, key: &str) -> bool {
        self.at(key) == other.at(key)
    }

    /// What is different in `new`.
    pub(super) fn changes(&self, new: &Self) -> Changes {
        let mut changes = Changes::default();
        changes.compare("", &self.0, &new.0);
        changes
    }
}

impl Changes {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys that changed of those that must not, each as it stands in `fixed`. A key in `free` may change though it stands below
    /// one of them.
    pub(super) fn within(&self, fixed: &[&'static str], free: &[&str]) -> Vec<&str> {
        let below = |key: &str, of: &&str| {
            let key = without_listener(key);
            key.strip_prefix(*of)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let is_fixed =
            |key: &str| fixed.iter().any(|of| below(key, of)) && !free.iter().any(|of| below(key, of));
        let keys = self.0.iter().map(|change| change.key.as_str());
        keys.filter(|key| is_fixed(key)).collect()
    }

    fn add(&mut self, kind: Kind, key: &str) {
        self.0.push(Change {
            kind,
            key: key.to_owned(),
        });
    }

    fn compare(&mut self, key: &str, old: &Value, new: &Value) {
        match (old, new) {
            _ if old == new => {}
            (Value::Object(old), Value::Object(new)) => self.compare_maps(key, old, new),
            (Value::Array(old), Value::Array(new)) => match (labelled(old), labelled(new)) {
                (Some(old), Some(new)) => self.compare_lists(key, &old, &new),
                _ => self.add(Kind::Changed, key),
            },
            (Value::Null, _) => self.add(Kind::Added, key),
            (_, Value::Null) => self.add(Kind::Removed, key),
            _ => self.add(Kind::Changed, key),
        }
    }

    fn compare_maps(&mut self, key: &str, old: &Map<String, Value>, new: &Map<String, Value>) {
        let gone = old.keys().filter(|name| !new.contains_key(*name));
        for name in gone.chain(new.keys()) {
            let below = match key {
                "" => name.clone(),
                key => format!("{key}.{name}"),
            };
            let of = |map: &Map<String, Value>| map.get(name).cloned().unwrap_or_default();
            self.compare(&below, &of(old), &of(new));
        }
    }

    fn compare_lists(&mut self, key: &str, old: &[(&str, &Value)], new: &[(&str, &Value)]) {
        let before: BTreeMap<_, _> = old.iter().copied().collect();
        let after: BTreeMap<_, _> = new.iter().copied().collect();
        let start = self.0.len();
        for name in before.keys().filter(|name| !after.contains_key(*name)) {
            self.add(Kind::Removed, &format!("{key}[{name}]"));
        }
        for (name, value) in new {
            match before.get(name) {
                None => self.add(Kind::Added, &format!("{key}[{name}]")),
                // A listener has more than one part that may or may not change.
                Some(old) if old != value && key == LISTENERS => {
                    self.compare(&format!("{key}[{name}]"), old, value);
                }
                Some(old) if old != value => self.add(Kind::Changed, &format!("{key}[{name}]")),
                Some(_) => {}
            }
        }
        if self.0.len() == start {
            // Only the order is another one.
            self.add(Kind::Changed, key);
        }
    }
}

/// A key below a listener, without the name of that: `listeners[].rules`.
fn without_listener(key: &str) -> Cow<'_, str> {
    let rest = key
        .strip_prefix(LISTENERS)
        .and_then(|rest| rest.strip_prefix('['));
    match rest.and_then(|rest| rest.split_once(']')) {
        Some((_, rest)) => format!("{LISTENERS}[]{rest}").into(),
        None => key.into(),
    }
}

/// The items by their names, if each has one of its own.
fn labelled(list: &[Value]) -> Option<Vec<(&str, &Value)>> {
    let mut labels = Vec::with_capacity(list.len());
    for item in list {
        let name = LABELS.iter().find_map(|label| item.get(label)?.as_str())?;
        labels.push((name, item));
    }
    let mut names: Vec<_> = labels.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    (names.len() == labels.len()).then_some(labels)
}

/// `+` for what is new, `-` for what is gone, `~` for what changed.
impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, change) in self.0.iter().take(TOLD).enumerate() {
            let sign = match change.kind {
                Kind::Added => '+',
                Kind::Removed => '-',
                Kind::Changed => '~',
            };
            let space = if index > 0 { " " } else { "" };
            write!(f, "{space}{sign}{}", change.key)?;
        }
        match self.0.len().saturating_sub(TOLD) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "
listen: 127.0.0.1:80
timeouts: {head: 1s, body: 2s}
reload: {interval: off}
rules:
  - {id: a, group: web}
  - {id: b, group: web}
";

    fn changes(new: &str) -> String {
        Document::parse(OLD).changes(&Document::parse(new)).to_string()
    }

    #[test]
    fn keys_are_told_and_no_values() {
        assert_eq!(changes(OLD), "");
        let new = OLD
            .replace("head: 1s", "head: 3s")
            .replace("id: a, group: web", "id: a, group: api")
            .replace("id: b", "id: c");
        assert_eq!(changes(&new), "-rules[b] ~rules[a] +rules[c] ~timeouts.head");
        assert_eq!(changes(&OLD.replace(", body: 2s", "")), "-timeouts.body");
        let swapped = OLD
            .replace("id: a", "id: x")
            .replace("id: b", "id: a")
            .replace("id: x", "id: b");
        assert_eq!(changes(&swapped), "~rules");
    }

    #[test]
    fn what_is_fixed_is_found_below_its_key() {
        let new = OLD
            .replace(":80", ":81")
            .replace("head: 1s", "head: 3s")
            .replace("2s", "4s");
        let changes = Document::parse(OLD).changes(&Document::parse(&new));
        assert_eq!(
            changes.within(&["listen", "timeouts"], &["timeouts.head"]),
            ["listen", "timeouts.body"]
        );
        assert_eq!(changes.within(&["time", "rules"], &[]), [""; 0]);
    }

    #[test]
    fn many_changes_are_counted() {
        let list = |from: usize| {
            (from..from + 30).fold("rules:\n".to_owned(), |text, n| {
                format!("{text}  - {{id: r{n}}}\n")
            })
        };
        let changes = Document::parse(&list(0)).changes(&Document::parse(&list(30)));
        assert!(changes.to_string().ends_with(" and 40 more"), "{changes}");
    }

    #[test]
    fn values_are_found_by_their_keys_and_not_printed() {
        let document = Document::parse(OLD);
        assert_eq!(document.at("timeouts.head"), "1s");
        assert_eq!(document.at("timeouts.none.at.all"), &Value::Null);
        assert_eq!(
            document.at("reload.interval"),
            &Value::Bool(false),
            "as YAML 1.1 has it"
        );
        assert!(!format!("{document:?}").contains("127"));
    }
}
