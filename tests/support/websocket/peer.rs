//! Either end of a connection, after the handshake.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, split};

use super::{
    Frame, Header, Wire,
    frame::{mask, opcode},
};

/// How much is read at once.
const READ: usize = 64 * 1024;

/// How much of a flood is written at once.
const PIECE: usize = 16 * 1024;

/// One end of a connection. It answers nothing by itself, and asserts of every frame that the right side has masked it.
#[derive(Debug)]
pub struct Peer {
    wire: Wire,
    read: BytesMut,
    is_client: bool,
    sending: Option<([u8; 4], u64)>,
    receiving: Option<([u8; 4], u64, u64)>,
}

/// How the bytes of the other end ended.
#[derive(Debug)]
pub enum End {
    /// Between two frames, as they should.
    Clean,
    /// Otherwise; an end within a frame is an unexpected end of the file.
    Broken(io::Error),
}

impl Peer {
    /// The end that masks; `read` has come already.
    #[must_use]
    pub const fn client(wire: Wire, read: BytesMut) -> Self {
        Self::new(wire, read, true)
    }

    /// The end that does not mask; `read` has come already.
    #[must_use]
    pub const fn server(wire: Wire, read: BytesMut) -> Self {
        Self::new(wire, read, false)
    }

    const fn new(wire: Wire, read: BytesMut, is_client: bool) -> Self {
        Self {
            wire,
            read,
            is_client,
            sending: None,
            receiving: None,
        }
    }

    /// Sends a frame.
    ///
    /// # Panics
    ///
    /// When the connection does not take it.
    pub async fn send(&mut self, frame: &Frame) {
        self.try_send(frame).await.expect("the connection takes a frame");
    }

