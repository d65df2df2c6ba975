//! One rule, checked and ready to match.

use std::{borrow::Cow, cell::OnceCell, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, Method, uri::Authority};
use regex::{Regex, bytes};
use tunnel_core::{
    Access, Routed, Target,
    admit::{Policy, UpgradeRequest, canonical_path},
};

use super::{
    access::check_access,
    error::Fault,
    grpc::{self, Grpc, GrpcMatch},
    host::HostPattern,
    limits::{check_retry, check_timeouts},
    protocol::RuleProtocol,
    registered::HasHost,
    rewrite::{Rewrite, check_edits},
    rule::{Action, HeaderMatch, PathMatch, Rule},
};
use crate::reject::Direct;

/// The longest id of a rule and the longest name of an upstream, in bytes: they are labels of metrics and log lines.
pub const MAX_ID_BYTES: usize = 128;

/// The most memory that one pattern of a rule may take, in bytes; far more than patterns that people write need.
pub const MAX_PATTERN_BYTES: usize = 1 << 20;

/// What rules look at.
pub(super) struct Ask<'a> {
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    pub(super) method: &'a Method,
    pub(super) headers: &'a HeaderMap,
    pub(super) upgrade: Option<&'a UpgradeRequest>,
    /// Who knows which hosts agents have registered.
    pub(super) hosts: Option<&'a HasHost>,
    /// Found out when a rule first asks for it.
    service: OnceCell<Option<&'a str>>,
}

impl<'a> Ask<'a> {
    pub(super) const fn new(
        host: &'a str,
        path: &'a str,
        method: &'a Method,
        headers: &'a HeaderMap,
    ) -> Self {
        Self {
            host,
            path,
            method,
            headers,
            upgrade: None,
            hosts: None,
            service: OnceCell::new(),
        }
    }

    /// With what it wants to switch to. An extended CONNECT is matched as a GET (RFC 8441, section 5).
    pub(super) fn upgrade(self, upgrade: Option<&'a UpgradeRequest>) -> Self {
        let is_connect = upgrade.is_some() && self.method == Method::CONNECT;
        Self {
            method: if is_connect { &Method::GET } else { self.method },
            upgrade,
            ..self
        }
    }

    /// With who knows which hosts agents have registered.
    pub(super) const fn hosts(self, hosts: Option<&'a HasHost>) -> Self {
        Self { hosts, ..self }
    }

    /// The service that this asks for, if it is a call of gRPC.
    pub(super) fn service(&self) -> Option<&'a str> {
        *self
            .service
            .get_or_init(|| grpc::service(self.headers, self.path))
    }
}

/// One rule. Host, path, unless that is a pattern, and gRPC's service are the business of the index.
pub(super) struct Compiled {
    pub(super) id: Arc<str>,
    pub(super) priority: i32,
    pub(super) host: HostPattern,
    pub(super) path: Path,
    pub(super) answer: Answer,
    pub(super) rewrite: Rewrite,
    protocol: Option<RuleProtocol>,
    methods: Vec<Method>,
    headers: Vec<(HeaderName, Test)>,
}

pub(super) enum Path {
    Any,
    /// A call of gRPC.
    Grpc(Grpc),
    Exact(Box<str>),
    /// Without a slash at its end; empty for the root.
    Prefix(Box<str>),
    Regex(Regex),
}

pub(super) enum Answer {
    Routed(Routed),
    Direct(Direct),
}

enum Test {
    Present,
    Exact(HeaderValue),
    Regex(bytes::Regex),
}

impl Compiled {
    pub(super) fn new(rule: Rule) -> Result<Self, Fault> {
        check_name("id", &rule.id)?;
        let id: Arc<str> = rule.id.into();
        let host = HostPattern::parse(rule.host.as_deref())?;
        let path = Path::parse(rule.path, rule.grpc, &rule.methods)?;
        if let Some(protocol) = rule.protocol {
            protocol.check(matches!(path, Path::Grpc(_)), &rule.methods)?;
        }
        let rewrite = Rewrite {
            prefix: rule.prefix.map(|to| replacement(&path, &to)).transpose()?,
            host: rule.to_host.map(|host| authority(&host)).transpose()?,
            request: check_edits(rule.request)?,
            response: check_edits(rule.response)?,
        };
        check_timeouts(&rule.timeouts)?;
        check_access(&rule.access, &rule.action)?;
        check_retry(rule.retry.as_ref(), &rule.action)?;
        if rule.registered_hosts && !matches!(rule.action, Action::Group(_)) {
            let problem =
                "agents register hosts for their groups: only a rule that goes to a group can ask for them";
            return Err(Fault::new("registered_hosts", problem));
        }
        let routed = |target| {
            let mut routed = Routed::new(id.clone(), target);
            routed.timeouts = rule.timeouts;
            routed.limits = (!rule.limits.is_empty()).then(|| Arc::new(rule.limits));
            routed.access = rule.access;
            routed.registered_host = rule.registered_hosts;
            routed.retry = rule.retry.map(Arc::new);
            routed
        };
        Ok(Self {
            answer: Answer::of(rule.action, routed)?,
            id,
            priority: rule.priority,
            host,
            path,
            rewrite,
            protocol: rule.protocol,
            methods: rule.methods,
            headers: rule
                .headers
                .into_iter()
                .map(Test::parse)
                .collect::<Result<_, _>>()?,
        })
    }

