//! The call to the authorization server (RFC 7662, section 2.1).

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::Full;
use tunnel_core::auth::Rejection;

use super::answer::Answer;
use crate::auth::{
    AuthConfigError,
    fetch::{FetchLimits, HttpClient},
};

/// The largest answer that is read, in bytes.
const MAX_BYTES: usize = 64 * 1024;

/// What we say to the server, and who we are to it.
#[derive(Clone)]
pub(super) struct Endpoint {
    uri: Uri,
    authorization: HeaderValue,
    time: Duration,
}

impl Endpoint {
    pub(super) fn new(uri: Uri, authorization: HeaderValue, time: Duration) -> Result<Self, AuthConfigError> {
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            return Err(AuthConfigError::new(
                "introspection",
                "the address is none of http or https",
            ));
        }
        Ok(Self {
            uri,
            authorization,
            time,
        })
    }

    pub(super) fn host(&self) -> Option<&str> {
        self.uri.host()
    }

    pub(super) async fn ask(self, token: Box<str>, client: impl HttpClient) -> Result<Answer, Rejection> {
        let limits = FetchLimits {
            bytes: MAX_BYTES,
            time: self.time,
        };
        let (status, body) = client
            .fetch(self.request(&token), limits)
            .await
            .map_err(|error| unavailable().with_source(error))?;
        if status != StatusCode::OK {
            // 401 is about our own credentials, not about the token.
            return Err(unavailable().with_source(format!("the authorization server answered {status}")));
        }
        // The text of serde's error could have something of the answer in it.
        serde_json::from_slice(&body)
            .map_err(|_| unavailable().with_source("the answer of the authorization server cannot be read"))
    }

    fn request(self, token: &str) -> Request<Full<Bytes>> {
        let mut form = String::from("token=");
        push_form(&mut form, token);
        form.push_str("&token_type_hint=access_token");
        let mut request = Request::new(Full::new(Bytes::from(form)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri;
        let headers = request.headers_mut();
        headers.insert(header::AUTHORIZATION, self.authorization);
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        request
    }
}

pub(super) fn unavailable() -> Rejection {
    Rejection::unavailable("the authorization server is out of reach")
}

/// RFC 6749, section 2.3.1: both are encoded as in a form before they are joined.
pub(super) fn basic(client_id: &str, secret: &str) -> HeaderValue {
    let mut text = String::new();
    push_form(&mut text, client_id);
    text.push(':');
    push_form(&mut text, secret);
    let text = format!("Basic {}", STANDARD.encode(text));
    // Base64 has only bytes that a value may have.
    let mut value = HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("Basic"));
    value.set_sensitive(true);
    value
}

/// `application/x-www-form-urlencoded`, as the URL Standard of WHATWG has it.
fn push_form(form: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        match byte {
            b' ' => form.push('+'),
            b'*' | b'-' | b'.' | b'_' => form.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => form.push(char::from(byte)),
            byte => form.extend([
                '%',
                char::from(HEX[usize::from(byte >> 4)]),
                char::from(HEX[usize::from(byte & 15)]),
            ]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_only_what_it_may() {
        let mut form = String::new();
        push_form(&mut form, "a b+/=&é*-._~%");
        assert_eq!(form, "a+b%2B%2F%3D%26%C3%A9*-._%7E%25");
    }

    #[test]
    fn our_own_credentials_are_encoded_twice_and_not_shown() {
        let value = basic("my app", "p:w");
        assert_eq!(value, format!("Basic {}", STANDARD.encode("my+app:p%3Aw")));
        assert_eq!(format!("{value:?}"), "Sensitive");
    }
}
