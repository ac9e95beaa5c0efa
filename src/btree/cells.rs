//! Decodes the current row of a scan: locates the values in its record, and reads them.
//!
//! ```text
//! leaf page  page header, cell pointers, unused space, cells
//! cell       payload length, rowid, record (or its local part), number of the first overflow page (if any)
//! record     header length, one serial type for each value, values
//! ```
//!
//! In an index, a cell has no rowid. The record holds it as the last value, if the index is of a table with rowids.
//!
//! A step decodes only the record's header. It writes one [`ValuePosition`] for each value: the serial type, and the
//! offset. Values are read from the page buffer when they are asked for, and are not copied, with two exceptions: a
//! record that continues in overflow pages is assembled in `spilled`, and UTF-16 text is converted into `converted`.
//!
//! The fast path is a header of less than 128 bytes with serial types of one byte, on one page. It is inlined into the
//! loop of the scan; all other cases are in functions that are not inlined. An integer is read as eight bytes, and
//! shifted: each buffer therefore ends with [`SLACK_BYTES`].

use std::ops::Deref;
use std::sync::Arc;

use super::condition::{Condition, Verdict};
use super::format::{
    BYTES_BY_SERIAL, Damage, Encoding, append_utf8, local_bytes, local_bytes_in_index, local_max, local_max_in_index,
    payload_varint, read_u16, read_u32, serial_bytes, varint,
};
use super::leading::{Candidate, Candidates, LeafRecords};
use super::rowid_range::RowidRange;
use super::tree::{IndexLeaf, Leaf, Pages, SLACK_BYTES, Tree, TreeKind};
use crate::value::{AsItIs, Sink, StoredValue, ValueRef, to_f64};

/// A column of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ColumnSource {
    Rowid,
    /// A value of the record.
    Stored {
        place: usize,
        /// Whether integers are read as reals: SQLite stores a real without a fraction as an integer.
        is_real: bool,
        /// Whether the column has a default other than NULL, for records that end before this value.
        has_default: bool,
    },
}

/// The current row, and the buffers that hold its bytes.
pub(crate) struct Cells<B = Vec<u8>> {
    /// Columns of the result.
    columns: Box<[ColumnSource]>,
    /// Values that only the condition needs. They have the indices after those of the columns.
    hidden: Box<[ColumnSource]>,
    /// Condition on the rows; `None` if all are wanted.
    condition: Option<Box<Condition>>,
    encoding: Encoding,
    /// Pages as they were read.
    pub(crate) buffer: B,
    /// A record assembled from several pages.
    spilled: Vec<u8>,
    /// Whether the places refer to `spilled` instead of `buffer`.
    is_spilled: bool,
    /// Text converted to UTF-8, in a database whose encoding is UTF-16.
    converted: Vec<u8>,
    /// Number of values at the beginning of the record from which another statement can continue, in an index.
    key: usize,
    /// Values of the record, up to the last one that is wanted.
    places: Vec<ValuePosition>,
    /// Whether each of `places` is wanted.
    is_wanted: Box<[bool]>,
    pub(crate) rowid: i64,
    /// Values of columns that were added after the record was written, by place; `None` while unknown.
    pub(crate) defaults: Defaults,
}

/// Copy-on-write: existing holders keep the old values.
pub(crate) type Defaults = Arc<[Option<StoredValue>]>;

/// Position of a value in a record.
#[derive(Clone, Copy)]
struct ValuePosition {
    serial: u32,
    at: u32,
}

/// Longest record header that SQLite reads, unless the whole record is on the leaf page.
const HEADER_BYTES_MAX: u64 = 98_307;

/// Serial type of a value that the record is too short for.
const MISSING: u32 = u32::MAX;

/// A cell of a leaf page, and its record.
struct LeafCell<'page> {
    /// Offset of the record in the page.
    start: usize,
    /// Number of bytes of the record.
    payload: usize,
    /// Those that are on this page.
    record: &'page [u8],
    rowid: i64,
}

/// Result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Row,
    /// A row with missing values whose defaults are not known yet.
    RowWithoutDefaults,
    /// A row for which SQLite must evaluate the condition.
    RowWithoutVerdict,
    End,
}

