//! The parts of the database file format that a scan needs: header, varints, page headers, records.
//!
//! <https://sqlite.org/fileformat2.html>

use std::fmt;

/// Position and description of content that does not decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) kind: DamageKind,
    pub(crate) page: u32,
    /// The cell of the page, 0-based.
    pub(crate) cell: Option<usize>,
    pub(crate) what: &'static str,
}

/// Kind of damage, which determines how the scan continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DamageKind {
    /// SQLite decides: it either tolerates the content or returns an error.
    Malformed,
    /// The file ends before the page does. For some pages SQLite would fill the missing part with zeros.
    CutOff,
    /// SQLite might never stop reading.
    Endless,
}

impl Damage {
    #[cold]
    pub(crate) fn of_page(page: u32, what: &'static str) -> Self {
        Self { kind: DamageKind::Malformed, page, cell: None, what }
    }

    #[cold]
    pub(crate) fn of_cell(page: u32, cell: usize, what: &'static str) -> Self {
        Self { kind: DamageKind::Malformed, page, cell: Some(cell), what }
    }

    #[cold]
    pub(crate) fn cut_off(page: u32) -> Self {
        Self { kind: DamageKind::CutOff, page, cell: None, what: "the file ends within it" }
    }

    #[cold]
    pub(crate) fn endless(page: u32) -> Self {
        Self { kind: DamageKind::Endless, page, cell: None, what: "a page is used twice" }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "page {}", self.page)?;
        if let Some(cell) = self.cell {
            write!(f, ", cell {cell}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Text encoding of a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Encoding {
    #[default]
    Utf8,
    Utf16 {
        is_big_endian: bool,
    },
}

/// Header of the database, from the first page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) page_bytes: usize,
    /// Page size without the bytes reserved at the end of each page.
    pub(crate) usable_bytes: usize,
    /// Whether the file is to be read with a write-ahead log.
    pub(crate) has_log: bool,
    pub(crate) encoding: Encoding,
    /// Number of pages; `None` if the last writer was a version of SQLite that does not maintain it.
    pub(crate) pages: Option<u32>,
    /// Schema cookie, which changes with each change of the schema.
    pub(crate) schema_version: u32,
    /// Whether the file has pointer-map pages (auto-vacuum).
    pub(crate) has_map: bool,
}

impl Header {
    pub(crate) const BYTES: usize = 100;

    /// Returns `None` if this is not the header of a database, or the database is of a format that this SQLite does not
    /// read.
    pub(crate) fn parse(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let page_bytes = match u16::from_be_bytes([bytes[16], bytes[17]]) {
            1 => 65_536,
            bytes => usize::from(bytes),
        };
        let usable_bytes = page_bytes.checked_sub(bytes[20].into())?;
        let is_sound = &bytes[..16] == b"SQLite format 3\0"
            && page_bytes.is_power_of_two()
            && page_bytes >= 512
            && usable_bytes >= 480
            && bytes[19] <= 2
            && bytes[21..24] == [64, 32, 32];
        let encoding = match word(56) {
            // An empty database has no encoding yet.
            0 | 1 => Encoding::Utf8,
            2 => Encoding::Utf16 { is_big_endian: false },
            3 => Encoding::Utf16 { is_big_endian: true },
            _ => return None,
        };
        let pages = (word(24) == word(92) && word(28) > 0).then(|| word(28));
        is_sound.then_some(Self {
            page_bytes,
            usable_bytes,
            has_log: bytes[19] == 2,
            encoding,
            pages,
            schema_version: word(40),
            has_map: word(52) > 0,
        })
    }
}

/// Decodes a varint of one to nine bytes. Returns its value and length.
#[inline(always)]
pub(crate) fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    varint_or(bytes, long_varint)
}

/// Decodes the length of a payload. SQLite reads seven bits of each of up to nine bytes, and keeps the low 32 bits.
#[inline(always)]
pub(crate) fn payload_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    varint_or(bytes, long_payload_varint)
}

#[inline(always)]
fn varint_or(bytes: &[u8], long: fn(&[u8]) -> Option<(u64, usize)>) -> Option<(u64, usize)> {
    match *bytes {
        [a, ..] if a < 0x80 => Some((a.into(), 1)),
        [a, b, ..] if b < 0x80 => Some((u64::from(a & 0x7f) << 7 | u64::from(b), 2)),
        [a, b, c, ..] if c < 0x80 => Some((u64::from(a & 0x7f) << 14 | u64::from(b & 0x7f) << 7 | u64::from(c), 3)),
        _ => long(bytes),
    }
}

