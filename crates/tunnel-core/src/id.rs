//! Names of things.

use std::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
    sync::Arc,
};

use uuid::Uuid;

/// The longest name of an agent or a group, in bytes: long enough for a DNS name, short enough for a log line.
pub const MAX_NAME_BYTES: usize = 253;

/// The name of one exchange: a UUID (version 7, RFC 9562) in text form on the wire, never reused in a session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(Uuid);

impl Hash for RequestId {
    /// As one number, which is all that the maps of a session want to see.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.0.as_u128());
    }
}

impl RequestId {
    /// The id of messages that belong to no exchange; empty on the wire.
    pub const NIL: Self = Self(Uuid::nil());

    /// A new id from the milliseconds since the Unix epoch and ten random bytes.
    #[must_use]
    pub fn from_parts(unix_millis: u64, random: [u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(unix_millis, &random).into_uuid())
    }

    /// The bytes of the text form.
    pub const TEXT_LEN: usize = uuid::fmt::Hyphenated::LENGTH;

    /// The text form, as it stands on the wire, written into `text`.
    pub fn text<'a>(&self, text: &'a mut [u8; Self::TEXT_LEN]) -> &'a str {
        self.0.hyphenated().encode_lower(text)
    }

    /// The id with this text form.
    ///
    /// # Errors
    ///
    /// If it is that of no UUID.
    pub fn from_text(text: &[u8]) -> Result<Self, InvalidId> {
        Uuid::try_parse_ascii(text).map(Self).map_err(|_| InvalidId)
    }

    /// Whether this is [`NIL`](Self::NIL).
    #[must_use]
    pub fn is_nil(&self) -> bool {
        self.0.is_nil()
    }
}

impl FromStr for RequestId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Uuid::try_parse(text).map(Self).map_err(|_| InvalidId)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A text that is no UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id must be a UUID in text form, such as 0191e9a2-7b6d-7cc0-98c5-0a1b2c3d4e5f")]
pub struct InvalidId;

macro_rules! random_id {
    ($( $(#[$doc:meta])* $name:ident; )+) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// From sixteen random bytes.
            #[must_use]
            pub fn from_random(random: [u8; 16]) -> Self {
                Self(uuid::Builder::from_random_bytes(random).into_uuid())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::try_parse(text).map(Self).map_err(|_| InvalidId)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    )+ };
}

random_id! {
    /// The name of one agent connection, given by the gateway.
    SessionId;
    /// The name of one agent process, made at its start.
    InstanceId;
}

/// The `trace-id` of a W3C `traceparent`: 32 hexadecimal digits in lower case (Trace Context, section 3.2.2.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 32]);

impl TraceId {
    /// The trace id with this text; `None` for any other text.
    #[must_use]
    pub fn from_text(text: &[u8]) -> Option<Self> {
        let digits: [u8; 32] = text.try_into().ok()?;
        let is_digit = |byte: u8| byte.is_ascii_digit() | (b'a'..=b'f').contains(&byte);
        // Without a branch for each digit.
        let are_digits = digits.iter().fold(true, |all, byte| all & is_digit(*byte));
        are_digits.then_some(Self(digits))
    }

    /// The trace id of these digits, which have to be hexadecimal ones in lower case.
    #[must_use]
    pub const fn from_digits(digits: [u8; 32]) -> Self {
        Self(digits)
    }

    /// The 32 digits, as they stand on the wire.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The same as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The secret that every lane of a session must show. `Debug` does not print it.
#[derive(Clone, PartialEq, Eq)]
pub struct LaneKey([u8; 16]);

impl LaneKey {
    /// A key from sixteen random bytes.
    #[must_use]
    pub const fn new(random: [u8; 16]) -> Self {
        Self(random)
    }

    /// The bytes, for the wire and for a comparison in constant time.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for LaneKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LaneKey(..)")
    }
}

/// A text that cannot be the name of an agent or a group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name: use 1 to 253 of the characters a-z, A-Z, 0-9, '-', '_' and '.'")]
pub struct InvalidName(String);

macro_rules! name {
    ($( $(#[$doc:meta])* $name:ident; )+) => { $(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text that is shared.
            #[must_use]
            pub const fn as_shared(&self) -> &Arc<str> {
                &self.0
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                if is_name(text) { Ok(Self(text.into())) } else { Err(InvalidName(text.chars().take(64).collect())) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    )+ };
}

name! {
    /// The name of an agent: 1 to 253 of the characters `a-z A-Z 0-9 - _ .`.
    AgentId;
    /// The name of a group, the agents that serve the same routes: the same characters as an [`AgentId`].
    GroupName;
}

fn is_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_a_v7_uuid_and_comes_back_from_text() {
        let id = RequestId::from_parts(1_700_000_000_000, [7; 10]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.0.get_version_num(), 7);
        assert_eq!("".parse::<RequestId>(), Err(InvalidId));
    }

    #[test]
    fn a_trace_id_is_32_digits_in_lower_case() {
        let text = "4bf92f3577b34da6a3ce929d0e0e4736";
        let id = TraceId::from_text(text.as_bytes()).unwrap();
        assert_eq!(
            (id.as_str(), format!("{id} {id:?}")),
            (text, format!("{text} {text}"))
        );
        let bad = [
            "",
            "4bf92f3577b34da6a3ce929d0e0e473",
            "4BF92F3577B34DA6A3CE929D0E0E4736",
            "4bf92f3577b34da6a3ce929d0e0e473g",
            "4bf92f3577b34da6a3ce929d0e0e47360",
            "4bf92f3577b34da6a3ce929d0e0e473\u{7f}",
        ];
        for bad in bad {
            assert_eq!(TraceId::from_text(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn names_are_checked() {
        assert!("billing-eu.1".parse::<GroupName>().is_ok());
        for bad in ["", "a b", "a/b", "é", &"x".repeat(254)] {
            assert!(bad.parse::<AgentId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_lane_key_is_not_printed() {
        assert_eq!(format!("{:?}", LaneKey::new([42; 16])), "LaneKey(..)");
    }
}
