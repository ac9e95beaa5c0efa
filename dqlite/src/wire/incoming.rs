//! [`Incoming`]: messages of bytes that arrive in pieces.

use super::{WORD, WireError};

/// The header of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The type, one of [`answer`](super::answer).
    pub kind: u8,
    /// The format of the body, which only some answers have.
    pub schema: u8,
}

/// Bytes that have arrived and were not taken. Memory grows with the bytes that arrive, not with the length that a header
/// claims.
#[derive(Debug)]
pub struct Incoming {
    buffer: Vec<u8>,
    /// The bytes that were not taken: `buffer[start..end]`.
    start: usize,
    end: usize,
    bytes_max: usize,
}

impl Incoming {
    /// Bytes that are read at once.
    const READ_BYTES: usize = 16 * 1024;

    /// Creates an empty one. A longer body than this is an error.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { buffer: Vec::new(), start: 0, end: 0, bytes_max }
    }

    /// Returns a place for further bytes, of which [`arrived`](Self::arrived) tells the number.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > 64 * Self::READ_BYTES {
                // The memory of a large value is not kept.
                self.buffer = Vec::new();
            }
        }
        if self.buffer.len() - self.end < Self::READ_BYTES / 2 {
            self.buffer.drain(..self.start);
            (self.start, self.end) = (0, self.end - self.start);
            // As much as has arrived, so that each byte is moved a few times at most.
            self.buffer.resize(self.end + self.end.max(Self::READ_BYTES), 0);
        }
        &mut self.buffer[self.end..]
    }

    /// Takes the first `bytes` of the place as arrived.
    pub fn arrived(&mut self, bytes: usize) {
        self.end = (self.end + bytes).min(self.buffer.len());
    }

    /// Whether part of a message has arrived.
    #[must_use]
    pub fn is_within_message(&self) -> bool {
        self.start != self.end
    }

    /// Takes the next message if it has arrived whole. Its body replaces the content of `body`.
    ///
    /// # Errors
    ///
    /// [`WireError`] if it is too long.
    pub fn next(&mut self, body: &mut Vec<u8>) -> Result<Option<Header>, WireError> {
        let Some((header, rest)) = self.buffer[self.start..self.end].split_first_chunk::<WORD>() else {
            return Ok(None);
        };
        let [w0, w1, w2, w3, kind, schema, _, _] = *header;
        let bytes =
            usize::try_from(u32::from_le_bytes([w0, w1, w2, w3])).ok().and_then(|words| words.checked_mul(WORD));
        let bytes = bytes.filter(|&bytes| bytes <= self.bytes_max).ok_or(WireError("an answer is too long"))?;
        let Some(found) = rest.get(..bytes) else {
            return Ok(None);
        };
        body.clear();
        body.extend_from_slice(found);
        self.start += WORD + bytes;
        Ok(Some(Header { kind, schema }))
    }
}