#[inline(never)]
fn long_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(8).enumerate() {
        value = value << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            return Some((value, index + 1));
        }
    }
    Some((value << 8 | u64::from(*bytes.get(8)?), 9))
}

#[inline(never)]
fn long_payload_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(9).enumerate() {
        value = value << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 || index == 8 {
            return Some((value & 0xffff_ffff, index + 1));
        }
    }
    None
}

#[inline(always)]
pub(crate) fn read_u16(bytes: &[u8], at: usize) -> Option<usize> {
    let &[a, b] = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_be_bytes([a, b]).into())
}

#[inline(always)]
pub(crate) fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Length of a value in a record, by its serial type.
#[inline(always)]
pub(crate) fn serial_bytes(serial: u64) -> u64 {
    match serial {
        0..12 => u64::from(BYTES_BY_SERIAL[usize::try_from(serial).unwrap_or(0)]),
        _ => (serial - 12) / 2,
    }
}

/// Lengths by serial type, for serial types of one byte.
pub(crate) const BYTES_BY_SERIAL: [u8; 128] = {
    let mut bytes = [0; 128];
    let fixed: [u8; 12] = [0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0];
    let mut serial: u8 = 0;
    while serial < 128 {
        bytes[serial as usize] = if serial < 12 { fixed[serial as usize] } else { (serial - 12) / 2 };
        serial += 1;
    }
    bytes
};

/// Number of bytes of a payload that are on the leaf page of a table.
/// <https://sqlite.org/fileformat2.html#b_tree_pages>
#[inline(always)]
pub(crate) fn local_bytes(payload: usize, usable: usize) -> usize {
    local_bytes_up_to(local_max(usable), payload, usable)
}

/// Largest payload that is on the leaf page of a table as a whole.
#[inline(always)]
pub(crate) fn local_max(usable: usize) -> usize {
    usable - 35
}

/// Number of bytes of a payload that are on the page of an index.
#[inline(always)]
pub(crate) fn local_bytes_in_index(payload: usize, usable: usize) -> usize {
    local_bytes_up_to(local_max_in_index(usable), payload, usable)
}

/// Largest payload that is on the page of an index as a whole.
#[inline(always)]
pub(crate) fn local_max_in_index(usable: usize) -> usize {
    (usable - 12) * 64 / 255 - 23
}

#[inline(always)]
fn local_bytes_up_to(most: usize, payload: usize, usable: usize) -> usize {
    if payload <= most { payload } else { local_bytes_of_long(most, payload, usable) }
}

#[inline(never)]
fn local_bytes_of_long(most: usize, payload: usize, usable: usize) -> usize {
    let least = (usable - 12) * 32 / 255 - 23;
    let local = least + (payload - least) % (usable - 4);
    if local <= most { local } else { least }
}

