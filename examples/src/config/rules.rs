//! The rules of a gateway's file.

use std::collections::HashMap;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use serde_saphyr::{Location, Spanned};
use tunnel_core::GroupName;
use tunnel_layers::{
    reject::Direct,
    route::{Action, Rule, RuleError, Rules, RulesWithUpstreams},
};

use super::{
    auth::{Known, PUBLIC},
    balance::RawBalance,
    error::Checker,
    grpc::RawGrpc,
    pairs::Pairs,
    protocol::Protocol,
    rates::{self, RawRuleRate},
    retry::RawRetry,
    text_or::TextOr,
    timeouts::RawTimeouts,
    units::{CountLimit, TimeLimit},
    yaml,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRule {
    id: Spanned<String>,
    #[serde(default)]
    priority: i32,
    host: Option<Spanned<String>>,
    registered_hosts: Option<Spanned<bool>>,
    path: Option<Spanned<TextOr<PathKey>>>,
    grpc: Option<Spanned<RawGrpc>>,
    protocol: Option<Spanned<Protocol>>,
    #[serde(default)]
    methods: Vec<Spanned<String>>,
    #[serde(default)]
    headers: Pairs<TextOr<HeaderKey>>,
    group: Option<Spanned<String>>,
    upstream: Option<Spanned<String>>,
    respond: Option<Spanned<Respond>>,
    rewrite: Option<Spanned<Rewrite>>,
    #[serde(default)]
    request_headers: Edits,
    #[serde(default)]
    response_headers: Edits,
    timeout: Option<Spanned<TimeLimit>>,
    timeouts: Option<Spanned<RawTimeouts>>,
    auth: Option<Spanned<String>>,
    rate_limit: Option<Spanned<RawRuleRate>>,
    concurrency: Option<Spanned<CountLimit>>,
    retry: Option<Spanned<RawRetry>>,
    balance: Option<Spanned<RawBalance>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum PathKey {
    Exact(String),
    Prefix(String),
    Regex(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum HeaderKey {
    Exact(String),
    Regex(String),
    Present(bool),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Respond {
    status: Spanned<u16>,
    #[serde(default)]
    headers: Pairs<String>,
    #[serde(default)]
    body: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rewrite {
    #[serde(default)]
    strip_prefix: bool,
    replace_prefix: Option<String>,
    host: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Edits {
    #[serde(default)]
    remove: Vec<Spanned<String>>,
    #[serde(default)]
    set: Pairs<String>,
}

/// A group that a rule sends requests to, and the place that names it.
pub(super) struct GroupUse {
    pub(super) group: GroupName,
    pub(super) rule: String,
    pub(super) location: Location,
}

/// Checks every rule by itself (each tells at most one problem), then all of them together.
///
/// `limits` has the names of the rate limits, `upstreams` those of the gateway's own upstreams.
pub(super) fn check(
    raw: &[Spanned<RawRule>],
    limits: &[&str],
    upstreams: &[&str],
    known: &mut Known,
    checker: &mut Checker<'_>,
) -> (Option<RulesWithUpstreams>, Vec<GroupUse>) {
    let mut uses = Vec::new();
    let mut rules = Some(Vec::with_capacity(raw.len()));
    for rule in raw {
        uses.extend(rule.value.group_use());
        let checked = rule.value.check(rule.referenced, upstreams, checker);
        let checked = rule.value.guard(checked, limits, known, checker);
        rules = rules.zip(checked).map(|(mut rules, rule)| {
            rules.push(rule);
            rules
        });
    }
    // What concerns one rule, and ids that stand twice, have been told; what is left is their number.
    let rules = rules.and_then(|rules| match Rules::compile_with_upstreams(rules) {
        Ok(rules) => Some(rules),
        Err(error) => {
            let rule = &raw[error.index()];
            if error.field() == "rules" {
                checker.wrong(rule.referenced, error);
            }
            None
        }
    });
    (rules, uses)
}

/// No two rules of a file have the same id, whichever listener they are for.
pub(super) fn check_ids<'a>(raw: impl Iterator<Item = &'a Spanned<RawRule>>, checker: &mut Checker<'_>) {
    let mut lines = HashMap::new();
    for (index, rule) in raw.enumerate() {
        let id = &rule.value.id;
        let (first, line) = *lines.entry(&id.value).or_insert((index, id.referenced.line()));
        if first != index {
            let message = format!(
                "the id `{}` is taken by the rule in line {line}: ids are labels, so give each rule its own",
                id.value
            );
            checker.wrong(id.referenced, message);
        }
    }
}

impl RawRule {
    /// How the agents of its group share its requests, if it says so: its id, its group, and that.
    pub(super) fn balancing(&self) -> Option<(&str, Option<&str>, &Spanned<RawBalance>)> {
        let group = self.group.as_ref().map(|group| group.value.as_str());
        Some((&self.id.value, group, self.balance.as_ref()?))
    }

    fn group_use(&self) -> Option<GroupUse> {
        let key = self.group.as_ref()?;
        Some(GroupUse {
            group: key.value.parse().ok()?,
            rule: self.id.value.clone(),
            location: key.referenced,
        })
    }

    fn check(&self, location: Location, upstreams: &[&str], checker: &mut Checker<'_>) -> Option<Rule> {
        let rule =
            Rule::new(&self.id.value, self.action(location, upstreams, checker)?).priority(self.priority);
        let rule = match &self.grpc {
            Some(grpc) => grpc.value.apply(rule, grpc.referenced, checker)?,
            None => rule,
        };
        let rule = self.matchers(rule, checker)?;
        let rule = self.rewrite(rule, checker)?;
        let rule = match Rules::compile_with_upstreams([rule.clone()]) {
            Ok(_) => rule,
            Err(error) => {
                checker.wrong(self.place_of(&error, location), error);
                return None;
            }
        };
        let rule = self.header_tests(rule, checker)?;
        let (remove, set) = (Rule::remove_request_header, Rule::set_request_header);
        let rule = self.request_headers.apply(rule, remove, set, checker)?;
        let (remove, set) = (Rule::remove_response_header, Rule::set_response_header);
        self.response_headers.apply(rule, remove, set, checker)
    }

    fn action(&self, location: Location, upstreams: &[&str], checker: &mut Checker<'_>) -> Option<Action> {
        let id = &self.id.value;
        match (&self.group, &self.upstream, &self.respond) {
            (Some(group), None, None) => checker
                .take(group.referenced, group.value.parse())
                .map(Action::Group),
            (None, Some(upstream), None) => {
                if upstreams.contains(&upstream.value.as_str()) {
                    return Some(Action::Upstream(upstream.value.clone()));
                }
                let message = match upstreams {
                    [] => format!(
                        "the file has no upstreams: add `upstreams: {{{}: {{url: ...}}}}`",
                        upstream.value
                    ),
                    known => yaml::unknown("upstream", &upstream.value, known),
                };
                checker.wrong(upstream.referenced, message);
                None
            }
            (None, None, Some(respond)) => respond.value.direct(checker).map(Action::Direct),
            (None, None, None) => {
                let message = format!(
                    "the rule `{id}` does not say who answers: give it `group: NAME`, `upstream: NAME` or `respond: \
                     {{status: 200}}`"
                );
                checker.wrong(location, message);
                None
            }
            (_, upstream, respond) => {
                let place = respond.as_ref().map(|key| key.referenced);
                let place = place.or(upstream.as_ref().map(|key| key.referenced));
                let message =
                    format!("the rule `{id}` has two answers: keep one of `group`, `upstream` and `respond`");
                checker.wrong(place.unwrap_or(location), message);
                None
            }
        }
    }

    fn matchers(&self, mut rule: Rule, checker: &mut Checker<'_>) -> Option<Rule> {
        if let Some(host) = &self.host {
            rule = rule.host(&host.value);
        }
        if self.registered_hosts.as_ref().is_some_and(|key| key.value) {
            rule = rule.registered_hosts();
        }
        rule = match self.path.as_ref().map(|path| &path.value) {
            None => rule,
            Some(TextOr::Text(text) | TextOr::Map(PathKey::Prefix(text))) => rule.path_prefix(text),
            Some(TextOr::Map(PathKey::Exact(text))) => rule.path_exact(text),
            Some(TextOr::Map(PathKey::Regex(text))) => rule.path_regex(text),
        };
        if let Some(protocol) = &self.protocol {
            rule = rule.protocol(protocol.value.into());
        }
        for name in &self.methods {
            rule = rule.method(checker.take(name.referenced, parse_method(&name.value))?);
        }
        Some(rule)
    }

    /// The rule with what it says about callers, limits and times.
    fn guard(
        &self,
        rule: Option<Rule>,
        limits: &[&str],
        known: &mut Known,
        checker: &mut Checker<'_>,
    ) -> Option<Rule> {
        let policy = match &self.auth {
            Some(auth) if auth.value != PUBLIC => Some(known.find(auth, checker).map(|_| auth)),
            _ => None,
        };
        let mut rule = rule?;
        if let Some(policy) = policy {
            let policy = policy?;
            rule = checker.take(policy.referenced, compiled(rule.policy(policy.value.as_str())))?;
        } else if self.auth.is_some() {
            rule = rule.public();
        }
        if let Some(rate) = &self.rate_limit {
            rule = rates::apply(rate, limits, rule, checker)?;
        }
        if let Some(most) = &self.concurrency {
            rule = rule.concurrency(most.value.0);
        }
        if let Some(retry) = &self.retry {
            let policy = retry.value.check(checker)?;
            rule = checker.take(retry.referenced, compiled(rule.retry(policy)))?;
        }
        if let (Some(balance), None) = (&self.balance, &self.group) {
            let message = "agents are chosen for rules that go to a group: leave `balance` out";
            checker.wrong(balance.referenced, message);
            return None;
        }
        if let Some(timeouts) = &self.timeouts {
            if timeouts.value.whole.is_some() && self.timeout.is_some() {
                checker.wrong(
                    timeouts.referenced,
                    "`timeout` says it already: keep one of `timeout` and `whole`",
                );
                return None;
            }
            rule = timeouts.value.apply(rule);
        }
        Some(match &self.timeout {
            Some(timeout) => rule.timeout(timeout.value.0),
            None => rule,
        })
    }

    /// Adds one test of a header after the other, so that a wrong one is found at its line.
    fn header_tests(&self, mut rule: Rule, checker: &mut Checker<'_>) -> Option<Rule> {
        for (name, test) in &self.headers.0 {
            let tested = parse_name(&name.value).and_then(|header| add_test(rule.clone(), header, test));
            rule = checker.take(name.referenced, tested.and_then(compiled))?;
        }
        Some(rule)
    }

    fn rewrite(&self, rule: Rule, checker: &mut Checker<'_>) -> Option<Rule> {
        let Some(rewrite) = &self.rewrite else {
            return Some(rule);
        };
        if self.respond.is_some() {
            let message = format!("the rule `{}` answers itself: leave `rewrite` out", self.id.value);
            checker.wrong(rewrite.referenced, message);
            return None;
        }
        checker.take(rewrite.referenced, rewrite.value.apply(rule))
    }

    /// The place in the file of what the rules engine calls wrong.
    fn place_of(&self, error: &RuleError, rule: Location) -> Location {
        match error.field() {
            "id" => Some(self.id.referenced),
            "host" => self.host.as_ref().map(|key| key.referenced),
            "registered_hosts" => self.registered_hosts.as_ref().map(|key| key.referenced),
            "path" => self.path.as_ref().map(|key| key.referenced),
            "grpc" => self.grpc.as_ref().map(|key| key.referenced),
            "protocol" => self.protocol.as_ref().map(|key| key.referenced),
            // The headers of an answer are checked like those of a rewrite, and there is never both.
            "action" | "rewrite" => {
                let rewrite = self.rewrite.as_ref().map(|key| key.referenced);
                rewrite.or(self.respond.as_ref().map(|key| key.referenced))
            }
            _ => None,
        }
        .unwrap_or(rule)
    }
}

impl Rewrite {
    fn apply(&self, rule: Rule) -> Result<Rule, &'static str> {
        let rule = match (self.strip_prefix, &self.replace_prefix) {
            (true, Some(_)) => return Err("keep one of `strip_prefix` and `replace_prefix`"),
            (true, None) => rule.strip_prefix(),
            (false, Some(prefix)) => rule.replace_prefix(prefix),
            (false, None) => rule,
        };
        Ok(match &self.host {
            Some(host) => rule.rewrite_host(host),
            None => rule,
        })
    }
}

impl Edits {
    /// Adds one edit after the other, so that a wrong one is found at its line.
    fn apply(
        &self,
        mut rule: Rule,
        remove: fn(Rule, HeaderName) -> Rule,
        set: fn(Rule, HeaderName, HeaderValue) -> Rule,
        checker: &mut Checker<'_>,
    ) -> Option<Rule> {
        for name in &self.remove {
            let edited = parse_name(&name.value).map(|header| remove(rule.clone(), header));
            rule = checker.take(name.referenced, edited.and_then(compiled))?;
        }
        for (name, value) in &self.set.0 {
            let edited =
                parse_field(&name.value, value).map(|(header, value)| set(rule.clone(), header, value));
            rule = checker.take(name.referenced, edited.and_then(compiled))?;
        }
        Some(rule)
    }
}

impl Respond {
    fn direct(&self, checker: &mut Checker<'_>) -> Option<Direct> {
        let status = StatusCode::from_u16(self.status.value).ok();
        let status = status
            .filter(|status| (200..600).contains(&status.as_u16()))
            .ok_or_else(|| {
                format!(
                    "{} is no final status: write a number from 200 to 599",
                    self.status.value
                )
            });
        let mut answer = Direct::new(checker.take(self.status.referenced, status)?).body(self.body.clone());
        for (name, value) in &self.headers.0 {
            let (header, value) = checker.take(name.referenced, parse_field(&name.value, value))?;
            answer = answer.header(header, value);
        }
        Some(answer)
    }
}

fn add_test(rule: Rule, name: HeaderName, test: &TextOr<HeaderKey>) -> Result<Rule, String> {
    Ok(match test {
        TextOr::Text(text) | TextOr::Map(HeaderKey::Exact(text)) => {
            let value = parse_value(&name, text)?;
            rule.header(name, value)
        }
        TextOr::Map(HeaderKey::Regex(pattern)) => rule.header_regex(name, pattern),
        TextOr::Map(HeaderKey::Present(true)) => rule.header_present(name),
        TextOr::Map(HeaderKey::Present(false)) => {
            return Err(
                "`present: false` cannot be asked for: put a rule with `present: true` before this one"
                    .into(),
            );
        }
    })
}

/// The rule, if it can be compiled by itself.
fn compiled(rule: Rule) -> Result<Rule, String> {
    match Rules::compile_with_upstreams([rule.clone()]) {
        Ok(_) => Ok(rule),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn parse_method(text: &str) -> Result<Method, String> {
    let method = Method::from_bytes(text.as_bytes()).ok();
    // Methods are case sensitive (RFC 9110, section 9.1), and no usual one has small letters.
    method
        .filter(|_| !text.bytes().any(|byte| byte.is_ascii_lowercase()))
        .ok_or_else(|| format!("`{text}` is no method: write one such as GET, in capitals"))
}

fn parse_name(text: &str) -> Result<HeaderName, String> {
    HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| format!("`{text}` is no header name: write one such as x-request-source"))
}

fn parse_value(name: &HeaderName, text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text)
        .map_err(|_| format!("the value of `{name}` has characters other than visible ASCII and spaces"))
}

fn parse_field(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let name = parse_name(name)?;
    let value = parse_value(&name, value)?;
    Ok((name, value))
}
