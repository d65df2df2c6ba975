//! What one rule says, as its author wrote it.

use http::{HeaderName, HeaderValue, Method};
use tunnel_core::{Access, GroupName, Limits, RetryPolicy, Timeouts};

use super::{grpc::GrpcMatch, protocol::RuleProtocol};
use crate::reject::Direct;

/// One rule: what it matches, who serves that, and what changes on the way.
///
/// A matcher that is left out matches everything. Texts are checked when the rules are
/// [compiled](super::Rules::compile). `Debug` shows no header values.
///
/// ```
/// use std::time::Duration;
///
/// use http::Method;
/// use tunnel_layers::route::Rule;
///
/// let rule = Rule::group("api", "billing".parse()?)
///     .host("*.example.com")
///     .path_prefix("/api")
///     .method(Method::GET)
///     .strip_prefix()
///     .timeout(Duration::from_secs(30));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Rule {
    pub(super) id: String,
    pub(super) priority: i32,
    pub(super) action: Action,
    pub(super) host: Option<String>,
    pub(super) path: PathMatch,
    pub(super) grpc: GrpcMatch,
    pub(super) protocol: Option<RuleProtocol>,
    pub(super) methods: Vec<Method>,
    pub(super) headers: Vec<(HeaderName, HeaderMatch)>,
    pub(super) prefix: Option<String>,
    pub(super) to_host: Option<String>,
    pub(super) request: Edits,
    pub(super) response: Edits,
    pub(super) timeouts: Timeouts,
    pub(super) limits: Limits,
    pub(super) access: Access,
    pub(super) registered_hosts: bool,
    pub(super) retry: Option<RetryPolicy>,
}

/// Who serves what a rule matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A healthy agent of this group.
    Group(GroupName),
    /// An upstream that this process reaches itself, by its name: 1 to 128 visible ASCII characters.
    Upstream(String),
    /// Nobody: the answer is fixed.
    Direct(Direct),
}

#[derive(Clone, Debug)]
pub(super) enum PathMatch {
    Any,
    Exact(String),
    Prefix(String),
    Regex(String),
}

#[derive(Clone)]
pub(super) enum HeaderMatch {
    Present,
    Exact(HeaderValue),
    Regex(String),
}

impl std::fmt::Debug for HeaderMatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Present => "Present",
            Self::Exact(_) => "Exact(..)",
            Self::Regex(_) => "Regex(..)",
        })
    }
}

/// Headers to take away, and headers to set after that.
#[derive(Clone, Default)]
pub(super) struct Edits {
    pub(super) remove: Vec<HeaderName>,
    pub(super) set: Vec<(HeaderName, HeaderValue)>,
}

impl std::fmt::Debug for Edits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let set: Vec<_> = self.set.iter().map(|(name, _)| name).collect();
        f.debug_struct("Edits")
            .field("remove", &self.remove)
            .field("set", &set)
            .finish()
    }
}

impl Rule {
    /// A rule with this id: 1 to 128 visible ASCII characters, unique among the rules; the label for logs and metrics.
    pub fn new(id: impl Into<String>, action: Action) -> Self {
        Self {
            id: id.into(),
            priority: 0,
            action,
            host: None,
            path: PathMatch::Any,
            grpc: GrpcMatch::default(),
            protocol: None,
            methods: Vec::new(),
            headers: Vec::new(),
            prefix: None,
            to_host: None,
            request: Edits::default(),
            response: Edits::default(),
            timeouts: Timeouts::default(),
            limits: Limits::new(),
            access: Access::Default,
            registered_hosts: false,
            retry: None,
        }
    }

    /// A rule whose requests go to an agent of this group.
    pub fn group(id: impl Into<String>, group: GroupName) -> Self {
        Self::new(id, Action::Group(group))
    }

    /// A rule whose requests go to the upstream with this name.
    pub fn upstream(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self::new(id, Action::Upstream(name.into()))
    }

    /// A rule whose requests are answered here.
    pub fn direct(id: impl Into<String>, answer: Direct) -> Self {
        Self::new(id, Action::Direct(answer))
    }

    /// Rules with a higher priority are tried first; 0 by default.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// Matches this host, whatever the port: a name or an address, or `*.` and a name for every name below that (one or
    /// more labels, and not the name itself).
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Matches only hosts that a connected agent of the rule's group has registered, and sends their requests to those agents alone:
    /// agents of one group may serve different hosts. Beside [`host`](Self::host), both have to match; it does not make a rule
    /// more specific. [`RouteLayer::hosts`](super::RouteLayer::hosts) has to say who knows the hosts.
    pub fn registered_hosts(mut self) -> Self {
        self.registered_hosts = true;
        self
    }

