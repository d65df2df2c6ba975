//! What a gRPC client gets beside status and message, in a form that programs read: `google.rpc.Status` in the field
//! `grpc-status-details-bin`.

use std::collections::HashMap;

use http::HeaderMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use tunnel_core::{Initiator, Sent, TunnelError};

use super::{DETAILS_DOMAIN, detail, table};

/// Puts the details in. Status and message come with them; the caller replaces those by its own.
pub(super) fn put(headers: &mut HeaderMap, error: &TunnelError) {
    let code = Code::from_i32(table::grpc_code(error.cause()).cast_signed());
    let status = Status::with_error_details(code, detail(error), details(error));
    // It fails for fields that no header can hold; base64 is none of them. An answer without details is still an answer.
    let _ = status.add_header(headers);
}

fn details(error: &TunnelError) -> ErrorDetails {
    let mut details = ErrorDetails::with_error_info(reason(error), DETAILS_DOMAIN, metadata(error));
    if let Some(after) = error.retry_after() {
        details.set_retry_info(Some(after));
    }
    details
}

/// The word for the cause as `google.rpc.ErrorInfo` writes reasons: upper case, with underscores.
fn reason(error: &TunnelError) -> String {
    error.cause().word().to_ascii_uppercase().replace('-', "_")
}

/// Who failed, and whether the call may be made again.
fn metadata(error: &TunnelError) -> HashMap<String, String> {
    let initiator = match error.initiator() {
        Initiator::Caller => "caller",
        Initiator::Tunnel => "tunnel",
        Initiator::Peer => "peer",
    };
    let sent = match error.sent() {
        Sent::No => "no",
        Sent::Refused => "refused",
        Sent::Yes => "yes",
    };
    [("initiator", initiator), ("sent", sent)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}