/// Cursor over the rows of a b-tree.
pub(crate) struct Reader<P> {
    tree: Tree<P>,
    /// Largest payload that is decoded; larger ones are left to SQLite.
    payload_bytes_max: u64,
    /// Last rowid of the range that is read.
    last: i64,
    leaf: Leaf,
    cell: usize,
    /// Number of cells of the leaf page that are before the current one, or were tested: the candidates among them are
    /// still to be read.
    tested: usize,
    candidates: Candidates,
    /// Number of rows in the leaf pages before this one.
    before: u64,
}

impl<P: Pages> Reader<P> {
    pub(crate) fn new(tree: Tree<P>, payload_bytes_max: u64) -> Self {
        let last = tree.range().last;
        Self {
            tree,
            payload_bytes_max,
            last,
            leaf: Leaf::default(),
            cell: 0,
            tested: 0,
            candidates: Candidates::default(),
            before: 0,
        }
    }

    /// Returns a reader of the same file's pages. It has no root, and is positioned by [`go_to`](Self::go_to).
    pub(crate) fn anew<Q: Pages>(&self, pages: Q) -> Reader<Q> {
        Reader::new(self.tree.anew(pages), self.payload_bytes_max)
    }

    pub(crate) fn pages(&self) -> &P {
        self.tree.pages()
    }

    /// Moves to the next row.
    #[inline(always)]
    pub(crate) fn step(&mut self, cells: &mut Cells) -> Result<Step, P::Error> {
        if self.cell == self.leaf.cells && !self.next_leaf(cells)? {
            return Ok(Step::End);
        }
        let cell = self.cell;
        self.cell += 1;
        self.read_cell(cell, cells)
    }

    /// Moves to the next row that meets the condition.
    #[inline(always)]
    pub(crate) fn step_to_wanted(&mut self, cells: &mut Cells) -> Result<Step, P::Error> {
        if cells.condition.is_none() {
            return self.step(cells);
        }
        self.step_by_condition(cells)
    }

    #[inline(never)]
    fn step_by_condition(&mut self, cells: &mut Cells) -> Result<Step, P::Error> {
        loop {
            let Some(candidate) = self.next_candidate(self.leaf.cells, cells) else {
                if !self.next_leaf(cells)? {
                    return Ok(Step::End);
                }
                continue;
            };
            let step = self.read_cell(candidate.cell, cells)?;
            if step != Step::Row || candidate.is_wanted {
                return Ok(step);
            }
            match cells.verdict() {
                Verdict::Accept => return Ok(Step::Row),
                Verdict::Reject => {}
                Verdict::Unknown => return Ok(Step::RowWithoutVerdict),
            }
        }
    }

    /// Moves to the next cell of the leaf page before `end` whose row may meet the condition: the others fail one of its
    /// first tests. As in SQLite, no value of theirs behind those is looked at.
    #[inline(always)]
    pub(crate) fn next_candidate<B: Deref<Target = [u8]>>(
        &mut self,
        end: usize,
        cells: &Cells<B>,
    ) -> Option<Candidate> {
        loop {
            if let Some(candidate) = self.candidates.next() {
                self.cell = candidate.cell + 1;
                return Some(candidate);
            }
            self.tested = self.tested.max(self.cell);
            if self.tested >= end {
                return None;
            }
            self.find_candidates(end, cells);
        }
    }

    #[inline(never)]
    fn find_candidates<B: Deref<Target = [u8]>>(&mut self, end: usize, cells: &Cells<B>) {
        let among = self.tested..end.min(self.tested + Candidates::CELLS);
        self.tested = among.end;
        let usable = self.tree.usable_bytes();
        let Leaf { at, pointers, content, index, .. } = self.leaf;
        let local_max = if index.is_some() { local_max_in_index(usable) } else { local_max(usable) };
        let records = LeafRecords {
            page: &cells.buffer[at..at + usable + SLACK_BYTES],
            pointers,
            content: index.map_or(content, |index| index.content),
            child_bytes: index.map(|index| index.child_bytes),
            payload_max: usize::try_from(self.payload_bytes_max).map_or(local_max, |max| max.min(local_max)),
            last: self.last,
        };
        let tests = cells.condition.as_deref().map(Condition::leading).unwrap_or_default();
        self.candidates = Candidates::select(among, tests, &records);
    }

    /// Moves before a cell of the leaf page.
    #[inline(always)]
    fn set_cell(&mut self, cell: usize) {
        (self.cell, self.tested, self.candidates) = (cell, cell, Candidates::default());
    }

