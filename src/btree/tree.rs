//! Traverses the b-tree of a table or an index, leaf page by leaf page, in the order of its keys.
//!
//! ```text
//! levels[0]          no page: its only child is the root
//! levels[1]          interior page, with the numbers of its children
//!    ...
//! levels[depth - 1]  interior page above the leaf pages
//! ahead              its next leaf pages, in the buffer
//! ```
//!
//! An interior page holds the numbers of all its children, so leaf pages are known before they are read. Consecutive
//! leaf pages are read in one piece, which doubles in size as the scan proceeds: a short scan reads little, and a long
//! one has few reads. Small gaps are read along. The buffer belongs to the caller, since several threads may decode one
//! buffer while the next is read.
//!
//! In a range of rowids, the first row is looked for by the keys of interior pages, as SQLite does. Behind the page that
//! has the last rowid by these keys, pages are read one by one: as in SQLite, the first row behind the range ends it.
//!
//! In an index, also an interior page has rows: each is between the rows of two of its children. Such a row is returned
//! as a leaf page of one cell, from a copy of the interior page behind the pages of a piece.
//!
//! The file may be damaged. Each page number, pointer and count is checked before it is used, and the number of visited
//! pages is limited by the size of the database, so that a loop ends.

use super::cells::cell_head;
use super::format::{Damage, Header, read_u16, read_u32, varint};
use super::pointer_map::PointerMap;
use super::rowid_range::{RowidRange, RowidSeek};

/// Source of pages.
pub(crate) trait Pages {
    type Error: From<Damage>;

    /// Whether pages can still be read.
    fn check(&self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Longest readable run starting at `first` (at most `pages`, at least 1), and its stride in bytes.
    fn piece(&self, first: u32, pages: u32) -> (u32, usize);

    /// Reads a run of pages. Returns the number of pages read: all of them, or 1 if the others cannot be read in one
    /// piece with the first, or 0 if the file ends within the first page, whose remainder is filled with zeros.
    fn read(&mut self, first: u32, pages: u32, into: &mut [u8]) -> Result<u32, Self::Error>;
}

/// Properties of a database file.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) page_bytes: usize,
    pub(crate) usable_bytes: usize,
    pub(crate) page_count: u32,
    /// Whether SQLite finds overflow pages by the pointer map.
    pub(crate) has_map: bool,
    /// The page used for locks, which is never read.
    pub(crate) lock_page: u32,
}

impl Shape {
    pub(crate) fn new(header: Header, page_count: u32) -> Self {
        const PENDING_BYTE: usize = 0x4000_0000;
        let Header { page_bytes, usable_bytes, has_map, .. } = header;
        let lock_page = u32::try_from(PENDING_BYTE / page_bytes + 1).unwrap_or(0);
        Self { page_bytes, usable_bytes, page_count, has_map, lock_page }
    }

    /// Whether this is the number of a page that another page can point to.
    fn is_page(self, page: u32) -> bool {
        (2..=self.page_count).contains(&page) && page != self.lock_page
    }

    /// Maximum number of cells that SQLite accepts for a page.
    fn cells_max(self) -> usize {
        (self.page_bytes - 8) / 6
    }
}

/// Kind of a b-tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TreeKind {
    /// Rows by rowid, in the leaf pages.
    Table,
    /// Records in their own order, in all pages: an index, or a table without rowids.
    Index {
        /// Number of values at the beginning of a record that no two records have in common. They define the order.
        key: usize,
        /// Whether the last value of the record is read as the rowid.
        reads_rowid: bool,
    },
}

impl TreeKind {
    fn leaf_type(self) -> u8 {
        match self {
            Self::Table => LEAF,
            Self::Index { .. } => INDEX_LEAF,
        }
    }

    fn interior_type(self) -> u8 {
        match self {
            Self::Table => INTERIOR,
            Self::Index { .. } => INDEX_INTERIOR,
        }
    }

    pub(crate) fn reads_rowid_of_record(self) -> bool {
        matches!(self, Self::Index { reads_rowid: true, .. })
    }

