//! Whether an HTTP/2 upstream takes extended CONNECT (RFC 8441, section 3).

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::watch,
};

use crate::net::writes_inner;

/// The type of a SETTINGS frame (RFC 9113, section 6.5).
const SETTINGS: u8 = 4;

/// The identifier of SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441, section 9.1).
const ENABLE_CONNECT_PROTOCOL: u16 = 8;

const HEAD: usize = 9;

const SETTING: usize = 6;

/// Tells what a connection offers, once that is known.
pub(super) type Offer = watch::Receiver<Option<bool>>;

/// A connection whose first frame is read along: a server begins with its SETTINGS (RFC 9113, section 3.4). hyper shows what they
/// say, but not when they have come, and nobody may ask for another protocol before.
#[pin_project]
#[derive(Debug)]
pub(super) struct Offering<T> {
    #[pin]
    io: T,
    reading: Option<(FirstFrame, watch::Sender<Option<bool>>)>,
}

impl<T> Offering<T> {
    pub(super) fn new(io: T) -> (Self, Offer) {
        let (sender, offer) = watch::channel(None);
        let reading = Some((FirstFrame::default(), sender));
        (Self { io, reading }, offer)
    }
}

/// As much as is known of the first frame of a connection.
#[derive(Debug, Default)]
struct FirstFrame {
    /// A frame's head, and then one setting after the other.
    buf: [u8; HEAD],
    filled: usize,
    /// What is left of the payload, when the head is complete.
    left: Option<usize>,
    is_enabled: bool,
}

impl FirstFrame {
    /// The answer, when the frame is complete.
    fn see(&mut self, mut bytes: &[u8]) -> Option<bool> {
        loop {
            let piece = match self.left {
                None => HEAD,
                Some(left) if left < SETTING => return Some(self.is_enabled),
                Some(_) => SETTING,
            };
            let (taken, rest) = bytes.split_at(bytes.len().min(piece - self.filled));
            self.buf[self.filled..][..taken.len()].copy_from_slice(taken);
            self.filled += taken.len();
            bytes = rest;
            if self.filled < piece {
                return None;
            }
            self.filled = 0;
            self.left = match self.left {
                None if self.buf[3] != SETTINGS => return Some(false),
                None => {
                    let [high, middle, low, ..] = self.buf;
                    Some(u32::from_be_bytes([0, high, middle, low]) as usize)
                }
                Some(left) => {
                    self.read_setting();
                    Some(left - SETTING)
                }
            };
        }
    }

    fn read_setting(&mut self) {
        let [id_high, id_low, value @ ..] = self.buf;
        if u16::from_be_bytes([id_high, id_low]) == ENABLE_CONNECT_PROTOCOL {
            self.is_enabled = value[..4] == [0, 0, 0, 1];
        }
    }
}

impl<T: AsyncRead> AsyncRead for Offering<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let before = buf.filled().len();
        ready!(this.io.poll_read(cx, buf))?;
        if let Some((frame, sender)) = this.reading
            && let Some(offered) = frame.see(&buf.filled()[before..])
        {
            sender.send_replace(Some(offered));
            *this.reading = None;
        }
        Poll::Ready(Ok(()))
    }
}

writes_inner!(impl [T: AsyncWrite] for Offering<T>: |this| this.project().io);

#[cfg(test)]
mod tests {
    use super::*;

    /// MAX_CONCURRENT_STREAMS, and then the setting in question.
    fn settings(value: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, 12, SETTINGS, 0, 0, 0, 0, 0];
        frame.extend([0, 3, 0, 0, 0, 1]);
        frame.extend([0, 8, 0, 0, 0, value]);
        frame
    }

    #[test]
    fn the_first_settings_say_it_however_they_are_cut() {
        for (value, offered) in [(1, true), (0, false)] {
            for size in 1..=21 {
                let mut frame = FirstFrame::default();
                let bytes = settings(value);
                let mut answers = bytes.chunks(size).map(|piece| frame.see(piece));
                let answer = answers.find_map(|answer| answer);
                assert_eq!(answer, Some(offered), "pieces of {size}");
                assert!(answers.next().is_none(), "known only at the end of the frame");
            }
        }
    }

    #[test]
    fn nothing_is_offered_without_the_setting() {
        let empty = [0, 0, 0, SETTINGS, 0, 0, 0, 0, 0];
        assert_eq!(FirstFrame::default().see(&empty), Some(false));
        assert_eq!(
            FirstFrame::default().see(b"HTTP/1.1 400 Bad Request"),
            Some(false)
        );
        assert_eq!(FirstFrame::default().see(&settings(1)[..20]), None);
    }

    #[test]
    fn what_follows_the_first_frame_is_not_read() {
        let mut bytes = settings(0);
        bytes.extend(settings(1));
        assert_eq!(FirstFrame::default().see(&bytes), Some(false));
    }
}