    /// Moves before the first row. Returns its leaf page, or one without cells.
    pub(crate) fn first_leaf(&mut self, cells: &mut Cells) -> Result<Leaf, P::Error> {
        self.next_leaf(cells)?;
        Ok(self.leaf)
    }

    /// Estimates the number of rows: assumes that all pages are as full as those on the path to the first leaf page.
    pub(crate) fn expected_rows(&self) -> u64 {
        // In an index, there is a row between two leaf pages.
        let cells = self.leaf.cells + self.leaf.cell_number(0) + usize::from(self.tree.kind() != TreeKind::Table);
        let rows = self.tree.expected_leaves().saturating_mul(cells as u64);
        rows.min(self.tree.range().len())
    }

    pub(crate) fn range(&self) -> RowidRange {
        self.tree.range()
    }

    pub(crate) fn tree(&mut self) -> &mut Tree<P> {
        &mut self.tree
    }

    /// Whether the current leaf page is this page.
    pub(crate) fn is_at(&self, page: u32) -> bool {
        self.leaf.page == page
    }

    /// Leaves the current leaf page, and returns it. The reader is then between two rows.
    pub(crate) fn leave(&mut self) -> Leaf {
        self.set_cell(0);
        std::mem::take(&mut self.leaf)
    }

    /// Moves to a cell of a leaf page in the buffer. `number` is the number of that cell's row.
    pub(crate) fn go_to(&mut self, leaf: Leaf, cell: usize, number: u64) {
        self.leaf = leaf;
        self.set_cell(cell);
        self.before = number.saturating_sub(cell as u64);
    }

    /// Number of rows before the row of the last step.
    pub(crate) fn row_number(&self) -> u64 {
        (self.before + self.cell as u64).saturating_sub(1)
    }

    /// Whether the last step reached a row, even if that row could not be read.
    pub(crate) fn is_on_row(&self) -> bool {
        self.cell > 0
    }

    /// Moves to the next leaf page. Returns `false` at the end.
    #[inline(never)]
    fn next_leaf(&mut self, cells: &mut Cells) -> Result<bool, P::Error> {
        self.before += self.leaf.cells as u64;
        self.set_cell(0);
        self.leaf = Leaf::default();
        match self.tree.next_leaf(&mut cells.buffer)? {
            Some(leaf) => self.leaf = leaf,
            None => return Ok(false),
        }
        Ok(true)
    }

