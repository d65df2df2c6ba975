use std::{collections::BTreeSet, fmt, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};

use crate::reject::{CAUSE_HEADER, TRACE_ID_HEADER};

/// What every gRPC-Web client sends, and so what its preflights ask for.
const X_GRPC_WEB: &str = "x-grpc-web";

/// Which pages of other sites may make calls, and what they get to see (Fetch, "HTTP-responses").
///
/// ```
/// use tunnel_layers::grpc_web::Cors;
///
/// let cors = Cors::origins(["https://app.example.com", "http://localhost:5173"])?;
/// # let _ = cors;
/// let error = Cors::origins(["https://app.example.com/"]).unwrap_err();
/// assert_eq!(error.to_string(), "\"https://app.example.com/\" is no origin: write scheme, host and port, without a path or a slash at the end");
/// # Ok::<_, tunnel_layers::grpc_web::OriginError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cors {
    /// None for any.
    origins: Option<BTreeSet<Box<str>>>,
    credentials: bool,
    max_age: Option<HeaderValue>,
    exposed: Vec<HeaderName>,
}

impl Cors {
    /// The pages of any site may make calls, but without the cookies and certificates that the browser holds for this one.
    #[must_use]
    pub fn any_origin() -> Self {
        Self {
            origins: None,
            credentials: false,
            max_age: None,
            exposed: vec![
                HeaderName::from_static("grpc-status"),
                HeaderName::from_static("grpc-message"),
                HeaderName::from_static("grpc-status-details-bin"),
                CAUSE_HEADER,
                TRACE_ID_HEADER,
            ],
        }
    }

    /// The pages of these sites may make calls: origins as browsers write them, such as `https://app.example.com` or
    /// `http://localhost:5173`.
    ///
    /// # Errors
    ///
    /// If one of them is no such origin, so that it could never match.
    pub fn origins<O: AsRef<str>>(origins: impl IntoIterator<Item = O>) -> Result<Self, OriginError> {
        let origins: BTreeSet<Box<str>> = origins
            .into_iter()
            .map(|origin| check(origin.as_ref()))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            origins: Some(origins),
            ..Self::any_origin()
        })
    }

    /// The same, and their calls may carry the cookies and certificates that the browser holds for this site.
    ///
    /// # Errors
    ///
    /// As [`origins`](Self::origins).
    pub fn origins_with_credentials<O: AsRef<str>>(
        origins: impl IntoIterator<Item = O>,
    ) -> Result<Self, OriginError> {
        Ok(Self {
            credentials: true,
            ..Self::origins(origins)?
        })
    }

    /// How long browsers may remember the answer to a preflight, in whole seconds. By default they decide, and most choose
    /// five seconds.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age.as_secs().into());
        self
    }

    /// More response headers that pages may read: the initial metadata of services. `grpc-status`, `grpc-message`,
    /// `grpc-status-details-bin`, `x-tunnel-error` and `x-trace-id` are always among them.
    #[must_use]
    pub fn expose(mut self, headers: impl IntoIterator<Item = HeaderName>) -> Self {
        self.exposed.extend(headers);
        self
    }

    /// Whether this is the preflight of a gRPC-Web call.
    pub(super) fn is_preflight<B>(request: &Request<B>) -> bool {
        let headers = request.headers();
        let asks_for = |name: &str| {
            let values = headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS).iter();
            values
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(','))
                .any(|asked| asked.trim().eq_ignore_ascii_case(name))
        };
        request.method() == Method::OPTIONS
            && headers.contains_key(header::ORIGIN)
            && headers
                .get(header::ACCESS_CONTROL_REQUEST_METHOD)
                .is_some_and(|method| method == Method::POST.as_str())
            && asks_for(X_GRPC_WEB)
    }

    /// The answer to a preflight. To pages that may not make calls it grants nothing.
    pub(super) fn preflight<B>(&self, request: &Request<B>) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(
            header::VARY,
            HeaderValue::from_static("origin, access-control-request-method, access-control-request-headers"),
        );
        let Some(origin) = self.allowed(request.headers()) else {
            return response;
        };
        self.grant(headers, origin);
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("POST"),
        );
        for asked in request.headers().get_all(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.append(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
        if let Some(age) = &self.max_age {
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, age.clone());
        }
        response
    }

    /// What the response to a call says to the page that made it.
    pub(super) fn on_response(&self, origin: Option<HeaderValue>, headers: &mut HeaderMap) {
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        let Some(origin) = origin else { return };
        self.grant(headers, origin);
        for name in &self.exposed {
            headers.append(header::ACCESS_CONTROL_EXPOSE_HEADERS, name.clone().into());
        }
    }

    /// What `access-control-allow-origin` is to be for a request with these headers.
    pub(super) fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        match &self.origins {
            None => Some(HeaderValue::from_static("*")),
            Some(origins) => origins.contains(origin.to_str().ok()?).then(|| origin.clone()),
        }
    }

    fn grant(&self, headers: &mut HeaderMap, origin: HeaderValue) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            let yes = HeaderValue::from_static("true");
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
    }
}

fn check(origin: &str) -> Result<Box<str>, OriginError> {
    let wrong = |problem| OriginError {
        origin: origin.into(),
        problem,
    };
    let uri: Option<Uri> = origin.parse().ok();
    let parts = uri
        .as_ref()
        .and_then(|uri| Some((uri.scheme_str()?, uri.authority()?)));
    let Some((scheme, authority)) = parts else {
        return Err(wrong(
            "write scheme, host and port, as in https://app.example.com",
        ));
    };
    if authority.as_str().contains('@') || format!("{scheme}://{authority}") != origin {
        return Err(wrong(
            "write scheme, host and port, without a path or a slash at the end",
        ));
    }
    if origin.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(wrong("browsers write origins in lower case"));
    }
    if matches!(
        (scheme, authority.port_u16()),
        ("http", Some(80)) | ("https", Some(443))
    ) {
        return Err(wrong("browsers leave the scheme's own port out"));
    }
    Ok(origin.into())
}

/// What was to be an origin is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginError {
    origin: Box<str>,
    problem: &'static str,
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no origin: {}", self.origin, self.problem)
    }
}

impl std::error::Error for OriginError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_such_as_browsers_write() {
        for origin in [
            "https://a.example",
            "http://localhost:5173",
            "http://[::1]:8080",
            "https://a.example:80",
        ] {
            assert!(Cors::origins([origin]).is_ok(), "{origin}");
        }
        for (origin, problem) in [
            ("a.example", "as in https"),
            ("*", "as in https"),
            ("null", "as in https"),
            ("", "as in https"),
            ("https://a.example/", "without a path"),
            ("https://a.example/x", "without a path"),
            ("https://a.example?x", "without a path"),
            ("https://me@a.example", "without a path"),
            ("https://A.example", "lower case"),
            ("https://a.example:443", "own port"),
            ("http://a.example:80", "own port"),
        ] {
            let error = Cors::origins([origin]).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