    /// Number of values that define the order of the rows, where they are values of the record.
    pub(crate) fn key(self) -> usize {
        match self {
            Self::Table => 0,
            Self::Index { key, .. } => key,
        }
    }
}

/// Position in a b-tree.
pub(crate) struct Tree<P> {
    pages: P,
    shape: Shape,
    kind: TreeKind,
    range: RowidRange,
    /// Search for the first row of the range, until it is found.
    seek: Option<RowidSeek>,
    map: PointerMap,
    /// Interior pages on the current path, from the root down.
    levels: Vec<TreeLevel>,
    depth: usize,
    /// Leaf pages that were read and are still to be returned.
    ahead: Vec<TreePosition>,
    ahead_next: usize,
    /// Number of pages to read at once; doubles as the scan proceeds.
    stride: u32,
    /// Number of pages of the tree and of overflow chains visited so far. Each is visited once in a sound file, so
    /// there are no more than in the database.
    visited: u32,
}

#[derive(Default)]
struct TreeLevel {
    page: u32,
    children: Vec<u32>,
    next: usize,
    /// Index of the child that has the last rowid of the range.
    last: usize,
    /// Number of children that have rows of the range.
    in_range: usize,
    is_above_leaves: bool,
    /// The page, in an index.
    content: Vec<u8>,
    /// Whether the cell between the last child that was read and the next one is still to be returned.
    owes_cell: bool,
}

#[derive(Clone, Copy, Default)]
struct TreePosition {
    page: u32,
    at: usize,
    /// The cell of an interior page of an index; `None` for a whole page.
    cell: Option<usize>,
}

/// A leaf page in the buffer.
#[derive(Clone, Copy, Default)]
pub(crate) struct Leaf {
    pub(crate) page: u32,
    /// Offset in the buffer.
    pub(crate) at: usize,
    /// Number of its cells, from the first one in the range on.
    pub(crate) cells: usize,
    /// Offset of their pointers, from the beginning of the page.
    pub(crate) pointers: usize,
    /// End of its cell pointers, after which cells begin. In an index it is beyond any page: the cells are then where
    /// `index` says, and one comparison tells the kinds apart.
    pub(crate) content: usize,
    pub(crate) index: Option<IndexLeaf>,
}

/// Leaf page of an index, or a cell of an interior page.
#[derive(Clone, Copy)]
pub(crate) struct IndexLeaf {
    /// End of the cell pointers of the page.
    pub(crate) content: usize,
    /// Number of bytes before the payload's length.
    pub(crate) child_bytes: usize,
}

impl Leaf {
    /// Returns the number of a cell in its page.
    #[cold]
    pub(crate) fn cell_number(&self, index: usize) -> usize {
        let head = LEAF_HEAD_BYTES + self.index.map_or(0, |index| index.child_bytes);
        index + self.pointers.saturating_sub(head_in_page(self.page) + head) / 2
    }

    /// Returns the page and the offset of the pointer of a cell.
    pub(crate) fn position(&self, index: usize) -> (u32, usize) {
        (self.page, self.pointers + 2 * index)
    }
}

/// Number of bytes that may be read beyond a value: integers are read as eight bytes.
pub(crate) const SLACK_BYTES: usize = 8;

/// Page types.
const LEAF: u8 = 13;
const INTERIOR: u8 = 5;
const INDEX_LEAF: u8 = 10;
const INDEX_INTERIOR: u8 = 2;

/// Sizes of page headers, and of the child pointer before each key.
const LEAF_HEAD_BYTES: usize = 8;
const INTERIOR_HEAD_BYTES: usize = 12;
const CHILD_BYTES: usize = 4;

/// Maximum number of bytes to read at once.
const PIECE_BYTES: usize = 256 << 10;
/// Maximum number of pages on the path from the root to a row, as in SQLite.
const DEPTH_MAX: usize = 20;
/// Maximum number of unneeded pages between two needed ones that are read along with them.
const GAP_PAGES: u32 = 3;

/// Offset of a page's own header in the page.
fn head_in_page(page: u32) -> usize {
    if page == 1 { Header::BYTES } else { 0 }
}

