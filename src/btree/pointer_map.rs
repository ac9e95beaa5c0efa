//! Pointer-map pages of an auto-vacuum database. SQLite uses them to find the next overflow page without reading the
//! one before. An overflow chain is what SQLite reads only where the pointer map agrees with it.
//!
//! <https://sqlite.org/fileformat2.html#pointer_map_or_ptrmap_pages>

use super::format::read_u32;
use super::tree::{Pages, Shape};

/// A pointer-map page.
#[derive(Default)]
pub(crate) struct PointerMap {
    /// Number of the page; 0 if none was read.
    page: u32,
    bytes: Vec<u8>,
}

/// Valid page types in the map, and the type of an overflow page that follows another.
const KINDS: std::ops::RangeInclusive<u8> = 1..=5;
const OVERFLOW_BEHIND_ANOTHER: u8 = 4;

const ENTRY_BYTES: usize = 5;

impl PointerMap {
    /// Whether the pointer map also leads SQLite from an overflow page to `next`.
    pub(crate) fn agrees<P: Pages>(
        &mut self,
        pages: &mut P,
        shape: Shape,
        page: u32,
        next: u32,
    ) -> Result<bool, P::Error> {
        // SQLite's guess: the next page that is neither a pointer-map page nor the lock page.
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

/// Returns the pointer-map page with the entry of a page; for a pointer-map page, the page itself.
fn map_page(shape: Shape, page: u32) -> u32 {
    let group = u32::try_from(shape.usable_bytes / ENTRY_BYTES + 1).unwrap_or(u32::MAX);
    let map = page.saturating_sub(2) / group * group + 2;
    if map == shape.lock_page { map + 1 } else { map }
}
