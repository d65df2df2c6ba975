//! Lines of JSON.

use std::{borrow::Cow, io::Write as _, time::Duration};

use tunnel_core::{RequestId, TraceId};

use super::{
    Entry, digits,
    entry::cut,
    time::{Civil, version},
};

pub(super) fn write(entry: &Entry<'_>, line: &mut Vec<u8>) {
    line.extend_from_slice(b"{\"time\":\"");
    Civil::of(entry.time).write(line);
    line.push(b'"');
    if let Some(id) = entry.request_id {
        word(line, "request_id", Some(id.text(&mut [0; RequestId::TEXT_LEN])));
    }
    word(line, "trace_id", entry.trace_id.as_ref().map(TraceId::as_str));
    if let Some(peer) = entry.peer {
        key(line, "peer");
        // Neither an address nor a port has anything to escape. Writing to a vector never fails.
        let _ = write!(line, "\"{peer}\"");
    }
    text(line, "principal", entry.principal);
    text(line, "method", Some(entry.method.as_str()));
    text(line, "authority", Some(entry.authority));
    text(line, "path", Some(entry.path));
    word(line, "version", Some(version(entry.version)));
    word(line, "protocol", Some(entry.protocol.word()));
    text(line, "rule", entry.rule);
    text(line, "group", entry.group.map(|group| group.as_str()));
    text(line, "agent", entry.agent.map(|agent| agent.as_str()));
    text(line, "upstream", entry.upstream);
    text(line, "endpoint", entry.endpoint);
    let attempts = (entry.attempts > 1).then(|| entry.attempts.into());
    count(line, "attempts", attempts);
    count(line, "status", entry.status.map(|status| status.as_u16().into()));
    count(line, "grpc_status", entry.grpc_status.map(u64::from));
    count(line, "bytes_in", Some(entry.bytes_in));
    count(line, "bytes_out", Some(entry.bytes_out));
    time(line, "first_byte", entry.first_byte);
    time(line, "duration", Some(entry.duration));
    word(line, "cause", entry.cause);
    headers(entry, line);
    line.push(b'}');
}

fn headers(entry: &Entry<'_>, line: &mut Vec<u8>) {
    if entry.headers.is_empty() {
        return;
    }
    line.extend_from_slice(b",\"headers\":{");
    for (place, (name, value)) in entry.headers.iter().enumerate() {
        if place > 0 {
            line.push(b',');
        }
        string(line, name.as_str());
        line.push(b':');
        string(line, &String::from_utf8_lossy(value.as_bytes()));
    }
    line.push(b'}');
}

/// All but the first.
fn key(line: &mut Vec<u8>, name: &str) {
    line.extend_from_slice(b",\"");
    line.extend_from_slice(name.as_bytes());
    line.extend_from_slice(b"\":");
}

/// What has nothing to escape.
fn word(line: &mut Vec<u8>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        key(line, name);
        line.push(b'"');
        line.extend_from_slice(value.as_bytes());
        line.push(b'"');
    }
}

fn count(line: &mut Vec<u8>, name: &str, value: Option<u64>) {
    if let Some(value) = value {
        key(line, name);
        digits::number(line, value);
    }
}

fn time(line: &mut Vec<u8>, name: &str, value: Option<Duration>) {
    if let Some(value) = value {
        key(line, name);
        digits::seconds(line, value);
    }
}

fn text(line: &mut Vec<u8>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        key(line, name);
        string(line, value);
    }
}

fn string(line: &mut Vec<u8>, value: &str) {
    let value = match cut(value) {
        (whole, false) => Cow::Borrowed(whole),
        (part, true) => Cow::Owned(format!("{part}...")),
    };
    let _ = serde_json::to_writer(line, &*value);
}
