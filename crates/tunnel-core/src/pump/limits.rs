//! What the other end takes of a head and of trailers. Sending more would cost the exchange at best, and the whole session
//! where a message outgrows what a codec reads.

use crate::{
    admit::fields_len,
    error::{Cause, Initiator, TunnelError},
    message::{End, Payload},
    settings::Settings,
};

/// Holds the head and the trailers of a message against the settings of the end that is to get it, and says how many bytes the
/// head has.
pub(super) fn check(payload: &Payload, is_request: bool, settings: &Settings) -> Result<usize, TunnelError> {
    let max_bytes = settings.max_head_bytes as usize;
    let max_fields = settings.max_fields as usize;
    let (head, end) = match payload {
        Payload::Request(start) => (
            Some((start.head.byte_len(), start.head.field_count())),
            &start.end,
        ),
        Payload::Response(start) => (
            Some((start.head.byte_len(), start.head.field_count())),
            &start.end,
        ),
        Payload::Data(data) => (None, &data.end),
        _ => return Ok(0),
    };
    if head.is_some_and(|(bytes, fields)| bytes > max_bytes || fields > max_fields) {
        return Err(too_large(is_request, "head"));
    }
    let trailers = end.as_ref().and_then(|End { trailers }| trailers.as_deref());
    if trailers.is_some_and(|trailers| fields_len(trailers) > max_bytes || trailers.len() > max_fields) {
        return Err(too_large(is_request, "trailer section"));
    }
    Ok(head.map_or(0, |(bytes, _)| bytes))
}

fn too_large(is_request: bool, what: &str) -> TunnelError {
    if is_request {
        let text = format!("the request's {what} is larger than the tunnel takes");
        TunnelError::new(Cause::HeadTooLarge, Initiator::Caller, text)
    } else {
        let text = format!("the response's {what} is larger than the tunnel takes");
        TunnelError::new(Cause::Upstream, Initiator::Peer, text)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, StatusCode};

    use super::*;
    use crate::{
        head::ResponseHead,
        message::{Data, ResponseStart},
    };

    const SETTINGS: Settings = Settings {
        initial_credit: 1024,
        max_chunk: 1024,
        max_exchanges: 1,
        max_head_bytes: 4096,
        max_fields: 16,
    };

    fn fields(count: usize, bytes: usize) -> HeaderMap {
        let value = HeaderValue::try_from("v".repeat(bytes)).unwrap();
        (0..count).fold(HeaderMap::new(), |mut fields, _| {
            fields.append("x", value.clone());
            fields
        })
    }

    fn head(headers: HeaderMap) -> Payload {
        let head = ResponseHead {
            upgrade: None,
            status: StatusCode::OK,
            headers,
        };
        Payload::Response(Box::new(ResponseStart {
            head,
            data: bytes::Bytes::new(),
            end: None,
        }))
    }

    fn trailers(fields: HeaderMap) -> Payload {
        Payload::Data(Data {
            data: bytes::Bytes::new(),
            end: Some(End {
                trailers: Some(Box::new(fields)),
            }),
        })
    }

    #[test]
    fn head_and_trailers_are_bounded_in_bytes_and_fields() {
        for (fields, fits) in [
            (fields(16, 1), true),
            (fields(17, 1), false),
            (fields(1, 4000), true),
            (fields(1, 4096), false),
        ] {
            for payload in [head(fields.clone()), trailers(fields)] {
                let cause =
                    |is_request| check(&payload, is_request, &SETTINGS).map_err(|error| error.cause());
                assert_eq!(cause(true).is_ok(), fits);
                if !fits {
                    assert_eq!(
                        (cause(true), cause(false)),
                        (Err(Cause::HeadTooLarge), Err(Cause::Upstream))
                    );
                }
            }
        }
    }
}
