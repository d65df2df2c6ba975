//! Lines of text, as web servers write them.

use std::{fmt::Display, io::Write as _};

use super::{
    Entry,
    entry::cut,
    time::{Civil, version},
};

/// Writing to a vector never fails, and so nothing here does.
pub(super) fn write(entry: &Entry<'_>, line: &mut Vec<u8>) {
    match entry.peer {
        Some(peer) => drop(write!(line, "{} - ", peer.ip())),
        None => line.extend_from_slice(b"- - "),
    }
    word(line, entry.principal.unwrap_or("-"));
    let _ = write!(line, " [{}] \"", Civil::of(entry.time).common());
    quoted(line, entry.method.as_str());
    line.push(b' ');
    quoted(line, entry.path);
    let _ = write!(line, " {}\" ", version(entry.version));
    match entry.status {
        Some(status) => drop(write!(line, "{} ", status.as_u16())),
        None => line.extend_from_slice(b"- "),
    }
    let _ = write!(line, "{}", entry.bytes_out);
    for name in ["referer", "user-agent"] {
        let value = entry.header(name).map(|value| value.as_bytes()).unwrap_or(b"-");
        line.extend_from_slice(b" \"");
        quoted(line, &String::from_utf8_lossy(value));
        line.push(b'"');
    }
    more(entry, line);
}

/// What the format has no place for.
fn more(entry: &Entry<'_>, line: &mut Vec<u8>) {
    field(line, "host", Some(entry.authority));
    field(line, "protocol", Some(entry.protocol.word()));
    field(line, "request_id", entry.request_id);
    field(line, "trace_id", entry.trace_id);
    field(line, "rule", entry.rule);
    field(line, "group", entry.group);
    field(line, "agent", entry.agent);
    field(line, "upstream", entry.upstream);
    field(line, "endpoint", entry.endpoint);
    field(line, "attempts", (entry.attempts > 1).then_some(entry.attempts));
    field(line, "grpc_status", entry.grpc_status);
    field(line, "bytes_in", Some(entry.bytes_in));
    let seconds = |time: std::time::Duration| format!("{:.6}", time.as_secs_f64());
    field(line, "first_byte", entry.first_byte.map(seconds));
    field(line, "duration", Some(seconds(entry.duration)));
    field(line, "cause", entry.cause);
    for (name, value) in entry.headers {
        if name != "referer" && name != "user-agent" {
            let value = String::from_utf8_lossy(value.as_bytes());
            field(line, name.as_str(), Some(value));
        }
    }
}

fn field(line: &mut Vec<u8>, name: &str, value: Option<impl Display>) {
    if let Some(value) = value {
        let _ = write!(line, " {name}=");
        word(line, &value.to_string());
    }
}

/// Text between quotes.
fn quoted(line: &mut Vec<u8>, text: &str) {
    escaped(line, text, |byte| byte == b'"');
}

/// Text that a space ends.
fn word(line: &mut Vec<u8>, text: &str) {
    escaped(line, text, |byte| byte == b'"' || byte == b' ');
}

fn escaped(line: &mut Vec<u8>, text: &str, ends: impl Fn(u8) -> bool) {
    let (text, is_cut) = cut(text);
    for byte in text.bytes() {
        if byte == b'\\' || !(b' '..=b'~').contains(&byte) || ends(byte) {
            let _ = write!(line, "\\x{byte:02x}");
        } else {
            line.push(byte);
        }
    }
    if is_cut {
        line.extend_from_slice(b"...");
    }
}
