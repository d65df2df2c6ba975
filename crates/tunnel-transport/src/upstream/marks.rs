//! What operators take out of use, and how it comes back.

use std::collections::BTreeSet;

/// Names that are remembered although nothing has them any more; an address may come back.
const MAX_ABSENT: usize = 1_024;

/// What is drained: the whole upstream, endpoints as they were configured, and single addresses of names. Whatever stands in the way
/// of an endpoint is a mark of its own, and each is taken away by itself.
#[derive(Debug, Default, Clone)]
pub(super) struct Marks {
    all: bool,
    names: BTreeSet<Box<str>>,
}

impl Marks {
    /// Whether an endpoint takes nothing new: it, or what it was configured as, or the upstream is drained.
    pub(super) fn cover(&self, configured: &str, name: &str) -> bool {
        self.all || self.names.contains(name) || self.names.contains(configured)
    }

    pub(super) const fn is_all(&self) -> bool {
        self.all
    }

    pub(super) const fn set_all(&mut self, drained: bool) {
        self.all = drained;
    }

    /// Marks `name`, which somebody has now. Names that `is_there` does not know are forgotten when there are too many.
    pub(super) fn set(&mut self, name: &str, drained: bool, is_there: impl Fn(&str) -> bool) {
        if !drained {
            self.names.remove(name);
            return;
        }
        if self.names.len() >= MAX_ABSENT {
            self.names.retain(|name| is_there(name));
        }
        self.names.insert(name.into());
    }

    /// Whether this very name is marked.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_drained_by_each_of_its_names() {
        let mut marks = Marks::default();
        let covers = |marks: &Marks| marks.cover("http://app", "10.0.0.1:80");
        assert!(!covers(&marks));
        for name in ["http://app", "10.0.0.1:80"] {
            marks.set(name, true, |_| true);
            assert!(covers(&marks) && marks.has(name));
            marks.set(name, false, |_| true);
            assert!(!covers(&marks));
        }
        marks.set_all(true);
        assert!(covers(&marks));
        marks.set_all(false);
        assert!(!covers(&marks));
    }

    #[test]
    fn absent_names_are_bounded() {
        let mut marks = Marks::default();
        marks.set("here", true, |_| true);
        for port in 0..3 * MAX_ABSENT {
            marks.set(&format!("10.0.0.1:{port}"), true, |name| name == "here");
        }
        assert!(marks.names.len() <= MAX_ABSENT + 1);
        assert!(marks.cover("", "here"));
    }
}
