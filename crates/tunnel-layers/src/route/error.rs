use std::{error::Error, fmt};

/// A rule that cannot be: which one, what is wrong with it, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    index: usize,
    rule: String,
    field: &'static str,
    problem: String,
}

impl RuleError {
    pub(super) fn new(index: usize, rule: &str, fault: Fault) -> Self {
        Self {
            index,
            rule: rule.to_owned(),
            field: fault.field,
            problem: fault.problem,
        }
    }

    /// The place of the rule in the list, counted from 0.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// The rule's id.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// What of the rule is wrong: `id`, `host`, `path`, `grpc`, `protocol`, `headers`, `action`, `rewrite`, `timeout`, `head_timeout`,
    /// `request_idle_timeout`, `response_idle_timeout`, `policy` or `rules`.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        self.field
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {:?}: {}: {}", self.rule, self.field, self.problem)
    }
}

impl Error for RuleError {}

/// What is wrong in a rule, before it is known in which one.
pub(super) struct Fault {
    field: &'static str,
    problem: String,
}

impl Fault {
    pub(super) fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self {
            field,
            problem: problem.into(),
        }
    }
}
