//! Handles made from a connection, so that closing finds those that were forgotten.

use std::ptr::NonNull;
use std::sync::Arc;

use super::{Db, OwnedDb};
use crate::raw::backup::BackupCore;
use crate::raw::blob::BlobCore;
use crate::raw::ffi;
use crate::raw::os::fork;
#[cfg(feature = "session")]
use crate::raw::session::SessionCore;
use crate::raw::stmt::StmtCore;
use crate::track::registry::{Record, Recorded};

impl Db {
    /// Returns the slot that the next call of `adopt` uses.
    pub(in crate::raw) fn next_slot(&self) -> u32 {
        self.children.borrow().next()
    }

    pub(in crate::raw) fn adopt(&self, core: NonNull<StmtCore>, statement: NonNull<ffi::sqlite3_stmt>) {
        self.children.borrow_mut().insert(Child::Statement { core, statement, record: None });
    }

    pub(in crate::raw) fn adopt_blob(&self, core: NonNull<BlobCore>) {
        self.children.borrow_mut().insert(Child::Blob(core));
    }

    pub(in crate::raw) fn adopt_backup(&self, core: NonNull<BackupCore>) {
        self.children.borrow_mut().insert(Child::Backup(core));
    }

    #[cfg(feature = "session")]
    pub(in crate::raw) fn adopt_session(&self, core: NonNull<SessionCore>) {
        self.children.borrow_mut().insert(Child::Session(core));
    }

    /// Stores a statement's record in the list.
    pub(in crate::raw) fn describe(&self, slot: u32, record: &Recorded) {
        if let Some(ChildSlot::Taken(Child::Statement { record: kept, .. })) =
            self.children.borrow_mut().slots.get_mut(slot as usize)
        {
            *kept = Some(record.share());
        }
    }

    /// Publishes the memory of each statement. Returns the sum of their bytes; `None` if there are more than `most`
    /// handles.
    pub(in crate::raw) fn publish_statements(&self, most: usize) -> Option<u64> {
        // No code that runs while the list is borrowed mutably calls this function; `try_borrow` is a safeguard.
        let children = self.children.try_borrow().ok()?;
        if children.count > most {
            return None;
        }
        Some(children.slots.iter().map(ChildSlot::publish).sum())
    }

    pub(in crate::raw) fn disown(&self, slot: u32) {
        self.children.borrow_mut().remove(slot);
    }

    /// Whether a statement of the connection may be running. Those of foreign code are not known. That of a blob calls
    /// nothing.
    pub(in crate::raw) fn may_be_running(&self) -> bool {
        let is_busy = |slot: &ChildSlot| match slot {
            // SAFETY: a statement in the list is not finalized: `release` takes it out first (rule 19);
            // c3ref/stmt_busy.html: reads a state stored in it (rule 20).
            ChildSlot::Taken(Child::Statement { statement, .. }) => unsafe {
                ffi::sqlite3_stmt_busy(statement.as_ptr()) != 0
            },
            _ => false,
        };
        self.is_given_out.get() || self.children.borrow().slots.iter().any(is_busy)
    }

    /// Returns the number of handles that are open: statements, including parked ones, blobs, sessions, and backups of
    /// which it is the source.
    pub(crate) fn child_count(&self) -> usize {
        self.children.borrow().count
    }
}

impl OwnedDb {
    pub(super) fn finalize_children(&mut self) {
        let generation = self.fork_generation.get();
        let children = self.children.borrow_mut().drain();
        for child in children.take_while(|_| generation == fork::generation()) {
            match child {
                // SAFETY: `drain` has just removed it from the list (rule 19). Its owner borrows `self`, which is
                // borrowed mutably here, so no value that could use it exists (rule 3). The connection is not
                // inherited: `close` checked it when it began, and the loop before each (rule 12).
                Child::Statement { core, .. } => unsafe {
                    StmtCore::finalize_forgotten(core, self.id, self.account);
                },
                // SAFETY: as for a statement (rules 3, 12, 16, 19).
                Child::Blob(core) => unsafe { BlobCore::close_forgotten(core, self.id, self.account) },
                // SAFETY: as for a statement (rules 3, 7, 12, 19).
                Child::Backup(core) => unsafe { BackupCore::finish_forgotten(core, self.id) },
                #[cfg(feature = "session")]
                // SAFETY: as for a statement (rules 3, 12, 16, 19).
                Child::Session(core) => unsafe { SessionCore::delete_forgotten(core, self) },
            }
        }
    }
}

/// Handles made from a connection, in a slab: each handle stores its slot, so inserting and removing need no search.
#[derive(Default)]
pub(super) struct Children {
    count: usize,
    slots: Vec<ChildSlot>,
    vacant: Option<u32>,
}

enum ChildSlot {
    Vacant { next: Option<u32> },
    Taken(Child),
}

enum Child {
    Statement {
        core: NonNull<StmtCore>,
        /// Copy of the core's pointer: the core may be borrowed exclusively elsewhere.
        statement: NonNull<ffi::sqlite3_stmt>,
        record: Option<Arc<Record>>,
    },
    Blob(NonNull<BlobCore>),
    Backup(NonNull<BackupCore>),
    #[cfg(feature = "session")]
    Session(NonNull<SessionCore>),
}

impl ChildSlot {
    fn publish(&self) -> u64 {
        let Self::Taken(Child::Statement { statement, record, .. }) = self else {
            return 0;
        };
        let ask = |operation| {
            // SAFETY: a statement in the list is not finalized: `release` takes it out first (rule 19). finalite asks
            // between its calls on the connection (rule 4), or in one if a callback that foreign code registered uses
            // the connection; c3ref/stmt_status.html: reads memory (rule 20), and with 0 resets nothing.
            let answer = unsafe { ffi::sqlite3_stmt_status(statement.as_ptr(), operation, 0) };
            u64::try_from(answer).unwrap_or(0)
        };
        let memory = ask(ffi::SQLITE_STMTSTATUS_MEMUSED);
        if let Some(record) = record {
            record.publish(memory, ask(ffi::SQLITE_STMTSTATUS_RUN));
        }
        memory
    }
}

impl Children {
    fn next(&self) -> u32 {
        self.vacant.unwrap_or_else(|| u32::try_from(self.slots.len()).expect("memory holds fewer than 2^32 handles"))
    }

    fn insert(&mut self, child: Child) {
        self.count += 1;
        match self.vacant.and_then(|slot| self.slots.get_mut(slot as usize)) {
            Some(place) => {
                if let ChildSlot::Vacant { next } = std::mem::replace(place, ChildSlot::Taken(child)) {
                    self.vacant = next;
                }
            }
            None => self.slots.push(ChildSlot::Taken(child)),
        }
    }

    fn remove(&mut self, slot: u32) {
        if let Some(place) = self.slots.get_mut(slot as usize) {
            self.count -= 1;
            *place = ChildSlot::Vacant { next: self.vacant };
            self.vacant = Some(slot);
        }
    }

    fn drain(&mut self) -> impl Iterator<Item = Child> + use<> {
        self.vacant = None;
        self.count = 0;
        std::mem::take(&mut self.slots).into_iter().filter_map(|slot| match slot {
            ChildSlot::Taken(child) => Some(child),
            ChildSlot::Vacant { .. } => None,
        })
    }
}
