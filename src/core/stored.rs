//! Statements that are kept for a key, which finds them without their SQL. They are never evicted.

use std::borrow::Cow;
use std::ptr;

use crate::raw::Parked;

/// Statements of a connection that have a key.
#[derive(Default)]
pub(crate) struct StoredStatements {
    slots: Vec<Slot>,
    /// Slots of texts that are never freed, by the address of the text: a hash table with open addressing, whose length
    /// is a power of two and more than twice the number of slots.
    by_address: Vec<Option<u32>>,
    /// Number of statements that are not in use.
    parked: usize,
}

struct Slot {
    sql: Cow<'static, str>,
    /// `None` while it is in use, or not prepared.
    statement: Option<Parked>,
}

impl StoredStatements {
    pub(crate) fn parked(&self) -> usize {
        self.parked
    }

    /// Returns the slot of a text that is never freed: the same for every call with this text at this address.
    #[inline]
    pub(crate) fn slot_of(&mut self, sql: &'static str) -> u32 {
        match self.find(sql) {
            Some(slot) => slot,
            None => self.add_static(sql),
        }
    }

    #[inline]
    fn find(&self, sql: &'static str) -> Option<u32> {
        let last = self.by_address.len().checked_sub(1)?;
        let mut index = address_hash(sql);
        loop {
            let slot = self.by_address[index & last]?;
            if ptr::eq(&raw const *self.slots[slot as usize].sql, &raw const *sql) {
                return Some(slot);
            }
            index += 1;
        }
    }

    #[cold]
    fn add_static(&mut self, sql: &'static str) -> u32 {
        let slot = self.add(Cow::Borrowed(sql));
        if 2 * self.slots.len() >= self.by_address.len() {
            self.by_address = vec![None; (4 * self.slots.len()).next_power_of_two()];
            for other in 0..slot {
                self.link(other);
            }
        }
        self.link(slot);
        slot
    }

    fn link(&mut self, slot: u32) {
        let Cow::Borrowed(sql) = self.slots[slot as usize].sql else { return };
        let last = self.by_address.len() - 1;
        let mut index = address_hash(sql);
        while self.by_address[index & last].is_some() {
            index += 1;
        }
        self.by_address[index & last] = Some(slot);
    }

    /// Returns the slot of a text, which is the same for every call with an equal text.
    pub(crate) fn slot_of_copy(&mut self, sql: &str) -> u32 {
        let known = self.slots.iter().position(|slot| matches!(&slot.sql, Cow::Owned(known) if known == sql));
        known.map_or_else(|| self.add(Cow::Owned(sql.to_owned())), number)
    }

    fn add(&mut self, sql: Cow<'static, str>) -> u32 {
        self.slots.push(Slot { sql, statement: None });
        number(self.slots.len() - 1)
    }

    /// Takes out the statement of a slot, if there is one.
    #[inline]
    pub(crate) fn take(&mut self, slot: u32) -> Option<Parked> {
        let statement = self.slots.get_mut(slot as usize)?.statement.take()?;
        self.parked -= 1;
        Some(statement)
    }

    /// Returns the SQL of a slot.
    pub(crate) fn sql(&self, slot: u32) -> Option<Cow<'static, str>> {
        self.slots.get(slot as usize).map(|slot| slot.sql.clone())
    }

    /// Puts a statement into its slot. Returns it if another is there, prepared while this one was in use.
    #[inline]
    pub(crate) fn put_back(&mut self, statement: Parked, slot: u32) -> Option<Parked> {
        match self.slots.get_mut(slot as usize) {
            Some(slot) if slot.statement.is_none() => {
                slot.statement = Some(statement);
                self.parked += 1;
                None
            }
            _ => Some(statement),
        }
    }

    /// Removes all statements, and returns them. The slots stay.
    pub(crate) fn take_all(&mut self) -> Vec<Parked> {
        self.parked = 0;
        self.slots.iter_mut().filter_map(|slot| slot.statement.take()).collect()
    }
}

fn number(slot: usize) -> u32 {
    u32::try_from(slot).expect("memory holds fewer than 2^32 statements")
}

/// Spreads the addresses of neighbouring texts.
#[inline]
fn address_hash(sql: &str) -> usize {
    // Near the golden ratio.
    const MULTIPLIER: usize = usize::MAX / 13 * 8 + 1;
    sql.as_ptr().addr().wrapping_mul(MULTIPLIER) >> (usize::BITS / 2)
}