    /// Matches this path alone.
    pub fn path_exact(mut self, path: impl Into<String>) -> Self {
        self.path = PathMatch::Exact(path.into());
        self
    }

    /// Matches this path and everything below it: `/api` (or `/api/`, which is the same) matches `/api`, `/api/` and `/api/x`,
    /// and not `/apix`.
    pub fn path_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.path = PathMatch::Prefix(prefix.into());
        self
    }

    /// Matches paths that this pattern matches from their first to their last character, in their
    /// [canonical](tunnel_core::admit::Canonical::path) form.
    pub fn path_regex(mut self, pattern: impl Into<String>) -> Self {
        self.path = PathMatch::Regex(pattern.into());
        self
    }

    /// Matches every call of gRPC: a request whose content type is `application/grpc`, alone or followed by `+` or `;`, and
    /// whose path is `/package.Service/Method`. Metadata is matched as headers are. No matcher of gRPC stands beside one for
    /// the path.
    pub fn grpc(mut self) -> Self {
        self.grpc.any = true;
        self
    }

    /// Matches calls of this gRPC service, by its full name, such as `acme.billing.v1.Invoices`.
    pub fn grpc_service(mut self, service: impl Into<String>) -> Self {
        self.grpc.service = Some(service.into());
        self
    }

    /// Matches calls of the service that `S` serves: a generated tonic server, or a layer around one.
    #[cfg(feature = "grpc")]
    pub fn grpc_service_of<S: tonic::server::NamedService>(self) -> Self {
        self.grpc_service(S::NAME)
    }

    /// Matches calls of every gRPC service in this package and those below: `acme.billing.` (or `acme.billing`, which is the
    /// same) matches `acme.billing.Invoices` and `acme.billing.v1.Invoices`, and not `acme.billings.Invoices`.
    pub fn grpc_service_prefix(mut self, package: impl Into<String>) -> Self {
        self.grpc.prefix = Some(package.into());
        self
    }

    /// Matches calls of this gRPC method, beside those that were named before: `acme.billing.v1.Invoices/Get`, or `Get`
    /// with the service named by [`grpc_service`](Self::grpc_service).
    pub fn grpc_method(mut self, method: impl Into<String>) -> Self {
        self.grpc.methods.push(method.into());
        self
    }

    /// Matches requests that speak, or ask for, this protocol, such as WebSocket.
    pub fn protocol(mut self, protocol: RuleProtocol) -> Self {
        self.protocol = Some(protocol);
        self
    }

    /// Matches this method, beside those that were named before. GET does not include HEAD; an extended CONNECT (RFC 8441)
    /// counts as the GET that it would be on HTTP/1.1.
    pub fn method(mut self, method: Method) -> Self {
        self.methods.push(method);
        self
    }

    /// Matches requests of which a header with this name has exactly this value.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, HeaderMatch::Exact(value)));
        self
    }

    /// Matches requests with this header, whatever its value.
    pub fn header_present(mut self, name: HeaderName) -> Self {
        self.headers.push((name, HeaderMatch::Present));
        self
    }

    /// Matches requests of which a header with this name has a value that this pattern matches as a whole.
    pub fn header_regex(mut self, name: HeaderName, pattern: impl Into<String>) -> Self {
        self.headers.push((name, HeaderMatch::Regex(pattern.into())));
        self
    }

    /// Takes the prefix that was matched away: with the prefix `/api`, `/api/x` becomes `/x` and `/api` becomes `/`. What
    /// follows the prefix, and the query, stay as they came.
    pub fn strip_prefix(self) -> Self {
        self.replace_prefix("/")
    }

    /// Puts `replacement` in the place of the prefix that was matched.
    pub fn replace_prefix(mut self, replacement: impl Into<String>) -> Self {
        self.prefix = Some(replacement.into());
        self
    }

    /// Sends the request on with this host, a name or address with or without a port.
    pub fn rewrite_host(mut self, host: impl Into<String>) -> Self {
        self.to_host = Some(host.into());
        self
    }

    /// Sets a header of the request, in the place of all with that name.
    pub fn set_request_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.request.set.push((name, value));
        self
    }

    /// Takes a header of the request away. What the same rule sets is set after that.
    pub fn remove_request_header(mut self, name: HeaderName) -> Self {
        self.request.remove.push(name);
        self
    }

    /// Sets a header of the response, in the place of all with that name.
    pub fn set_response_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.response.set.push((name, value));
        self
    }

    /// Takes a header of the response away. What the same rule sets is set after that.
    pub fn remove_response_header(mut self, name: HeaderName) -> Self {
        self.response.remove.push(name);
        self
    }
}
