//! Rules for services and methods of gRPC.

use std::collections::BTreeSet;

use http::{HeaderMap, Method};

use super::error::Fault;
use crate::reject::Dialect;

/// What a rule says about gRPC, as its author wrote it.
#[derive(Clone, Debug, Default)]
pub(super) struct GrpcMatch {
    pub(super) any: bool,
    pub(super) service: Option<String>,
    pub(super) prefix: Option<String>,
    pub(super) methods: Vec<String>,
}

/// Which calls of gRPC a rule is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Grpc {
    /// The paths of the methods.
    Methods(Box<[Box<str>]>),
    Service(Box<str>),
    /// Every service whose name begins with this and a dot.
    Below(Box<str>),
    Any,
}

impl GrpcMatch {
    /// None for a rule that says nothing about gRPC.
    pub(super) fn compile(self, methods: &[Method]) -> Result<Option<Grpc>, Fault> {
        let found = match (self.service, self.prefix) {
            (Some(_), Some(_)) => return Err(wrong("name a service or a prefix of services, not both")),
            (None, Some(_)) if !self.methods.is_empty() => {
                return Err(wrong("a method belongs to one service: name that, not a prefix"));
            }
            (service, None) if !self.methods.is_empty() => of_methods(service.as_deref(), &self.methods)?,
            (None, Some(prefix)) => of_prefix(&prefix)?,
            (Some(service), None) => Grpc::Service(check_service(&service)?.into()),
            (None, None) if self.any => Grpc::Any,
            (None, None) => return Ok(None),
        };
        if !methods.is_empty() && !methods.contains(&Method::POST) {
            return Err(wrong("a call of gRPC is a POST: leave the method of HTTP out"));
        }
        Ok(Some(found))
    }
}

fn of_methods(service: Option<&str>, methods: &[String]) -> Result<Grpc, Fault> {
    let paths: BTreeSet<Box<str>> = methods
        .iter()
        .map(|method| path_of(service, method))
        .collect::<Result<_, _>>()?;
    Ok(Grpc::Methods(paths.into_iter().collect()))
}

fn path_of(service: Option<&str>, name: &str) -> Result<Box<str>, Fault> {
    let (service, method) = match (name.split_once('/'), service) {
        (Some((own, _)), Some(service)) if own != service => {
            return Err(wrong(format!("{name:?} is no method of the service {service:?}")));
        }
        (Some(parts), _) => parts,
        (None, Some(service)) => (service, name),
        (None, None) => {
            return Err(wrong(format!(
                "{name:?} names no service: write package.Service/Method, or name the service too"
            )));
        }
    };
    if !is_identifier(method) {
        return Err(wrong(format!(
            "{name:?} is no method: write one such as package.Service/Method"
        )));
    }
    Ok(format!("/{}/{method}", check_service(service)?).into())
}

fn of_prefix(prefix: &str) -> Result<Grpc, Fault> {
    let package = prefix.strip_suffix('.').unwrap_or(prefix);
    if !is_name(package) {
        return Err(wrong(format!(
            "{prefix:?} is no prefix of services: write a package such as acme.billing."
        )));
    }
    Ok(Grpc::Below(package.into()))
}

fn check_service(name: &str) -> Result<&str, Fault> {
    if is_name(name) {
        return Ok(name);
    }
    Err(wrong(format!(
        "{name:?} is no service: write its full name, such as package.Service"
    )))
}

/// Identifiers with dots between them (Protocol Buffers, "fullIdent").
fn is_name(name: &str) -> bool {
    name.split('.').all(is_identifier)
}

fn is_identifier(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn wrong(problem: impl Into<String>) -> Fault {
    Fault::new("grpc", problem)
}

/// The service that a request asks for, if it is a call of gRPC: by its content type, and a path of two segments.
pub(super) fn service<'a>(headers: &HeaderMap, path: &'a str) -> Option<&'a str> {
    if Dialect::of(headers) != Dialect::Grpc {
        return None;
    }
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let is_call = !service.is_empty() && !method.is_empty() && !method.contains('/');
    is_call.then_some(service)
}

/// The packages around a service, the outermost first: `a.b.C` is in `a` and `a.b`.
pub(super) fn packages(service: &str) -> impl Iterator<Item = &str> {
    service.match_indices('.').map(|(dot, _)| &service[..dot])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service_of(content_type: &'static str, path: &'static str) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", http::HeaderValue::from_static(content_type));
        service(&headers, path)
    }

    #[test]
    fn a_call_has_the_content_type_and_two_segments() {
        const GRPC: &str = "application/grpc+proto";
        assert_eq!(service_of(GRPC, "/a.B/C"), Some("a.B"));
        for path in ["/", "/a.B", "/a.B/", "//C", "/a.B/C/", "/a.B/C/D", "*"] {
            assert_eq!(service_of(GRPC, path), None, "{path}");
        }
        assert_eq!(service_of("application/grpc-web", "/a.B/C"), None);
        assert_eq!(service(&HeaderMap::new(), "/a.B/C"), None);
    }

    #[test]
    fn the_packages_of_a_service() {
        assert!(packages("a.b.C").eq(["a", "a.b"]));
        assert_eq!(packages("C").count(), 0);
    }
}
