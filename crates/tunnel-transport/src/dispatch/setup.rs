//! The messages that set a session up.

use std::ops::RangeInclusive;

use tunnel_core::Settings;

use crate::generated as pb;

/// The revision of the protocol that this speaks.
pub(crate) const REVISION: u32 = 1;

pub(crate) fn wire_settings(settings: Settings) -> pb::Settings {
    let Settings {
        initial_credit,
        max_chunk,
        max_exchanges,
        max_head_bytes,
        max_fields,
    } = settings;
    pb::Settings {
        initial_credit,
        max_chunk,
        max_exchanges,
        max_head_bytes,
        max_fields,
    }
}

/// What a peer announced. The text of an error names the field, and what would be right.
///
/// A value out of its bounds must not be brought into them here: this end would then send what the peer does not take.
pub(crate) fn session_settings(settings: Option<&pb::Settings>) -> Result<Settings, String> {
    let Some(settings) = settings else {
        return Err("settings is missing".to_owned());
    };
    let within = |field: &str, value: u32, bounds: RangeInclusive<u32>| {
        if bounds.contains(&value) {
            return Ok(value);
        }
        let (least, most) = bounds.into_inner();
        let bounds = match most {
            u32::MAX => format!("at least {least}"),
            most => format!("{least} to {most}"),
        };
        Err(format!("settings.{field} is {value}, and must be {bounds}"))
    };
    let max_head = Settings::MAX_HEAD_BYTES;
    Ok(Settings {
        initial_credit: within(
            "initial_credit",
            settings.initial_credit,
            Settings::MIN_BYTES..=u32::MAX,
        )?,
        max_chunk: within(
            "max_chunk",
            settings.max_chunk,
            Settings::MIN_BYTES..=Settings::MAX_CHUNK,
        )?,
        max_exchanges: within("max_exchanges", settings.max_exchanges, 1..=u32::MAX)?,
        max_head_bytes: within(
            "max_head_bytes",
            settings.max_head_bytes,
            4 * Settings::MIN_BYTES..=max_head,
        )?,
        max_fields: within("max_fields", settings.max_fields, 16..=512)?,
    })
}

/// A message of the ControlStream, or the first of a lane.
pub(crate) fn control(payload: pb::tunnel_message::Payload) -> pb::TunnelMessage {
    pb::TunnelMessage {
        protocol_type: pb::ProtocolType::Control.into(),
        payload: Some(payload),
        ..pb::TunnelMessage::default()
    }
}
