//! Lines of JSON, in one pass.

use tunnel_core::{RequestId, TraceId};

use super::{
    Entry, digits,
    entry::cut,
    time::{self, version},
};

/// A field: its name, with what stands around it, is a constant.
macro_rules! field {
    // What has nothing to escape.
    ($line:ident, $name:literal, word $value:expr) => {
        if let Some(value) = $value {
            $line.extend_from_slice(concat!(",\"", $name, "\":\"").as_bytes());
            $line.extend_from_slice(value.as_bytes());
            $line.push(b'"');
        }
    };
    ($line:ident, $name:literal, text $value:expr) => {
        if let Some(value) = $value {
            $line.extend_from_slice(concat!(",\"", $name, "\":").as_bytes());
            string($line, value);
        }
    };
    // What another function writes.
    ($line:ident, $name:literal, $write:path, $value:expr) => {
        if let Some(value) = $value {
            $line.extend_from_slice(concat!(",\"", $name, "\":").as_bytes());
            $write($line, value);
        }
    };
}

/// What the names take, and what is between the values.
const AROUND: usize = 400;

pub(super) fn write(entry: &Entry<'_>, line: &mut Vec<u8>) {
    line.reserve(AROUND + entry.authority.len() + entry.path.len());
    line.extend_from_slice(b"{\"time\":\"");
    time::rfc3339(line, entry.time);
    line.push(b'"');
    let mut text = [0; RequestId::TEXT_LEN];
    field!(line, "request_id", word entry.request_id.map(|id| id.text(&mut text)));
    field!(line, "trace_id", word entry.trace_id.as_ref().map(TraceId::as_str));
    if let Some(peer) = &entry.peer {
        line.extend_from_slice(b",\"peer\":\"");
        digits::address(line, peer);
        line.push(b'"');
    }
    field!(line, "principal", text entry.principal);
    field!(line, "method", text Some(entry.method.as_str()));
    field!(line, "authority", text Some(entry.authority));
    field!(line, "path", text Some(entry.path));
    field!(line, "version", word Some(version(entry.version)));
    field!(line, "protocol", word Some(entry.protocol.word()));
    field!(line, "rule", text entry.rule);
    field!(line, "group", text entry.group.map(|group| group.as_str()));
    field!(line, "agent", text entry.agent.map(|agent| agent.as_str()));
    field!(line, "upstream", text entry.upstream);
    field!(line, "endpoint", text entry.endpoint);
    let attempts = (entry.attempts > 1).then(|| entry.attempts.into());
    field!(line, "attempts", digits::number, attempts);
    let status = entry.status.map(|status| status.as_u16().into());
    field!(line, "status", digits::number, status);
    field!(
        line,
        "grpc_status",
        digits::number,
        entry.grpc_status.map(u64::from)
    );
    field!(line, "bytes_in", digits::number, Some(entry.bytes_in));
    field!(line, "bytes_out", digits::number, Some(entry.bytes_out));
    field!(line, "first_byte", digits::seconds, entry.first_byte);
    field!(line, "duration", digits::seconds, Some(entry.duration));
    field!(line, "cause", word entry.cause);
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

/// A text between quotes, as RFC 8259, section 7, wants it.
fn string(line: &mut Vec<u8>, value: &str) {
    let (value, is_cut) = cut(value);
    line.push(b'"');
    // Without an early end, so that many bytes are looked at at once.
    let is_plain = value.bytes().fold(true, |plain, byte| plain & !has_escape(byte));
    if is_plain {
        line.extend_from_slice(value.as_bytes());
    } else {
        escaped(line, value);
    }
    if is_cut {
        line.extend_from_slice(b"...");
    }
    line.push(b'"');
}

const fn has_escape(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\')
}

#[cold]
fn escaped(line: &mut Vec<u8>, value: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for byte in value.bytes() {
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            0..b' ' => {
                line.extend_from_slice(b"\\u00");
                line.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
                continue;
            }
            _ => {
                line.push(byte);
                continue;
            }
        };
        line.extend_from_slice(&[b'\\', short]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_what_every_reader_of_json_reads() {
        let all: String = (0..=0x7f)
            .map(char::from)
            .chain("äß€😀\u{2028}".chars())
            .collect();
        for text in ["", "plain", "\"", "\\", "a\u{1}b", &all] {
            let mut line = Vec::new();
            string(&mut line, text);
            assert_eq!(serde_json::from_slice::<String>(&line).unwrap(), text);
            assert_eq!(
                String::from_utf8(line).unwrap(),
                serde_json::to_string(text).unwrap()
            );
        }
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let mut line = Vec::new();
        string(&mut line, &"x".repeat(5_000));
        assert_eq!(line.len(), super::super::MAX_FIELD_BYTES + 5);
        assert!(line.ends_with(b"x...\""));
    }
}