/// Length of the beginning of a page header that has the type of the page and its number of cells.
pub(crate) const HEAD_BYTES: usize = 5;

pub(crate) fn head_in_file(page: u32, page_bytes: usize) -> u64 {
    u64::from(page.saturating_sub(1)) * page_bytes as u64 + head_in_page(page) as u64
}

/// Returns the number of cells, if this is the header of a leaf page.
pub(crate) fn leaf_cells(head: [u8; HEAD_BYTES]) -> Option<u16> {
    let [LEAF | INDEX_LEAF, _, _, high, low] = head else {
        return None;
    };
    Some(u16::from_be_bytes([high, low]))
}

impl<P: Pages> Tree<P> {
    pub(crate) fn new(pages: P, root: u32, shape: Shape, kind: TreeKind) -> Self {
        let root = TreeLevel { children: vec![root], in_range: 1, ..TreeLevel::default() };
        Self {
            pages,
            shape,
            kind,
            range: RowidRange::ALL,
            seek: None,
            map: PointerMap::default(),
            levels: vec![root],
            depth: 1,
            ahead: Vec::new(),
            ahead_next: 0,
            stride: 1,
            visited: 0,
        }
    }

    /// Limits the rows to a range, before any page is read. The rows behind it are the caller's to recognize.
    pub(crate) fn within(self, range: RowidRange) -> Self {
        Self { range, seek: range.seek, ..self }
    }

    /// Returns a tree of the same file, without a root.
    pub(crate) fn anew<Q: Pages>(&self, pages: Q) -> Tree<Q> {
        Tree::new(pages, 0, self.shape, self.kind).within(self.range)
    }

    pub(crate) fn range(&self) -> RowidRange {
        self.range
    }

    pub(crate) fn kind(&self) -> TreeKind {
        self.kind
    }

    pub(crate) fn pages(&self) -> &P {
        &self.pages
    }

    #[inline(always)]
    pub(crate) fn usable_bytes(&self) -> usize {
        self.shape.usable_bytes
    }

