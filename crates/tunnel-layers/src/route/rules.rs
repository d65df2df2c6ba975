//! All rules, and which of them a request matches first.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
    sync::Arc,
};

use super::{
    compiled::{Ask, Compiled, Path},
    error::{Fault, RuleError},
    grpc::{Grpc, packages},
    host::{HostPattern, above},
    rule::Rule,
};

/// The most rules of one table: far more than anybody writes, so that a generated list that went wrong is noticed.
pub const MAX_RULES: usize = 65_536;

/// Rules in the order in which they are tried; cheap to clone.
#[derive(Clone)]
pub struct Rules(Arc<Table>);

/// Rules of which some send requests to upstreams, so that [`RouteLayer`](super::RouteLayer) has to be told who those are.
#[derive(Clone)]
pub struct RulesWithUpstreams(Rules);

struct Table {
    /// In the order in which they are tried.
    rules: Vec<Arc<Compiled>>,
    any_host: Bucket,
    exact: HashMap<Box<str>, Bucket>,
    below: HashMap<Box<str>, Bucket>,
}

/// The rules of one host pattern; each list has places in [`Table::rules`], in rising order.
#[derive(Default)]
struct Bucket {
    exact: HashMap<Box<str>, Vec<usize>>,
    prefix: HashMap<Box<str>, Vec<usize>>,
    longest_prefix: usize,
    /// By the name of the service.
    services: HashMap<Box<str>, Vec<usize>>,
    /// By the name of a package around the service.
    packages: HashMap<Box<str>, Vec<usize>>,
    longest_package: usize,
    other: Vec<usize>,
}

impl Rules {
    /// Checks the rules and makes them ready.
    ///
    /// # Errors
    ///
    /// The first rule that is wrong: an id that is missing or not unique, a host, path, pattern or name of gRPC that cannot match, a
    /// rewrite that cannot be done, an upstream as its target (for that there is
    /// [`compile_with_upstreams`](Self::compile_with_upstreams)), or more than [`MAX_RULES`] rules.
    pub fn compile(rules: impl IntoIterator<Item = Rule>) -> Result<Self, RuleError> {
        let compiled = compile(rules)?;
        for (index, rule) in compiled.iter().enumerate() {
            if let Some(name) = rule.upstream() {
                let problem = format!(
                    "it goes to the upstream {name:?}, and there are none here: compile the rules with upstreams, and give \
                     them to the routing layer"
                );
                return Err(RuleError::new(index, &rule.id, Fault::new("action", problem)));
            }
        }
        Ok(Self(Arc::new(Table::new(compiled))))
    }

    /// The same, for rules of which some may send requests to upstreams.
    ///
    /// # Errors
    ///
    /// As [`compile`](Self::compile), but for upstreams.
    pub fn compile_with_upstreams(
        rules: impl IntoIterator<Item = Rule>,
    ) -> Result<RulesWithUpstreams, RuleError> {
        Ok(RulesWithUpstreams(Self(Arc::new(Table::new(compile(rules)?)))))
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.rules.len()
    }

    /// Whether there is no rule, so that nothing matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.rules.is_empty()
    }

    /// The names of the policies that rules ask for.
    #[must_use]
    pub fn policies(&self) -> BTreeSet<&str> {
        self.0.rules.iter().filter_map(|rule| rule.policy()).collect()
    }

    pub(super) fn find(&self, ask: &Ask<'_>) -> Option<&Arc<Compiled>> {
        self.0.find(ask)
    }
}

impl RulesWithUpstreams {
    /// The names of the upstreams that rules send requests to.
    #[must_use]
    pub fn upstreams(&self) -> BTreeSet<&str> {
        self.0.0.rules.iter().filter_map(|rule| rule.upstream()).collect()
    }

