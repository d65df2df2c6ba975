//! Requests to an admin interface.

use std::{error::Error, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tower::ServiceExt as _;
use tunnel_transport::{Upstream, admin::view};

use super::Problem;

/// How long an answer may take: a reload waits for disks.
const PATIENCE: Duration = Duration::from_secs(30);

/// The largest answer, in bytes.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// How one program is asked.
#[derive(Debug)]
pub(super) struct Ask {
    upstream: Upstream,
    url: String,
    token: Option<Token>,
    /// Why there is no token.
    missing: Option<String>,
}

struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Ask {
    pub(super) fn new(upstream: Upstream, url: &str, token: Option<String>, missing: Option<String>) -> Self {
        Self {
            upstream,
            url: url.trim_end_matches('/').to_owned(),
            token: token.map(Token),
            missing,
        }
    }

    /// Asks, and gives whatever is answered.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<Answer, Problem> {
        let url = &self.url;
        let uri: Uri = format!("{url}{path}")
            .parse()
            .map_err(|error| Problem::Wrong(format!("`{url}{path}` is no address: {error}")))?;
        let host = uri
            .authority()
            .map_or("", |authority| authority.as_str())
            .to_owned();
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header(header::HOST, host)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(Token(token)) = &self.token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| Problem::Wrong("the token has characters that no token has".to_owned()))?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        let request = request
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .map_err(|error| Problem::Wrong(format!("`{url}{path}` cannot be asked for: {error}")))?;
        let answered = async {
            let response = self
                .upstream
                .clone()
                .oneshot(request)
                .await
                .map_err(|error| self.lost(&error))?;
            let status = response.status();
            let body = http_body_util::Limited::new(response.into_body(), MAX_ANSWER);
            let body = body
                .collect()
                .await
                .map_err(|error| self.lost(&*error))?
                .to_bytes();
            Ok(Answer { status, body })
        };
        let late = |_| Problem::Unreachable(format!("{url} has not answered within {PATIENCE:?}"));
        timeout(PATIENCE, answered).await.map_err(late)?
    }

    /// Asks for what is there, and tells what is wrong if nothing is.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        self.read(&self.send(Method::GET, path, None).await?)
    }

    /// Has something done.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Option<String>,
    ) -> Result<T, Problem> {
        self.read(&self.send(Method::POST, path, body).await?)
    }

    /// What a good answer says.
    pub(super) fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, Problem> {
        if !answer.status.is_success() {
            return Err(self.refused(answer));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|error| Problem::Unreachable(format!("{} is no admin interface: {error}", self.url)))
    }

    /// Why an answer is no good one.
    pub(super) fn refused(&self, answer: &Answer) -> Problem {
        let said = serde_json::from_slice(&answer.body).map(|view::Problem { error }| error);
        let text = said.unwrap_or_else(|_| format!("{} answers {}", self.url, answer.status));
        match (answer.status, &self.missing, &self.token) {
            (StatusCode::UNAUTHORIZED, Some(missing), _) => {
                Problem::Refused(format!("{}: {missing}", self.url))
            }
            (StatusCode::UNAUTHORIZED, None, None) => Problem::Refused(format!(
                "{} needs a token: give it with --token-env NAME or --token-file FILE",
                self.url
            )),
            (StatusCode::UNAUTHORIZED, None, Some(_)) => {
                Problem::Refused(format!("{}: {text}: is it the token of this program?", self.url))
            }
            _ => Problem::Refused(text),
        }
    }

    fn lost(&self, error: &(dyn Error + 'static)) -> Problem {
        let mut text = format!("{} cannot be asked: {error}", self.url);
        let mut source = error.source();
        while let Some(error) = source {
            text.push_str(&format!(": {error}"));
            source = error.source();
        }
        text.push_str("\nIs the program running, and is this the address of its `admin`?");
        Problem::Unreachable(text)
    }
}

/// A name in a path or a query.
pub(super) fn encoded(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte));
            }
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}
