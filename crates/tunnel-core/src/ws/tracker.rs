//! Where frames begin and end in a stream of bytes.

use super::{FrameError, FrameHead, HeadReader, opcode};

/// Follows the raw bytes of one direction, without changing them: says whether they stand at the border of a frame, and which
/// frames they are.
#[derive(Clone, Debug, Default)]
pub struct Tracker {
    head: HeadReader,
    /// Bytes of the frame's payload that have not come yet.
    rest: u64,
    has_close: bool,
}

/// Bytes that belong to one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many bytes, at least one: a part of the head up to its end, or a part of the payload up to its end.
    pub len: usize,
    /// The head that these bytes complete.
    pub head: Option<FrameHead>,
    /// Whether the frame ends with these bytes.
    pub ends: bool,
}

impl Tracker {
    /// A tracker at the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The first bytes of `bytes` that belong to one frame, head or payload; `None` if there are no bytes. Call it again with
    /// what stands behind them.
    ///
    /// # Errors
    ///
    /// The bytes are no frame. The tracker is of no use then.
    pub fn step(&mut self, bytes: &[u8]) -> Result<Option<Step>, FrameError> {
        if bytes.is_empty() {
            return Ok(None);
        }
        if self.rest > 0 {
            let len = usize::try_from(self.rest).map_or(bytes.len(), |rest| rest.min(bytes.len()));
            self.rest -= len as u64;
            let (head, ends) = (None, self.rest == 0);
            return Ok(Some(Step { len, head, ends }));
        }
        let (len, head) = self.head.read(bytes)?;
        if let Some(head) = head {
            self.rest = head.length;
            self.has_close |= head.opcode == opcode::CLOSE;
        }
        let ends = head.is_some_and(|head| head.length == 0);
        Ok(Some(Step { len, head, ends }))
    }

    /// Follows all of `bytes`.
    ///
    /// # Errors
    ///
    /// As [`step`](Self::step).
    pub fn follow(&mut self, mut bytes: &[u8]) -> Result<(), FrameError> {
        while let Some(step) = self.step(bytes)? {
            bytes = &bytes[step.len..];
        }
        Ok(())
    }

    /// Whether all frames that have begun have ended, so that another one may begin here.
    #[must_use]
    pub const fn is_at_border(&self) -> bool {
        self.rest == 0 && self.head.is_empty()
    }

    /// Whether the head of a Close has passed.
    #[must_use]
    pub const fn has_close(&self) -> bool {
        self.has_close
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::Index};

    use super::*;

    fn frame(opcode: u8, mask: Option<[u8; 4]>, length: usize) -> Vec<u8> {
        let head = FrameHead {
            fin: true,
            rsv: 0,
            opcode,
            mask,
            length: length as u64,
        };
        [&head.encode()[..], &vec![0x88; length]].concat()
    }

    #[test]
    fn a_border_is_where_a_frame_has_ended() {
        let bytes = frame(opcode::BINARY, Some([1; 4]), 3);
        let mut tracker = Tracker::new();
        for (index, byte) in bytes.iter().enumerate() {
            assert_eq!(tracker.is_at_border(), index == 0);
            tracker.follow(&[*byte]).unwrap();
        }
        assert!(tracker.is_at_border() && !tracker.has_close());
        assert_eq!(tracker.step(&[]), Ok(None));
    }

    #[test]
    fn a_close_is_seen_and_a_payload_that_looks_like_one_is_not() {
        let mut tracker = Tracker::new();
        tracker.follow(&frame(opcode::TEXT, None, 300)).unwrap();
        assert!(!tracker.has_close());
        tracker.follow(&frame(opcode::CLOSE, None, 0)).unwrap();
        assert!(tracker.has_close() && tracker.is_at_border());
    }

    #[test]
    fn steps_stop_at_the_end_of_head_and_payload() {
        let bytes = [frame(opcode::PONG, None, 2), frame(opcode::PING, None, 0)].concat();
        let mut tracker = Tracker::new();
        let mut at = 0;
        let mut steps = Vec::new();
        while let Some(step) = tracker.step(&bytes[at..]).unwrap() {
            at += step.len;
            steps.push((step.len, step.head.map(|head| head.opcode), step.ends));
        }
        let expected = [
            (2, Some(opcode::PONG), false),
            (2, None, true),
            (2, Some(opcode::PING), true),
        ];
        assert_eq!(steps, expected);
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(lengths in vec(0..300_usize, 0..8), cuts in vec(any::<Index>(), 0..20)) {
            let bytes: Vec<u8> = lengths.iter().flat_map(|length| frame(2, None, *length)).collect();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut tracker = Tracker::new();
            let mut frames = 0;
            for pair in cuts.windows(2) {
                let mut part = &bytes[pair[0]..pair[1]];
                while let Some(step) = tracker.step(part).unwrap() {
                    prop_assert!(step.len > 0);
                    part = &part[step.len..];
                    frames += usize::from(step.ends);
                }
            }
            prop_assert_eq!(frames, lengths.len());
            prop_assert!(tracker.is_at_border());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..200)) {
            let _ = Tracker::new().follow(&bytes);
        }
    }
}