    /// The names of the policies that rules ask for.
    #[must_use]
    pub fn policies(&self) -> BTreeSet<&str> {
        self.0.policies()
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no rule, so that nothing matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_rules(self) -> Rules {
        self.0
    }
}

fn compile(rules: impl IntoIterator<Item = Rule>) -> Result<Vec<Compiled>, RuleError> {
    let mut compiled = Vec::new();
    let mut ids = HashSet::new();
    for (index, rule) in rules.into_iter().enumerate() {
        let id = rule.id.clone();
        let wrong = |fault| RuleError::new(index, &id, fault);
        if index >= MAX_RULES {
            return Err(wrong(Fault::new(
                "rules",
                format!("there are more than {MAX_RULES}"),
            )));
        }
        let rule = Compiled::new(rule).map_err(wrong)?;
        if !ids.insert(rule.id.clone()) {
            return Err(wrong(Fault::new(
                "id",
                "another rule has it too: ids are labels, so each needs its own",
            )));
        }
        compiled.push(rule);
    }
    Ok(compiled)
}

impl Table {
    fn new(mut rules: Vec<Compiled>) -> Self {
        // A stable sort: what ranks alike stays in the order of declaration.
        rules.sort_by_key(|rule| (Reverse(rule.priority), rule.host.rank(), rule.path.rank()));
        let mut table = Self {
            rules: Vec::with_capacity(rules.len()),
            any_host: Bucket::default(),
            exact: HashMap::new(),
            below: HashMap::new(),
        };
        for rule in rules {
            let place = table.rules.len();
            let bucket = match &rule.host {
                HostPattern::Any => &mut table.any_host,
                HostPattern::Exact(host) => table.exact.entry(host.clone()).or_default(),
                HostPattern::Below(host) => table.below.entry(host.clone()).or_default(),
            };
            bucket.add(&rule.path, place);
            table.rules.push(Arc::new(rule));
        }
        table
    }

    fn find(&self, ask: &Ask<'_>) -> Option<&Arc<Compiled>> {
        let below = above(ask.host).filter_map(|host| self.below.get(host));
        let buckets = self
            .exact
            .get(ask.host)
            .into_iter()
            .chain(below)
            .chain([&self.any_host]);
        let best = buckets.fold(self.rules.len(), |best, bucket| {
            bucket.search(ask, &self.rules, best)
        });
        self.rules.get(best)
    }
}

impl Bucket {
    fn add(&mut self, path: &Path, place: usize) {
        let list = match path {
            Path::Exact(path) => self.exact.entry(path.clone()).or_default(),
            Path::Prefix(prefix) => {
                self.longest_prefix = self.longest_prefix.max(prefix.len());
                self.prefix.entry(prefix.clone()).or_default()
            }
            Path::Grpc(Grpc::Methods(paths)) => {
                for path in paths {
                    self.exact.entry(path.clone()).or_default().push(place);
                }
                return;
            }
            Path::Grpc(Grpc::Service(service)) => self.services.entry(service.clone()).or_default(),
            Path::Grpc(Grpc::Below(package)) => {
                self.longest_package = self.longest_package.max(package.len());
                self.packages.entry(package.clone()).or_default()
            }
            Path::Grpc(Grpc::Any) | Path::Regex(_) | Path::Any => &mut self.other,
        };
        list.push(place);
    }

    /// The place of the first rule of this bucket that matches, if it comes before `best`, else `best`.
    fn search(&self, ask: &Ask<'_>, rules: &[Arc<Compiled>], best: usize) -> usize {
        self.lists(ask).fold(best, |best, list| {
            let candidates = list.iter().copied().take_while(|&place| place < best);
            candidates
                .into_iter()
                .find(|&place| rules[place].matches(ask))
                .unwrap_or(best)
        })
    }

    /// The lists of rules that may match.
    fn lists<'a>(&'a self, ask: &'a Ask<'_>) -> impl Iterator<Item = &'a Vec<usize>> {
        let exact = self.exact.get(ask.path).into_iter();
        exact
            .chain(self.calls(ask))
            .chain(self.prefixes(ask.path))
            .chain([&self.other])
    }

    /// The lists of the service of a gRPC call, and of the packages around it. Longer names than any rule has are not tried.
    fn calls<'a>(&'a self, ask: &'a Ask<'_>) -> impl Iterator<Item = &'a Vec<usize>> {
        let is_asked_for = !(self.services.is_empty() && self.packages.is_empty());
        let service = if is_asked_for { ask.service() } else { None };
        let exact = service.and_then(|service| self.services.get(service));
        let around = self
            .around(service)
            .filter_map(|package| self.packages.get(package));
        exact.into_iter().chain(around)
    }

    /// The packages around a service that a rule may name.
    fn around<'a>(&self, service: Option<&'a str>) -> impl Iterator<Item = &'a str> + use<'a> {
        let longest = self.longest_package;
        let packages = service.into_iter().flat_map(packages);
        packages.take_while(move |package| package.len() <= longest)
    }

    /// The lists of every prefix of `path`. Longer ones than any rule has are not tried, so that a path of many slashes
    /// costs no more than the longest prefix.
    fn prefixes<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a Vec<usize>> {
        self.ends(path).filter_map(|end| self.prefix.get(&path[..end]))
    }

    /// Where a prefix of `path` may end: before a slash, or at its end.
    fn ends(&self, path: &str) -> impl Iterator<Item = usize> {
        let bytes = path.as_bytes();
        let is_none = self.prefix.is_empty() || !path.starts_with('/');
        let ends = if is_none {
            0
        } else {
            self.longest_prefix.min(path.len()) + 1
        };
        (0..ends).filter(|&end| bytes.get(end).is_none_or(|&byte| byte == b'/'))
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.0.rules.iter().map(|rule| &rule.id);
        f.debug_list().entries(ids).finish()
    }
}