    /// Whether the rule matches a request that the index found it for.
    pub(super) fn matches(&self, ask: &Ask<'_>) -> bool {
        let path = match &self.path {
            Path::Regex(pattern) => pattern.is_match(ask.path),
            Path::Grpc(_) => ask.service().is_some(),
            Path::Any | Path::Exact(_) | Path::Prefix(_) => true,
        };
        path && (self.methods.is_empty() || self.methods.contains(ask.method))
            && self.serves_host(ask)
            && self.protocol.is_none_or(|protocol| protocol.is_of(ask))
            && self
                .headers
                .iter()
                .all(|(name, test)| test.passes(name, ask.headers))
    }

    /// Whether the host is one of those that this is for, as far as agents say it. Where nobody knows that, the rule matches, so that
    /// it is noticed.
    fn serves_host(&self, ask: &Ask<'_>) -> bool {
        match (&self.answer, ask.hosts) {
            (Answer::Routed(routed), Some(has_host)) if routed.registered_host => match &routed.target {
                Target::Group(group) => has_host(group, ask.host),
                Target::Upstream(_) => true,
            },
            _ => true,
        }
    }

    /// Who serves what it matches; none if it answers itself.
    pub(super) fn target(&self) -> Option<&Target> {
        match &self.answer {
            Answer::Routed(routed) => Some(&routed.target),
            Answer::Direct(_) => None,
        }
    }

    /// The upstream that this goes to.
    pub(super) fn upstream(&self) -> Option<&str> {
        match self.target()? {
            Target::Upstream(name) => Some(name),
            Target::Group(_) => None,
        }
    }

    /// The policy that this asks for.
    pub(super) fn policy(&self) -> Option<&str> {
        match &self.answer {
            Answer::Routed(routed) => match &routed.access {
                Access::Policy(name) => Some(name),
                Access::Default | Access::Public => None,
            },
            Answer::Direct(_) => None,
        }
    }
}

impl Answer {
    fn of(action: Action, routed: impl FnOnce(Target) -> Routed) -> Result<Self, Fault> {
        let target = match action {
            Action::Group(group) => Target::Group(group),
            Action::Upstream(name) => {
                check_name("action", &name)?;
                Target::Upstream(name.into())
            }
            Action::Direct(answer) => return direct(answer),
        };
        Ok(Self::Routed(routed(target)))
    }
}

fn direct(answer: Direct) -> Result<Answer, Fault> {
    if answer.status().is_informational() {
        let status = answer.status().as_u16();
        return Err(Fault::new(
            "action",
            format!("{status} is no final status: use 200 to 599"),
        ));
    }
    check_edits(super::rule::Edits {
        remove: answer.headers().keys().cloned().collect(),
        set: Vec::new(),
    })?;
    Ok(Answer::Direct(answer))
}

impl Path {
    fn parse(path: PathMatch, grpc: GrpcMatch, methods: &[Method]) -> Result<Self, Fault> {
        if let Some(grpc) = grpc.compile(methods)? {
            return match path {
                PathMatch::Any => Ok(Self::Grpc(grpc)),
                PathMatch::Exact(_) | PathMatch::Prefix(_) | PathMatch::Regex(_) => Err(Fault::new(
                    "grpc",
                    "the path of a call is /package.Service/Method: match that or a path, not both",
                )),
            };
        }
        Ok(match path {
            PathMatch::Any => Self::Any,
            PathMatch::Exact(path) => Self::Exact(literal(&path)?.into()),
            PathMatch::Prefix(path) => Self::Prefix(literal(&path)?.trim_end_matches('/').into()),
            PathMatch::Regex(pattern) => {
                let whole = whole(&pattern, "path")?;
                let built = regex::RegexBuilder::new(&whole)
                    .size_limit(MAX_PATTERN_BYTES)
                    .build();
                Self::Regex(built.map_err(|error| bad_pattern("path", &pattern, &error))?)
            }
        })
    }