    /// Returns the next leaf page, in the buffer; `None` after the last.
    pub(crate) fn next_leaf(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Leaf>, P::Error> {
        loop {
            if let Some(leaf) = self.leaf_ahead(buffer)? {
                return Ok(Some(leaf));
            }
            if !self.read_ahead(buffer)? {
                return Ok(None);
            }
        }
    }

    /// Estimates the number of leaf pages in the range: assumes that all interior pages have as many children as those on
    /// the current path. Where a range begins and ends below different children, both have as much of it as the first.
    pub(crate) fn expected_leaves(&self) -> u64 {
        // Leaf pages below a child that is within the range, and below the one where it begins.
        let (mut whole, mut first) = (1_u64, 1_u64);
        for level in self.levels[..self.depth].iter().rev() {
            if let Some(between) = level.in_range.checked_sub(2) {
                first = first.saturating_mul(2).saturating_add(whole.saturating_mul(between as u64));
            }
            whole = whole.saturating_mul(level.children.len() as u64);
        }
        first.min(self.shape.page_count.into())
    }

    /// Returns the next leaf page of those in the buffer.
    pub(crate) fn leaf_ahead(&mut self, buffer: &[u8]) -> Result<Option<Leaf>, P::Error> {
        while let Some(&place) = self.ahead.get(self.ahead_next) {
            self.ahead_next += 1;
            let page = &buffer[place.at..place.at + self.shape.usable_bytes];
            if let Some(cell) = place.cell {
                return Ok(Some(interior_cell(place, cell, page)));
            }
            if let Some(leaf) = self.look_at(place, page)? {
                return Ok(Some(leaf));
            }
        }
        Ok(None)
    }

    /// Examines a page. Returns a leaf page; an interior page becomes the next level, and `None` is returned.
    fn look_at(&mut self, place: TreePosition, page: &[u8]) -> Result<Option<Leaf>, P::Error> {
        let TreePosition { page: number, at, .. } = place;
        let damage = |what| Damage::of_page(number, what);
        let header = head_in_page(number);
        let cells = read_u16(page, header + 3).unwrap_or(0);
        let parent = &mut self.levels[self.depth - 1];
        match page.get(header) {
            Some(&kind) if kind == self.kind.leaf_type() => {
                parent.is_above_leaves = true;
                // There is a row, so that even a root has cells.
                if cells == 0 {
                    return Err(damage("a leaf without cells").into());
                }
                if cells > self.shape.cells_max() {
                    return Err(damage("more cells than fit").into());
                }
                let pointers = header + LEAF_HEAD_BYTES;
                let content = pointers + 2 * cells;
                let leaf = Leaf { page: number, at, cells, pointers, content, index: None };
                if self.kind != TreeKind::Table {
                    let index = Some(IndexLeaf { content, child_bytes: 0 });
                    return Ok(Some(Leaf { content: usize::MAX, index, ..leaf }));
                }
                let Some(seek) = self.seek.take() else {
                    return Ok(Some(leaf));
                };
                // Like SQLite, the next page is read if all rows of this one are before the range.
                let before = cells_before(leaf, page, seek)?;
                let leaf = Leaf { cells: cells - before, pointers: pointers + 2 * before, ..leaf };
                Ok((leaf.cells > 0).then_some(leaf))
            }
            Some(&kind) if kind == self.kind.interior_type() => {
                if parent.is_above_leaves && parent.page != 0 {
                    return Err(damage("an interior page among leaves").into());
                }
                if self.depth >= DEPTH_MAX {
                    return Err(damage("the tree is too deep").into());
                }
                // Page 1 has less room, so as a root it may have no cells and one child.
                if cells == 0 && number != 1 {
                    return Err(damage("an interior page without cells").into());
                }
                if cells > self.shape.cells_max() {
                    return Err(damage("more cells than fit").into());
                }
                self.descend(number, page, header, cells)?;
                Ok(None)
            }
            _ => Err(damage(match self.kind {
                TreeKind::Table => "not a page of a table",
                TreeKind::Index { .. } => "not a page of an index",
            })
            .into()),
        }
    }

    fn descend(&mut self, number: u32, page: &[u8], header: usize, cells: usize) -> Result<(), Damage> {
        if self.depth == self.levels.len() {
            self.levels.push(TreeLevel::default());
        }
        let level = &mut self.levels[self.depth];
        level.page = number;
        level.next = 0;
        level.last = cells;
        level.is_above_leaves = false;
        level.owes_cell = false;
        level.children.clear();
        level.content.clear();
        if self.kind != TreeKind::Table {
            level.content.extend_from_slice(page);
        }
        let pointers = header + INTERIOR_HEAD_BYTES;
        let content = pointers + 2 * cells;
        let mut key_before = None;
        for cell in 0..cells {
            let pointer = read_u16(page, pointers + 2 * cell).filter(|&pointer| pointer >= content);
            let child = pointer.and_then(|pointer| {
                let (key, _) = varint(page.get(pointer + CHILD_BYTES..)?)?;
                Some((read_u32(page, pointer)?, key.cast_signed()))
            });
            let (child, key) = child.ok_or_else(|| Damage::of_cell(number, cell, "its offset is outside the page"))?;
            level.children.push(child);
            // The key is not less than the rowids of the child.
            if self.seek.is_some_and(|seek| key < seek.key) {
                level.next = cell + 1;
            }
            if key >= self.range.last {
                level.last = level.last.min(cell);
            }
            if self.seek.is_some() && key_before.replace(key).is_some_and(|before| before >= key) {
                return Err(Damage::of_cell(number, cell, "its key is out of order"));
            }
        }
        level.in_range = (level.last + 1).saturating_sub(level.next).max(1);
        let last = read_u32(page, header + 8).ok_or_else(|| Damage::of_page(number, "no last child"))?;
        level.children.push(last);
        if let Some(cell) = level.children.iter().position(|&child| !self.shape.is_page(child)) {
            return Err(Damage::of_cell(number, cell, "a child page number outside the database"));
        }
        self.depth += 1;
        Ok(())
    }

    /// Reads the next pages: a single page of unknown type, or some leaf pages; or returns to an interior page for one of
    /// its cells. Returns `false` at the end.
    pub(crate) fn read_ahead(&mut self, buffer: &mut Vec<u8>) -> Result<bool, P::Error> {
        let level = loop {
            let Some(last) = self.depth.checked_sub(1) else {
                return Ok(false);
            };
            let level = &mut self.levels[last];
            if level.next < level.children.len() {
                break level;
            }
            self.depth = last;
        };
        self.ahead.clear();
        self.ahead_next = 0;
        if std::mem::take(&mut level.owes_cell) {
            // The buffer is overwritten, as if a page was read.
            self.pages.check()?;
            self.ahead.push(TreePosition { page: level.page, at: 0, cell: level.next.checked_sub(1) });
            level.put_content(0, buffer);
            return Ok(true);
        }
        let is_index = self.kind != TreeKind::Table;
        let first = level.children[level.next];
        let most = if level.is_above_leaves { self.stride } else { 1 };
        let in_range = level.next..=level.last.max(level.next);
        let mut last = first;
        for &child in &level.children[in_range.clone()] {
            if child < last || child - last > GAP_PAGES + 1 || child - first >= most {
                break;
            }
            last = child;
        }
        let (pages, apart) = self.pages.piece(first, last - first + 1);
        let mut last = TreePosition::default();
        let mut taken = 0;
        for &child in &level.children[in_range] {
            if child <= last.page || child < first || child - first >= pages {
                break;
            }
            if is_index && taken > 0 {
                self.ahead.push(TreePosition { page: level.page, at: 0, cell: Some(level.next + taken - 1) });
            }
            last = TreePosition { page: child, at: (child - first) as usize * apart, cell: None };
            self.ahead.push(last);
            taken += 1;
        }
        if level.is_above_leaves {
            self.stride = (2 * self.stride).min(pages_at_once(self.shape));
        }
        let bytes = last.at + self.shape.page_bytes;
        if buffer.len() < bytes + SLACK_BYTES {
            buffer.resize(bytes + SLACK_BYTES, 0);
        }
        let pages = 1 + last.page.saturating_sub(first);
        let read = self.pages.read(first, pages, &mut buffer[..bytes])?;
        if read < pages {
            // The pages are then read one by one, as SQLite does: rows before the unreadable page are still returned.
            self.ahead.truncate(1);
            self.stride = 1;
            taken = 1;
        }
        let level = &mut self.levels[self.depth - 1];
        level.next += taken;
        if is_index {
            level.owes_cell = level.next < level.children.len();
            if taken > 1 {
                level.put_content(bytes, buffer);
            }
            for place in self.ahead.iter_mut().filter(|place| place.cell.is_some()) {
                place.at = bytes;
            }
        }
        self.visit(first, u32::try_from(taken).unwrap_or(u32::MAX))?;
        // A page of zeros has no valid type, which SQLite reports as well.
        let kind = buffer.get(head_in_page(first)).copied();
        if read == 0 && kind.is_some_and(|kind| kind == self.kind.leaf_type() || kind == self.kind.interior_type()) {
            return Err(Damage::cut_off(first).into());
        }
        Ok(true)
    }

    fn visit(&mut self, page: u32, more: u32) -> Result<(), Damage> {
        self.visited = self.visited.saturating_add(more);
        if self.visited > self.shape.page_count {
            return Err(Damage::endless(page));
        }
        Ok(())
    }

    /// Appends this number of bytes of an overflow chain.
    pub(crate) fn read_overflow(
        &mut self,
        (of_page, of_cell): (u32, usize),
        first: u32,
        mut bytes: usize,
        buffer: &mut Vec<u8>,
        to: &mut Vec<u8>,
    ) -> Result<(), P::Error> {
        let damage = |what| Damage::of_cell(of_page, of_cell, what);
        let content = self.shape.usable_bytes - 4;
        let mut page = first;
        let mut ahead: u32 = 1;
        while bytes > 0 {
            if !self.shape.is_page(page) {
                return Err(damage("an overflow page number outside the database").into());
            }
            // The pages of a chain are mostly consecutive.
            let rest = u32::try_from(bytes.div_ceil(content)).unwrap_or(u32::MAX);
            let wanted = ahead.min(rest).min(self.shape.page_count - page + 1);
            let (pages, apart) = self.pages.piece(page, wanted);
            let len = (pages - 1) as usize * apart + self.shape.page_bytes;
            if buffer.len() < len {
                buffer.resize(len, 0);
            }
            let mut read = self.pages.read(page, pages, &mut buffer[..len])?;
            if read == 0 {
                // The needed part may exist, and SQLite reads no more than that.
                let needed = 4 + content.min(bytes);
                read = self.pages.read(page, 1, &mut buffer[..needed])?;
            }
            if read == 0 {
                return Err(Damage::cut_off(page).into());
            }
            for index in 0..read {
                let part = &buffer[index as usize * apart..][..self.shape.usable_bytes];
                self.visit(page, 1)?;
                let (next, part) = part.split_at(4);
                let part = &part[..content.min(bytes)];
                to.extend_from_slice(part);
                bytes -= part.len();
                let next = read_u32(next, 0).unwrap_or(0);
                if bytes > 0 && self.shape.has_map && !self.map.agrees(&mut self.pages, self.shape, page, next)? {
                    return Err(damage("the overflow page differs from the pointer map").into());
                }
                let follows = next == page + 1;
                page = next;
                if !follows || !self.shape.is_page(page) {
                    ahead = 1;
                    break;
                }
                ahead = (2 * ahead).min(pages_at_once(self.shape));
            }
            if read < pages {
                ahead = 1;
            }
        }
        Ok(())
    }
}

/// Returns the number of cells of a leaf page before the one that is looked for. SQLite's binary search finds the same one
/// if the rowids are in order; if not, SQLite must look for it.
fn cells_before(leaf: Leaf, page: &[u8], seek: RowidSeek) -> Result<usize, Damage> {
    let (mut before, mut last) = (0, None);
    for cell in 0..leaf.cells {
        let damage = |what| Damage::of_cell(leaf.page, cell, what);
        let pointer = read_u16(page, leaf.pointers + 2 * cell).filter(|&pointer| pointer >= leaf.content);
        let head = pointer.and_then(|pointer| cell_head(page, pointer));
        let (.., its) = head.ok_or_else(|| damage("its offset is outside the page"))?;
        let its = its.cast_signed();
        // A search skips a length up to a byte below 0x80, and a row has one of at most nine bytes.
        let length = pointer.and_then(|pointer| page.get(pointer..pointer + 9));
        if length.is_some_and(|length| length.iter().all(|byte| *byte >= 0x80)) {
            return Err(damage("the length of its payload has no end"));
        }
        if last.replace(its).is_some_and(|last| last >= its) {
            return Err(damage("its rowid is out of order"));
        }
        if seek.is_before(its) {
            before = cell + 1;
        }
    }
    Ok(before)
}

impl TreeLevel {
    /// Puts the page into the buffer.
    fn put_content(&self, at: usize, buffer: &mut Vec<u8>) {
        let end = at + self.content.len();
        if buffer.len() < end + SLACK_BYTES {
            buffer.resize(end + SLACK_BYTES, 0);
        }
        buffer[at..end].copy_from_slice(&self.content);
    }
}

/// Returns a cell of an interior page of an index, which was examined before its children.
fn interior_cell(place: TreePosition, cell: usize, page: &[u8]) -> Leaf {
    let TreePosition { page: number, at, .. } = place;
    let header = head_in_page(number);
    let first_pointer = header + INTERIOR_HEAD_BYTES;
    let content = first_pointer + 2 * read_u16(page, header + 3).unwrap_or(0);
    let index = Some(IndexLeaf { content, child_bytes: CHILD_BYTES });
    Leaf { page: number, at, cells: 1, pointers: first_pointer + 2 * cell, content: usize::MAX, index }
}

/// Maximum number of pages read in one piece.
fn pages_at_once(shape: Shape) -> u32 {
    u32::try_from(PIECE_BYTES / shape.page_bytes).unwrap_or(1).max(1)
}
