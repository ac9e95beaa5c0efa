//! The map of pages that a file has which vacuums itself. SQLite asks it for the next overflow page where it does not
//! read the one before, so a chain is as SQLite sees it only where the map agrees.
//!
//! <https://sqlite.org/fileformat2.html#pointer_map_or_ptrmap_pages>

use super::format::read_u32;
use super::tree::{Pages, Shape};

/// A page of the map.
#[derive(Default)]
pub(super) struct PointerMap {
    /// 0 while none was read.
    page: u32,
    bytes: Vec<u8>,
}

/// Kinds of pages, and the one of an overflow page behind another.
const KINDS: std::ops::RangeInclusive<u8> = 1..=5;
const OVERFLOW_BEHIND_ANOTHER: u8 = 4;

const ENTRY_BYTES: usize = 5;

impl PointerMap {
    /// Whether SQLite comes from an overflow page to `next` by the map as well.
    pub(super) fn agrees<P: Pages>(
        &mut self,
        pages: &mut P,
        shape: Shape,
        page: u32,
        next: u32,
    ) -> Result<bool, P::Error> {
        // SQLite's guess: the next page that is neither one of the map nor the one of the locks.
        let mut guess = page + 1;
        while guess == map_page(shape, guess) || guess == shape.lock_page {
            guess += 1;
        }
        if guess > shape.page_count {
            return Ok(true);
        }
        let map = map_page(shape, guess);
        if self.page != map {
            self.page = 0;
            self.bytes.resize(shape.page_bytes, 0);
            pages.read(map, 1, &mut self.bytes)?;
            self.page = map;
        }
        let entry = (guess as usize).checked_sub(map as usize + 1).map(|index| index * ENTRY_BYTES);
        let entry = entry.and_then(|at| Some((*self.bytes.get(at)?, read_u32(&self.bytes, at + 1)?)));
        Ok(match entry {
            Some((OVERFLOW_BEHIND_ANOTHER, parent)) if parent == page => next == guess,
            Some((kind, _)) => KINDS.contains(&kind),
            None => false,
        })
    }
}

/// The page of the map that tells of a page; of itself where it is one.
fn map_page(shape: Shape, page: u32) -> u32 {
    let group = u32::try_from(shape.usable_bytes / ENTRY_BYTES + 1).unwrap_or(u32::MAX);
    let map = page.saturating_sub(2) / group * group + 2;
    if map == shape.lock_page { map + 1 } else { map }
}