    /// Sends these frames together.
    ///
    /// # Panics
    ///
    /// When the connection does not take them.
    pub async fn send_all<'a>(&mut self, frames: impl IntoIterator<Item = &'a Frame>) {
        let mut bytes = BytesMut::new();
        for frame in frames {
            self.encode(frame, &mut bytes);
        }
        self.send_bytes(&bytes)
            .await
            .expect("the connection takes frames");
    }

    /// Sends a frame.
    ///
    /// # Errors
    ///
    /// The connection is broken.
    pub async fn try_send(&mut self, frame: &Frame) -> io::Result<()> {
        let mut bytes = BytesMut::new();
        self.encode(frame, &mut bytes);
        self.send_bytes(&bytes).await
    }

    /// Sends these bytes as they are.
    ///
    /// # Errors
    ///
    /// The connection is broken.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.write_all(bytes).await?;
        self.wire.flush().await
    }

    fn encode(&self, frame: &Frame, out: &mut BytesMut) {
        let key = self.is_client.then(rand::random);
        frame.header(key).encode(out);
        let start = out.len();
        out.extend_from_slice(&frame.payload);
        mask(&mut out[start..], key.unwrap_or_default(), 0);
    }

    /// Begins a frame of which the payload follows in pieces. A client's mask is zero, so that gigabytes are quick.
    ///
    /// # Panics
    ///
    /// When the connection does not take it.
    pub async fn send_header(&mut self, fin: bool, opcode: u8, len: u64) {
        let key = [0; 4];
        let header = Header {
            fin,
            reserved: 0,
            opcode,
            mask: self.is_client.then_some(key),
            len,
        };
        let mut bytes = BytesMut::new();
        header.encode(&mut bytes);
        self.sending = Some((key, 0));
        self.send_bytes(&bytes)
            .await
            .expect("the connection takes a header");
    }

    /// Sends the next piece of the frame that was begun.
    ///
    /// # Errors
    ///
    /// The connection is broken.
    ///
    /// # Panics
    ///
    /// When none was begun.
    pub async fn send_payload(&mut self, piece: &[u8]) -> io::Result<()> {
        let (_, offset) = self.sending.as_mut().expect("a frame was begun");
        *offset += piece.len() as u64;
        self.wire.write_all(piece).await
    }

    /// Sends the payload of one frame without an end, until the other end is gone: no more is taken, or its direction ends. Tells
    /// of every piece, and asserts that nothing comes back.
    ///
    /// # Panics
    ///
    /// When something does.
    pub async fn flood(&mut self, mut sent: impl FnMut(usize)) {
        self.send_header(true, opcode::BINARY, 1 << 40).await;
        let (mut reader, mut writer) = split(&mut self.wire);
        let sending = async {
            while writer.write_all(&[0; PIECE]).await.is_ok() {
                sent(PIECE);
            }
        };
        let mut byte = [0];
        tokio::select! {
            () = sending => {}
            read = reader.read(&mut byte) => assert!(matches!(read, Ok(0) | Err(_)), "{byte:?}"),
        }
    }

    /// The next frame.
    ///
    /// # Panics
    ///
    /// When none comes.
    pub async fn recv(&mut self) -> Frame {
        self.try_recv().await.expect("a frame comes")
    }

    /// The next frame.
    ///
    /// # Errors
    ///
    /// The connection ended.
    ///
    /// # Panics
    ///
    /// When it is masked and should not be, or the other way round.
    pub async fn try_recv(&mut self) -> Result<Frame, End> {
        let header = self.recv_header().await?;
        let len = usize::try_from(header.len).expect("it fits into memory");
        let mut payload = BytesMut::with_capacity(len.min(READ));
        while payload.len() < len {
            payload.extend_from_slice(&self.recv_payload(READ).await?);
        }
        Ok(Frame {
            fin: header.fin,
            reserved: header.reserved,
            opcode: header.opcode,
            payload: payload.freeze(),
        })
    }

    /// The beginning of the next frame; the payload is read with [`recv_payload`](Self::recv_payload).
    ///
    /// # Errors
    ///
    /// The connection ended.
    ///
    /// # Panics
    ///
    /// When it is masked and should not be, or the other way round.
    pub async fn recv_header(&mut self) -> Result<Header, End> {
        loop {
            if let Some(header) = Header::decode(&mut self.read) {
                assert_eq!(header.mask.is_some(), !self.is_client, "only clients mask");
                self.receiving = Some((header.mask.unwrap_or_default(), 0, header.len));
                return Ok(header);
            }
            if self.more().await.map_err(End::Broken)? == 0 {
                return Err(if self.read.is_empty() { End::Clean } else { cut() });
            }
        }
    }

    /// At most `limit` more bytes of the frame whose header was read, or none at its end.
    ///
    /// # Errors
    ///
    /// The connection ended.
    ///
    /// # Panics
    ///
    /// When no header was read.
    pub async fn recv_payload(&mut self, limit: usize) -> Result<Bytes, End> {
        let (key, offset, len) = self.receiving.expect("a header was read");
        let left = (len - offset).min(limit as u64) as usize;
        if left == 0 {
            return Ok(Bytes::new());
        }
        if self.read.is_empty() && self.more().await.map_err(End::Broken)? == 0 {
            return Err(cut());
        }
        let mut piece = self.read.split_to(left.min(self.read.len()));
        mask(&mut piece, key, offset);
        self.receiving = Some((key, offset + piece.len() as u64, len));
        Ok(piece.freeze())
    }

    /// Exactly so many bytes, whatever they mean.
    ///
    /// # Panics
    ///
    /// When the connection ends before.
    pub async fn recv_bytes(&mut self, len: usize) -> Bytes {
        while self.read.len() < len {
            let read = self.more().await.expect("the connection is not broken");
            assert_ne!(read, 0, "the connection ended after {:?}", self.read);
        }
        self.read.split_to(len).freeze()
    }

    /// How the connection ends.
    ///
    /// # Panics
    ///
    /// When a frame comes instead.
    pub async fn ended(&mut self) -> End {
        match self.try_recv().await {
            Ok(frame) => panic!("{frame:?} comes instead of the end"),
            Err(end) => end,
        }
    }

    /// Both ends of a close, begun here: sends it, and gives what comes back.
    pub async fn close(&mut self, code: u16, reason: &str) -> Frame {
        self.send(&Frame::close(code, reason)).await;
        loop {
            let frame = self.recv().await;
            if frame.opcode == opcode::CLOSE {
                return frame;
            }
        }
    }

    /// Ends this direction, and no other.
    ///
    /// # Panics
    ///
    /// When the connection is broken.
    pub async fn finish(&mut self) {
        self.wire.shutdown().await.expect("the connection can be ended");
    }

    /// The connection, and what was read from it and not taken.
    #[must_use]
    pub fn into_parts(self) -> (Wire, BytesMut) {
        (self.wire, self.read)
    }

    /// Breaks the connection off.
    pub fn reset(self) {
        self.wire.reset();
    }

    async fn more(&mut self) -> io::Result<usize> {
        self.read.reserve(READ);
        self.wire.read_buf(&mut self.read).await
    }
}

fn cut() -> End {
    End::Broken(io::ErrorKind::UnexpectedEof.into())
}
