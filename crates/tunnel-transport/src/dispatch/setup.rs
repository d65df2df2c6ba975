//! The messages that set a session up.

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

/// What a peer announced; what it left out is the default.
pub(crate) fn session_settings(settings: Option<&pb::Settings>) -> Settings {
    let default = Settings::default();
    let Some(settings) = settings else { return default };
    let or = |value: u32, default: u32| if value == 0 { default } else { value };
    Settings {
        initial_credit: or(settings.initial_credit, default.initial_credit),
        max_chunk: or(settings.max_chunk, default.max_chunk),
        max_exchanges: or(settings.max_exchanges, default.max_exchanges),
        max_head_bytes: or(settings.max_head_bytes, default.max_head_bytes),
        max_fields: or(settings.max_fields, default.max_fields),
    }
    .clamped()
}

/// A message of the ControlStream, or the first of a lane.
pub(crate) fn control(payload: pb::tunnel_message::Payload) -> pb::TunnelMessage {
    pb::TunnelMessage {
        protocol_type: pb::ProtocolType::Control.into(),
        payload: Some(payload),
        ..pb::TunnelMessage::default()
    }
}
