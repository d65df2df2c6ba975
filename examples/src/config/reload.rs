//! How a file is watched while the program runs.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, de};
use tunnel_transport::files;

use super::units::Time;

/// `reload:` of a file.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawReload {
    interval: Option<Interval>,
}

impl RawReload {
    /// How often the files are looked at; never if only a signal asks for it.
    pub(super) fn interval(self) -> Option<Duration> {
        match self.interval {
            None => Some(files::DEFAULT_INTERVAL),
            Some(Interval(interval)) => interval.map(|time| time.max(files::SHORTEST_INTERVAL)),
        }
    }
}

/// A time, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Interval(Option<Duration>);

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Interval;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as 2s, or off,")
            }

            fn visit_bool<E: de::Error>(self, is_on: bool) -> Result<Interval, E> {
                match is_on {
                    false => Ok(Interval(None)),
                    true => Err(E::custom("say how often: write a time such as 2s, or off")),
                }
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Interval, E> {
                match text {
                    "off" => Ok(Interval(None)),
                    text => Time::deserialize(de::value::StrDeserializer::new(text))
                        .map(|time| Interval(Some(time.0))),
                }
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