impl fmt::Debug for RulesWithUpstreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;

    fn rule(id: String) -> Rule {
        Rule::direct(id, crate::reject::Direct::new(http::StatusCode::OK))
    }

    #[test]
    fn a_lookup_tries_no_rule_that_differs_in_host_or_path() {
        let hosts = (0..1_000).map(|n| rule(format!("h{n}")).host(format!("h{n}.example.com")));
        let exact = (0..1_000).map(|n| rule(format!("e{n}")).path_exact(format!("/x/{n}")));
        let prefixes = (0..1_000).map(|n| rule(format!("p{n}")).path_prefix(format!("/p{n}")));
        let table = Rules::compile(hosts.chain(exact).chain(prefixes)).unwrap().0;
        let headers = HeaderMap::new();
        let tried = |bucket: &Bucket, path: &str| {
            let ask = Ask::new("", path, &Method::GET, &headers);
            bucket.lists(&ask).map(Vec::len).sum::<usize>()
        };
        assert_eq!(tried(&table.exact["h999.example.com"], "/x/999"), 1);
        assert_eq!(tried(&table.any_host, "/x/999"), 1);
        assert_eq!(tried(&table.any_host, "/p999/x"), 1);
        assert_eq!(tried(&table.any_host, "/other"), 0);
    }

    #[test]
    fn a_call_tries_no_rule_for_other_services() {
        let services = (0..1_000).map(|n| rule(format!("s{n}")).grpc_service(format!("acme.v{n}.Service")));
        let methods = (0..1_000).map(|n| rule(format!("m{n}")).grpc_method(format!("acme.v{n}.Service/Get")));
        let packages = (0..1_000).map(|n| rule(format!("p{n}")).grpc_service_prefix(format!("acme.v{n}.")));
        let table = Rules::compile(services.chain(methods).chain(packages)).unwrap().0;
        let mut headers = HeaderMap::new();
        let tried = |headers: &HeaderMap, path: &str| {
            let ask = Ask::new("", path, &Method::POST, headers);
            table.any_host.lists(&ask).map(Vec::len).sum::<usize>()
        };
        assert_eq!(
            tried(&headers, "/acme.v7.Service/Get"),
            1,
            "the path alone, which is no call"
        );
        headers.insert("content-type", http::HeaderValue::from_static("application/grpc"));
        assert_eq!(tried(&headers, "/acme.v7.Service/Get"), 3);
        assert_eq!(tried(&headers, "/acme.v7.Service/Put"), 2);
        assert_eq!(tried(&headers, "/acme.v7.Other/Get"), 1);
        assert_eq!(tried(&headers, "/other.Service/Get"), 0);

        let long = format!("/{}S/Get", "acme.".repeat(1_000));
        let ask = Ask::new("", &long, &Method::POST, &headers);
        let looked_up = packages_of(&table.any_host, &ask);
        assert!(looked_up <= "acme.v999".len(), "{looked_up}");
    }

    /// How many packages of the call are looked up.
    fn packages_of(bucket: &Bucket, ask: &Ask<'_>) -> usize {
        bucket.around(ask.service()).count()
    }

    #[test]
    fn a_path_of_many_slashes_costs_no_more_than_the_longest_prefix() {
        let table = Rules::compile([rule("r".into()).path_prefix("/a/a")]).unwrap().0;
        let bucket = &table.any_host;
        assert_eq!(bucket.ends(&"/a".repeat(4_000)).count(), 3);
        assert_eq!(bucket.ends("*").count(), 0);
    }
}