/// Converts UTF-16 to UTF-8 as SQLite does, unpaired surrogates included.
pub(crate) fn append_utf8(utf16: &[u8], is_big_endian: bool, to: &mut Vec<u8>) {
    let unit = |&pair: &[u8; 2]| -> u32 {
        if is_big_endian { u16::from_be_bytes(pair).into() } else { u16::from_le_bytes(pair).into() }
    };
    let mut units = utf16.as_chunks::<2>().0.iter().map(unit);
    while let Some(mut c) = units.next() {
        if (0xd800..0xe000).contains(&c)
            && let Some(low) = units.next()
        {
            c = (low & 0x03ff) + ((c & 0x003f) << 10) + (((c & 0x03c0) + 0x0040) << 10);
        }
        let part = |shift: u32, mask: u32| (c >> shift & mask).to_le_bytes()[0];
        match c {
            0..0x80 => to.push(part(0, 0x7f)),
            0x80..0x800 => to.extend([0xc0 | part(6, 0x1f), 0x80 | part(0, 0x3f)]),
            0x800..0x1_0000 => to.extend([0xe0 | part(12, 0x0f), 0x80 | part(6, 0x3f), 0x80 | part(0, 0x3f)]),
            _ => to.extend([0xf0 | part(18, 0x07), 0x80 | part(12, 0x3f), 0x80 | part(6, 0x3f), 0x80 | part(0, 0x3f)]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length() {
        for (bytes, value) in [
            (&[0x00][..], 0),
            (&[0x7f], 127),
            (&[0x81, 0x00], 128),
            (&[0xff, 0x7f], 16_383),
            (&[0x81, 0x80, 0x00], 16_384),
            (&[0x81, 0x80, 0x80, 0x00], 1 << 21),
            (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01], 1),
            (&[0xff; 9], u64::MAX),
            (&[0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], 1 << 57),
        ] {
            assert_eq!(varint(bytes), Some((value, bytes.len())), "{bytes:x?}");
            assert_eq!(varint(&bytes[..bytes.len() - 1]), None, "{bytes:x?}, cut");
        }
    }

    #[test]
    fn lengths_of_payloads_as_sqlite_takes_them() {
        for (bytes, value) in [
            (&[0x05][..], 5),
            (&[0x81, 0x80, 0x00], 16_384),
            (&[0x90, 0x80, 0x80, 0x80, 0x05], 5),
            (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x81, 0x06], 134),
            (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x86], 6),
            (&[0xff; 9], 0xffff_ffff),
        ] {
            assert_eq!(payload_varint(bytes), Some((value, bytes.len())), "{bytes:x?}");
            assert_eq!(payload_varint(&bytes[..bytes.len() - 1]), None, "{bytes:x?}, cut");
        }
    }

    /// Checks the formulas of the file format for the smallest and the largest page.
    #[test]
    fn payloads_are_cut_as_the_format_says() {
        for (payload, usable, local) in [
            (477, 512, 477),
            (478, 512, 39),
            (39 + 508, 512, 39),
            (39 + 508 + 438, 512, 39 + 438),
            (39 + 508 + 439, 512, 39),
            (4061, 4096, 4061),
            (4062, 4096, 489),
            (65_501, 65_536, 65_501),
            (65_502, 65_536, 8199),
        ] {
            assert_eq!(local_bytes(payload, usable), local, "{payload} of {usable}");
        }
        for (payload, usable, local) in [
            (102, 512, 102),
            (103, 512, 39),
            (39 + 508 + 63, 512, 39 + 63),
            (39 + 508 + 64, 512, 39),
            (1002, 4096, 1002),
            (1003, 4096, 489),
            (489 + 4092 + 513, 4096, 489 + 513),
            (489 + 4092 + 514, 4096, 489),
            (16_422, 65_536, 16_422),
            (16_423, 65_536, 8199),
        ] {
            assert_eq!(local_bytes_in_index(payload, usable), local, "{payload} of {usable}, in an index");
        }
    }

    #[test]
    fn lengths_by_serial_type() {
        let lengths = [0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2];
        for (serial, length) in (0..).zip(lengths) {
            assert_eq!(serial_bytes(serial), length, "{serial}");
        }
        for serial in 0..128_u8 {
            assert_eq!(u64::from(BYTES_BY_SERIAL[usize::from(serial)]), serial_bytes(serial.into()), "{serial}");
        }
        assert_eq!(serial_bytes(u64::MAX), (u64::MAX - 12) / 2);
    }

    #[test]
    fn every_character_becomes_utf8() {
        for is_big_endian in [false, true] {
            let text: String = (0..=0x10_ffff).step_by(37).filter_map(char::from_u32).collect();
            let bytes: Vec<u8> = text
                .encode_utf16()
                .flat_map(|unit| if is_big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() })
                .collect();
            let mut found = Vec::new();
            append_utf8(&bytes, is_big_endian, &mut found);
            assert!(found == text.as_bytes());
        }
    }

    #[test]
    fn a_header_that_is_none() {
        let mut header = [0; Header::BYTES];
        header[..16].copy_from_slice(b"SQLite format 3\0");
        header[16..24].copy_from_slice(&[16, 0, 2, 2, 32, 64, 32, 32]);
        let sound = Header::parse(&header).unwrap();
        assert_eq!((sound.page_bytes, sound.usable_bytes, sound.has_log), (4096, 4064, true));
        assert_eq!((sound.encoding, sound.pages), (Encoding::Utf8, None));
        for (at, byte) in [(0, b's'), (16, 0), (17, 1), (19, 3), (20, 255), (21, 63), (59, 4)] {
            let mut damaged = header;
            damaged[at] = byte;
            let is_sound = Header::parse(&damaged).is_some();
            assert_eq!(is_sound, at == 20, "{at}");
        }
    }
}