    /// Locates a cell of the leaf page, and its record. The error is the damage.
    #[inline(always)]
    fn locate<'page>(&self, index: usize, page: &'page [u8]) -> Result<LeafCell<'page>, &'static str> {
        let Leaf { pointers, content, .. } = self.leaf;
        let pointer = read_u16(page, pointers + 2 * index).unwrap_or(0);
        if pointer < content {
            return self.locate_in_index(pointer, page);
        }
        let Some((start, payload, rowid)) = cell_head(page, pointer) else {
            return Err(OUTSIDE);
        };
        let Some(payload) = usize::try_from(payload).ok().filter(|_| payload <= self.payload_bytes_max) else {
            return Err(TOO_LARGE);
        };
        let local = local_bytes(payload, page.len());
        let Some(record) = page.get(start..start + local) else {
            return Err(CUT);
        };
        Ok(LeafCell { start, payload, record, rowid: rowid.cast_signed() })
    }

    /// Locates a cell at this offset in a page of an index, and its record. See [`locate`](Self::locate).
    #[inline(never)]
    fn locate_in_index<'page>(&self, pointer: usize, page: &'page [u8]) -> Result<LeafCell<'page>, &'static str> {
        let index = self.leaf.index.filter(|index| pointer >= index.content);
        let Some(IndexLeaf { child_bytes, .. }) = index else {
            return Err(NO_CELL);
        };
        let start = pointer + child_bytes;
        let Some((payload, bytes)) = page.get(start..).and_then(payload_varint) else {
            return Err(OUTSIDE);
        };
        let start = start + bytes;
        let Some(payload) = usize::try_from(payload).ok().filter(|_| payload <= self.payload_bytes_max) else {
            return Err(TOO_LARGE);
        };
        let local = local_bytes_in_index(payload, page.len());
        let Some(record) = page.get(start..start + local) else {
            return Err(CUT);
        };
        let rowid = match self.tree.kind().reads_rowid_of_record() && local == payload {
            true => last_rowid(record).ok_or(NO_ROWID)?,
            false => 0,
        };
        Ok(LeafCell { start, payload, record, rowid })
    }

    #[inline(always)]
    pub(crate) fn read_cell<B: Deref<Target = [u8]>>(
        &mut self,
        index: usize,
        cells: &mut Cells<B>,
    ) -> Result<Step, P::Error> {
        let Leaf { page: number, at, .. } = self.leaf;
        let usable = self.tree.usable_bytes();
        let page = &cells.buffer[at..at + usable];
        let damage = |what| Damage::of_cell(number, self.leaf.cell_number(index), what);
        let LeafCell { start, payload, record, rowid } =
            self.locate(index, page).map_err(|what| P::Error::from(damage(what)))?;
        if rowid > self.last {
            return Ok(Step::End);
        }
        cells.rowid = rowid;
        if record.len() < payload {
            let local = record.len();
            return self.read_long(index, start, local, payload, cells);
        }
        cells.is_spilled = false;
        let found = read_places(record, at + start, payload, &mut cells.places);
        match found {
            Some(found) if cells.encoding == Encoding::Utf8 => {
                if found.is_whole {
                    Ok(Step::Row)
                } else {
                    Ok(cells.leave_out(found.places))
                }
            }
            Some(found) => Ok(cells.convert(found)),
            None => Err(damage("its record is malformed").into()),
        }
    }

    /// Reads a record that continues in overflow pages.
    #[inline(never)]
    fn read_long<B: Deref<Target = [u8]>>(
        &mut self,
        index: usize,
        start: usize,
        local: usize,
        payload: usize,
        cells: &mut Cells<B>,
    ) -> Result<Step, P::Error> {
        let Leaf { page: number, at, .. } = self.leaf;
        let cell_number = self.leaf.cell_number(index);
        let damage = |what| Damage::of_cell(number, cell_number, what);
        if self.tree.kind() != TreeKind::Table {
            // The cells still hold the row before, whose key is needed if this one cannot be read.
            self.tree.pages().check()?;
        }
        let is_all_wanted = self.tree.kind().reads_rowid_of_record();
        cells.is_spilled = false;
        let page = &cells.buffer[at..at + self.tree.usable_bytes()];
        let Some(overflow) = read_u32(page, start + local) else {
            return Err(damage("its overflow pages begin outside of the page").into());
        };
        let record = &page[start..start + local];
        // The wanted values may all be on the leaf page. If not, the number of bytes needed is known from here on.
        let wanted = match read_places(record, at + start, payload, &mut cells.places) {
            Some(found) if found.end <= at + start + local && !is_all_wanted => return Ok(cells.convert(found)),
            // No other page is read for a row that is not wanted.
            Some(found) if cells.is_rejected_within(found, at + start + local) => return Ok(Step::Row),
            Some(_) if is_all_wanted => payload,
            Some(found) => found.end - at - start,
            None if varint(record).is_some_and(|(header, _)| header <= local as u64) => {
                return Err(damage("its record is malformed").into());
            }
            None => payload,
        };
        let mut spilled = std::mem::take(&mut cells.spilled);
        spilled.clear();
        spilled.extend_from_slice(record);
        // `cells.buffer` holds the leaf pages that were read ahead, so overflow pages are read into another buffer.
        let mut pages = std::mem::take(&mut cells.converted);
        let read = self.tree.read_overflow((number, cell_number), overflow, wanted - local, &mut pages, &mut spilled);
        cells.converted = pages;
        let found = read_places(&spilled, 0, payload, &mut cells.places);
        spilled.extend_from_slice(&[0; SLACK_BYTES]);
        cells.spilled = spilled;
        cells.is_spilled = true;
        read?;
        if is_all_wanted {
            let rowid = cells.spilled.get(..payload).and_then(last_rowid);
            cells.rowid = rowid.ok_or_else(|| damage(NO_ROWID))?;
        }
        match found {
            Some(found) => Ok(cells.convert(found)),
            None => Err(damage("its record is malformed").into()),
        }
    }
}

/// Descriptions of damaged cells.
const NO_CELL: &str = "it is not among the cells of the page";
const OUTSIDE: &str = "its offset is outside the page";
const TOO_LARGE: &str = "its payload is larger than the database, or than SQLite allows";
const CUT: &str = "its payload ends outside of the page";
const NO_ROWID: &str = "its record does not end with a rowid";

