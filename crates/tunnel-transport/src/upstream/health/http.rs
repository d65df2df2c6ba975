//! A check by a GET.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri, uri::Scheme};
use http_body_util::{BodyExt as _, Empty};

use super::{HttpCheck, Verdict};
use crate::upstream::{body::Exchange, gate::Gate, node::Node, service::finish, upload::Upload};

/// As much of an answer is read as this, so that its connection can be used for the next check; of a longer one it is closed.
const MAX_BYTES: usize = 64 * 1024;

pub(super) async fn check(node: &Node, check: &HttpCheck) -> Verdict {
    let authority = check.host.as_ref().unwrap_or(&node.target.authority);
    let scheme = if node.target.is_tls {
        Scheme::HTTPS
    } else {
        Scheme::HTTP
    };
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(authority.clone())
        .path_and_query(check.path.clone())
        .build();
    let gate = Gate::new(false);
    let nothing = Upload::new(Empty::<Bytes>::new(), gate.clone(), Duration::ZERO);
    let Ok(request) = uri.and_then(|uri| Request::get(uri).body(nothing)) else {
        return Verdict::Failing;
    };
    let Ok((response, on)) = node.check(request).await else {
        return Verdict::Failing;
    };
    let status = response.status();
    let mut body = finish(response, Exchange::new(gate, on, None)).into_body();
    let mut left = MAX_BYTES;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Verdict::Failing };
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            break;
        }
    }
    match check.status.as_slice() {
        [] => status.is_success(),
        expected => expected.iter().any(|range| range.contains(&status.as_u16())),
    }
    .into()
}