    /// How specific this is, the most specific first.
    pub(super) fn rank(&self) -> (u8, usize) {
        match self {
            Self::Grpc(Grpc::Methods(_)) => (0, 0),
            Self::Exact(_) => (1, 0),
            Self::Grpc(Grpc::Service(_)) => (2, 0),
            Self::Grpc(Grpc::Below(package)) => (3, usize::MAX - package.len()),
            Self::Grpc(Grpc::Any) => (4, 0),
            Self::Prefix(prefix) => (5, usize::MAX - prefix.len()),
            Self::Regex(_) => (6, 0),
            Self::Any => (7, 0),
        }
    }
}

/// A path of a rule in the form in which paths of requests are matched.
fn literal(path: &str) -> Result<Cow<'_, str>, Fault> {
    let wrong = |right: &str| Fault::new("path", format!("{path:?} cannot match: {right}"));
    if path.contains(['?', '#']) {
        return Err(wrong("rules match the path alone, so leave the query out"));
    }
    canonical_path(path, &Policy::new()).map_err(|error| wrong(error.message()))
}

impl Test {
    fn parse((name, test): (HeaderName, HeaderMatch)) -> Result<(HeaderName, Self), Fault> {
        if name == http::header::HOST {
            return Err(Fault::new(
                "headers",
                "`host` is matched by the rule's host, not as a header",
            ));
        }
        let test = match test {
            HeaderMatch::Present => Self::Present,
            HeaderMatch::Exact(value) => Self::Exact(value),
            HeaderMatch::Regex(pattern) => {
                let whole = whole(&pattern, "headers")?;
                let built = bytes::RegexBuilder::new(&whole)
                    .size_limit(MAX_PATTERN_BYTES)
                    .build();
                Self::Regex(built.map_err(|error| bad_pattern("headers", &pattern, &error))?)
            }
        };
        Ok((name, test))
    }

    fn passes(&self, name: &HeaderName, headers: &HeaderMap) -> bool {
        match self {
            Self::Present => headers.contains_key(name),
            Self::Exact(wanted) => headers.get_all(name).iter().any(|value| value == wanted),
            Self::Regex(pattern) => headers
                .get_all(name)
                .iter()
                .any(|value| pattern.is_match(value.as_bytes())),
        }
    }
}

/// The pattern for a whole text. It has to be right by itself first, since `a)|(b` would become so by the brackets.
fn whole(pattern: &str, field: &'static str) -> Result<String, Fault> {
    regex::RegexBuilder::new(pattern)
        .size_limit(MAX_PATTERN_BYTES)
        .build()
        .map_err(|error| bad_pattern(field, pattern, &error))?;
    Ok(format!(r"\A(?:{pattern})\z"))
}

fn bad_pattern(field: &'static str, pattern: &str, error: &regex::Error) -> Fault {
    Fault::new(
        field,
        format!("the pattern {pattern:?} is not a regular expression: {error}"),
    )
}

/// What stands in the place of the prefix, without a slash at its end.
fn replacement(path: &Path, to: &str) -> Result<Box<str>, Fault> {
    if !matches!(path, Path::Prefix(_)) {
        return Err(Fault::new(
            "rewrite",
            "only a prefix can be replaced: match with a path prefix",
        ));
    }
    let is_path =
        to.starts_with('/') && !to.contains(['?', '#']) && to.parse::<http::uri::PathAndQuery>().is_ok();
    if !is_path {
        return Err(Fault::new(
            "rewrite",
            format!("{to:?} is no path: write one such as /v2, or / to strip the prefix"),
        ));
    }
    Ok(to.trim_end_matches('/').into())
}

fn authority(host: &str) -> Result<Authority, Fault> {
    let parsed: Option<Authority> = host.parse().ok();
    parsed
        .filter(|authority| !authority.as_str().contains('@') && !authority.host().is_empty())
        .ok_or_else(|| {
            Fault::new(
                "rewrite",
                format!("{host:?} is no host: write one such as app.internal or app.internal:8080"),
            )
        })
}

pub(super) fn check_name(field: &'static str, name: &str) -> Result<(), Fault> {
    if (1..=MAX_ID_BYTES).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Fault::new(
        field,
        format!("{name:?} is no name: use 1 to {MAX_ID_BYTES} visible ASCII characters"),
    ))
}