/// Returns the last value of a record of an index, which must be an integer.
fn last_rowid(record: &[u8]) -> Option<i64> {
    let header = usize::try_from(varint(record)?.0).ok().filter(|header| *header >= 3)?;
    let serial = *record.get(..header)?.last()?;
    let bytes = match serial {
        1..=6 => usize::from(BYTES_BY_SERIAL[usize::from(serial)]),
        8 => return Some(0),
        9 => return Some(1),
        _ => return None,
    };
    let value = record.get(header..)?;
    let value = &value[value.len().checked_sub(bytes)?..];
    let sign = if value[0] < 0x80 { 0 } else { -1 };
    Some(value.iter().fold(sign, |value, byte| value << 8 | i64::from(*byte)))
}

/// Returns the offset of the record of a cell at this offset, its length, and the rowid.
#[inline(always)]
pub(super) fn cell_head(page: &[u8], at: usize) -> Option<(usize, u64, u64)> {
    let cell = page.get(at..)?;
    let (payload, first) = payload_varint(cell)?;
    let (rowid, second) = varint(&cell[first..])?;
    Some((at + first + second, payload, rowid))
}

/// Result of decoding the header of a record.
#[derive(Clone, Copy)]
struct RecordHeader {
    /// Number of values in the record, up to the last one that is wanted.
    places: usize,
    is_whole: bool,
    /// Offset at which the last of them ends.
    end: usize,
}

/// Locates the values of a record, which begins at `start` and has `payload` bytes. `record` holds the bytes that are
/// available. Returns `None` if the record does not decode.
#[inline(always)]
fn read_places(record: &[u8], start: usize, payload: usize, places: &mut [ValuePosition]) -> Option<RecordHeader> {
    let header = usize::from(*record.first()?);
    if !(2..0x80).contains(&header) {
        return read_long_header(record, start, payload, places);
    }
    let serials = record.get(1..header)?;
    let end = u32::try_from(start + payload).ok()?;
    let mut at = u32::try_from(start + header).ok()?;
    let mut seen = 0;
    for (&serial, place) in serials.iter().zip(places.iter_mut()) {
        seen |= serial;
        *place = ValuePosition { serial: serial.into(), at };
        at += u32::from(BYTES_BY_SERIAL[usize::from(serial & 0x7f)]);
    }
    if seen >= 0x80 {
        return read_long_header(record, start, payload, places);
    }
    if at > end || serials.len() <= places.len() && at != end {
        return None;
    }
    let count = serials.len().min(places.len());
    Some(RecordHeader { places: count, is_whole: count == places.len(), end: at as usize })
}

/// Locates the values of a record whose header is empty, or has varints of several bytes. See [`read_places`].
#[inline(never)]
fn read_long_header(record: &[u8], start: usize, payload: usize, places: &mut [ValuePosition]) -> Option<RecordHeader> {
    let (header, first) = varint(record)?;
    let header = usize::try_from(header).ok().filter(|_| header <= HEADER_BYTES_MAX)?;
    // SQLite reads at least one serial type. In an empty header that is beyond the end, so such a record is not valid.
    let mut serials = record.get(first..header).filter(|serials| !serials.is_empty())?;
    let end = u64::try_from(start + payload).ok()?;
    let mut at = u64::try_from(start + header).ok()?;
    let mut count = 0;
    for place in &mut *places {
        if serials.is_empty() {
            break;
        }
        let (serial, bytes) = varint(serials)?;
        serials = &serials[bytes..];
        *place = ValuePosition { serial: u32::try_from(serial).ok()?, at: u32::try_from(at).ok()? };
        at = at.checked_add(serial_bytes(serial))?;
        count += 1;
    }
    if at > end || serials.is_empty() && at != end {
        return None;
    }
    Some(RecordHeader { places: count, is_whole: count == places.len(), end: usize::try_from(at).ok()? })
}

