//! Lines of JSON.

use std::{borrow::Cow, io::Write as _};

use super::{
    Entry,
    entry::cut,
    time::{Civil, version},
};

/// Writing to a vector never fails, and so nothing here does.
pub(super) fn write(entry: &Entry<'_>, line: &mut Vec<u8>) {
    line.push(b'{');
    let _ = write!(line, "\"time\":\"{}\"", Civil::of(entry.time));
    display(line, "request_id", entry.request_id);
    display(line, "trace_id", entry.trace_id);
    display(line, "peer", entry.peer);
    text(line, "principal", entry.principal);
    text(line, "method", Some(entry.method.as_str()));
    text(line, "authority", Some(entry.authority));
    text(line, "path", Some(entry.path));
    text(line, "version", Some(version(entry.version)));
    text(line, "protocol", Some(entry.protocol.word()));
    text(line, "rule", entry.rule);
    text(line, "group", entry.group.map(|group| group.as_str()));
    text(line, "agent", entry.agent.map(|agent| agent.as_str()));
    text(line, "upstream", entry.upstream);
    text(line, "endpoint", entry.endpoint);
    if entry.attempts > 1 {
        let _ = write!(line, ",\"attempts\":{}", entry.attempts);
    }
    if let Some(status) = entry.status {
        let _ = write!(line, ",\"status\":{}", status.as_u16());
    }
    if let Some(status) = entry.grpc_status {
        let _ = write!(line, ",\"grpc_status\":{status}");
    }
    let _ = write!(
        line,
        ",\"bytes_in\":{},\"bytes_out\":{}",
        entry.bytes_in, entry.bytes_out
    );
    if let Some(time) = entry.first_byte {
        let _ = write!(line, ",\"first_byte\":{:.6}", time.as_secs_f64());
    }
    let _ = write!(line, ",\"duration\":{:.6}", entry.duration.as_secs_f64());
    text(line, "cause", entry.cause);
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

/// What consists of letters and digits alone.
fn display(line: &mut Vec<u8>, name: &str, value: Option<impl std::fmt::Display>) {
    if let Some(value) = value {
        let _ = write!(line, ",\"{name}\":\"{value}\"");
    }
}

fn text(line: &mut Vec<u8>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        let _ = write!(line, ",\"{name}\":");
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
