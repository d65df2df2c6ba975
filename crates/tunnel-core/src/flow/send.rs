//! What one end may send.

use crate::message::MESSAGE_COST;

/// Pieces of a body are not cut smaller than this for want of credit (RFC 9293, section 3.8.6.2.1, has the reasons).
const SMALLEST_CUT: usize = 4 * 1024;

/// The least piece that a body is cut to for want of credit, where windows have so many bytes.
const fn smallest_cut(window: usize) -> usize {
    match window / 4 {
        0 => 1,
        quarter if quarter < SMALLEST_CUT => quarter,
        _ => SMALLEST_CUT,
    }
}

/// What a sender that waits for credit may have left of a window, in bytes, since no piece fits into it.
pub(super) const fn most_left(window: usize) -> usize {
    smallest_cut(window) + MESSAGE_COST - 1
}

/// More credit was granted than can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow;

/// What one end may still send in one direction.
#[derive(Debug)]
pub struct SendCredit {
    available: usize,
    smallest_cut: usize,
}

impl SendCredit {
    /// The largest credit there can be, in bytes (RFC 9113, section 6.9.1, has the same).
    pub const MAX: usize = (1 << 31) - 1;

    /// Starts with `available` bytes, of windows that are `window` bytes large; less is available while the other end
    /// holds credit back.
    #[must_use]
    pub fn new(available: u32, window: u32) -> Self {
        Self {
            available: available as usize,
            smallest_cut: smallest_cut(window as usize),
        }
    }

    /// The bytes that are left.
    #[must_use]
    pub fn available(&self) -> usize {
        self.available
    }

    /// Whether [`take`](Self::take) would give anything for a body of unknown size.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.available >= self.smallest_cut + MESSAGE_COST
    }

    /// Takes credit for at most `wanted` bytes of body, and says for how many; `None` when it must wait for more.
    ///
    /// A piece is cut short only to a useful size. That never waits for ever: the receiver returns credit when half of
    /// its window is unclaimed, if not before, and less than a quarter of it is left here.
    pub fn take(&mut self, wanted: usize) -> Option<usize> {
        let room = self.available.saturating_sub(MESSAGE_COST);
        let piece = wanted.min(room);
        if piece == 0 || (piece < wanted && piece < self.smallest_cut) {
            return None;
        }
        self.available -= piece + MESSAGE_COST;
        Some(piece)
    }

    /// Takes credit for a piece of a frame, with at most `wanted` bytes: as [`take`](Self::take), but an empty frame costs its
    /// message too.
    pub fn take_frame(&mut self, wanted: usize) -> Option<usize> {
        if wanted > 0 {
            return self.take(wanted);
        }
        self.available = self.available.checked_sub(MESSAGE_COST)?;
        Some(0)
    }

    /// Gives back what was taken and not sent.
    pub fn refund(&mut self, bytes: usize) {
        self.available += bytes;
    }

    /// Adds what the receiver has returned.
    ///
    /// # Errors
    ///
    /// [`Overflow`] beyond [`MAX`](Self::MAX): the peer counts wrongly.
    pub fn grow(&mut self, bytes: u32) -> Result<(), Overflow> {
        match self.available.checked_add(bytes as usize) {
            Some(sum) if sum <= Self::MAX => {
                self.available = sum;
                Ok(())
            }
            _ => Err(Overflow),
        }
    }
}