impl<B: Deref<Target = [u8]>> Cells<B> {
    /// Creates cells for these values, the first of which are the columns of the result. `key` is the number of values
    /// that define the order of an index.
    pub(crate) fn new(
        sources: &[ColumnSource],
        columns: usize,
        condition: Option<Box<Condition>>,
        encoding: Encoding,
        key: usize,
        buffer: B,
    ) -> Self {
        let count = sources.iter().map(|source| match source {
            ColumnSource::Rowid => 0,
            ColumnSource::Stored { place, .. } => place + 1,
        });
        let count = count.max().unwrap_or(0).max(key);
        let mut is_wanted = vec![false; count];
        is_wanted[..key].fill(true);
        let mut defaults = vec![None; count];
        for source in sources {
            if let ColumnSource::Stored { place, has_default, .. } = *source {
                is_wanted[place] = true;
                defaults[place] = (!has_default).then_some(StoredValue::Null);
            }
        }
        let (columns, hidden) = sources.split_at(columns.min(sources.len()));
        Self {
            columns: columns.into(),
            hidden: hidden.into(),
            condition,
            encoding,
            buffer,
            spilled: Vec::new(),
            is_spilled: false,
            converted: Vec::new(),
            key,
            places: vec![ValuePosition { serial: 0, at: 0 }; count],
            is_wanted: is_wanted.into(),
            rowid: 0,
            defaults: defaults.into(),
        }
    }

    /// Returns cells of the same columns, with another buffer.
    pub(crate) fn in_another<C: Deref<Target = [u8]>>(&self, buffer: C) -> Cells<C> {
        Cells::new(&self.sources(), self.column_count(), self.condition.clone(), self.encoding, self.key, buffer)
    }

    /// Returns the values of the current row that define its place in an index.
    pub(crate) fn key(&self) -> impl Iterator<Item = ValueRef<'_>> {
        let source = |place| ColumnSource::Stored { place, is_real: false, has_default: false };
        (0..self.key).map(move |place| self.read_into(&source(place), AsItIs))
    }

    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    pub(crate) fn condition(&self) -> Option<&Condition> {
        self.condition.as_deref()
    }

    /// Whether the current row meets the condition.
    #[inline(always)]
    pub(crate) fn verdict(&self) -> Verdict {
        match &self.condition {
            None => Verdict::Accept,
            Some(condition) => condition.evaluate(|index| self.operand(index)),
        }
    }

    #[inline(always)]
    fn operand(&self, index: usize) -> ValueRef<'_> {
        self.source(index).map_or(ValueRef::Null, |source| self.read_into(source, AsItIs))
    }

    /// Whether all values that the condition needs end before this offset, and reject the row.
    fn is_rejected_within(&self, found: RecordHeader, end: usize) -> bool {
        let Some(condition) = &self.condition else {
            return false;
        };
        let is_here = |place: usize| {
            self.places
                .get(place)
                .filter(|_| place < found.places)
                .is_some_and(|value| u64::from(value.at) + serial_bytes(value.serial.into()) <= end as u64)
        };
        let is_operand_here = |index| match self.source(index) {
            Some(&ColumnSource::Stored { place, .. }) => is_here(place),
            // In an index, the rowid is at the end of the record.
            _ => self.key == 0,
        };
        // Text in UTF-16 is converted with the whole record.
        self.encoding == Encoding::Utf8
            && condition.operands().all(is_operand_here)
            && (0..self.key).all(is_here)
            && self.verdict() == Verdict::Reject
    }

    /// Number of columns of the result.
    pub(crate) fn column_count(&self) -> usize {
        self.columns.len()
    }

    /// Returns all values that are read: columns of the result, and those that only the condition needs.
    pub(crate) fn sources(&self) -> Vec<ColumnSource> {
        self.columns.iter().chain(&self.hidden).copied().collect()
    }

    #[inline(always)]
    fn source(&self, index: usize) -> Option<&ColumnSource> {
        self.columns.get(index).or_else(|| self.hidden.get(index - self.columns.len()))
    }

    /// Marks the values that the record is too short for, from this place on.
    #[cold]
    fn leave_out(&mut self, from: usize) -> Step {
        for place in &mut self.places[from..] {
            place.serial = MISSING;
        }
        let is_known = |source: &ColumnSource| match *source {
            ColumnSource::Stored { place, .. } if place >= from => self.defaults[place].is_some(),
            _ => true,
        };
        if self.columns.iter().chain(&self.hidden).all(is_known) { Step::Row } else { Step::RowWithoutDefaults }
    }

    /// Sets the default of a column of the result to its value in the current row. If the record has that value, the
    /// method only compares. Returns `false` if the values differ: it is another row.
    pub(crate) fn set_default(&mut self, column: usize, value: ValueRef<'_>) -> bool {
        match self.source(column) {
            Some(&ColumnSource::Stored { place, .. }) if self.places[place].serial == MISSING => {
                Arc::make_mut(&mut self.defaults)[place] = Some(value.into());
                true
            }
            Some(source) => self.read_into(source, AsItIs) == value,
            None => false,
        }
    }

    /// Converts wanted texts to UTF-8, unless the database's encoding is UTF-8.
    #[inline(never)]
    fn convert(&mut self, found: RecordHeader) -> Step {
        if let Encoding::Utf16 { is_big_endian } = self.encoding {
            self.converted.clear();
            let record: &[u8] = if self.is_spilled { &self.spilled } else { &self.buffer };
            for (place, is_wanted) in self.places[..found.places].iter_mut().zip(&self.is_wanted) {
                if place.serial < 13 || place.serial % 2 == 0 || !is_wanted {
                    continue;
                }
                let start = place.at as usize;
                let text = record.get(start..start + (place.serial as usize - 13) / 2).unwrap_or_default();
                let at = self.converted.len();
                append_utf8(text, is_big_endian, &mut self.converted);
                let bytes = self.converted.len() - at;
                // UTF-8 takes at most half as much again as UTF-16. A text that does not fit is longer than SQLite
                // allows.
                place.at = u32::try_from(at).unwrap_or(0);
                place.serial = u32::try_from(2 * bytes + 13).unwrap_or(13);
            }
        }
        if found.is_whole { Step::Row } else { self.leave_out(found.places) }
    }

    #[inline(always)]
    pub(crate) fn value(&self, column: usize) -> Option<ValueRef<'_>> {
        let source = self.columns.get(column)?;
        Some(self.read_into(source, AsItIs))
    }

    /// Passes each value to the sink of its column. Stops at the first error, and returns it with the number of the
    /// column.
    #[inline(always)]
    pub(crate) fn read_all_into<'a, S, E>(&'a self, sinks: impl Iterator<Item = S>) -> Result<(), (usize, E)>
    where
        S: Sink<'a, Output = Result<(), E>>,
    {
        for (index, (source, sink)) in self.columns.iter().zip(sinks).enumerate() {
            self.read_into(source, sink).map_err(|error| (index, error))?;
        }
        Ok(())
    }

    #[inline(always)]
    fn read_into<'a, S: Sink<'a>>(&'a self, source: &ColumnSource, sink: S) -> S::Output {
        let ColumnSource::Stored { place, is_real, .. } = *source else {
            return sink.take(ValueRef::Integer(self.rowid));
        };
        let ValuePosition { serial, at } = self.places[place];
        let at = at as usize;
        let record: &[u8] = if self.is_spilled { &self.spilled } else { &self.buffer };
        match serial {
            1..=9 => {
                let bits = match serial {
                    8 => 0,
                    9 => 1,
                    _ => bits(record, serial, at),
                };
                if serial == 7 {
                    let real = f64::from_bits(bits.cast_unsigned());
                    // SQLite has no NaN.
                    return if real.is_nan() { sink.take(ValueRef::Null) } else { sink.take(ValueRef::Real(real)) };
                }
                if is_real { sink.take(ValueRef::Real(to_f64(bits))) } else { sink.take(ValueRef::Integer(bits)) }
            }
            0 | 10 | 11 => sink.take(ValueRef::Null),
            MISSING => sink.take(self.defaults[place].as_ref().map_or(ValueRef::Null, StoredValue::as_value_ref)),
            _ => {
                let bytes = (serial as usize - 12) / 2;
                if serial.is_multiple_of(2) {
                    return sink.take(ValueRef::Blob(record.get(at..at + bytes).unwrap_or_default()));
                }
                let text = if self.encoding == Encoding::Utf8 { record } else { &self.converted };
                sink.take(ValueRef::Text(text.get(at..at + bytes).unwrap_or_default()))
            }
        }
    }
}

/// Reads the bits of a number of a serial type from 1 to 7.
#[inline(always)]
pub(super) fn bits(record: &[u8], serial: u32, at: usize) -> i64 {
    // Never out of range: the buffer ends with the slack bytes.
    let bytes = record.get(at..).and_then(|bytes| bytes.first_chunk()).copied().unwrap_or_default();
    i64::from_be_bytes(bytes) >> UNUSED_BITS[serial as usize]
}

/// Number of bits, by serial type, that belong to the next value if eight bytes are read as one integer.
const UNUSED_BITS: [u32; 10] = [0, 56, 48, 40, 32, 16, 0, 0, 0, 0];
