//! Decodes the pages of one scan on several threads.
//!
//! ```text
//! calling thread                              worker threads
//!   read_ahead: pages -> Task -> todo ----------> decode
//!                                                   |
//!   next: tasks in their order <- done <------------+
//!   fill: rows that need the connection
//!   finish: buffers are used again
//! ```
//!
//! A connection stays on one thread. The calling thread alone reads pages, calls the caller's code, and decodes the
//! rows that need more pages (an overflow chain) or a query to SQLite (an unknown default). Such a row is an
//! [`UndecodedRow`] in the decoded part. Worker threads have no connection: they decode leaf pages from shared buffers,
//! and leave those rows out.
//!
//! Tasks are completed in any order, and returned in the order of their numbers. Instead of waiting, the calling thread
//! decodes a task that no worker has taken. A scan therefore also ends if the system starts no thread.

use std::any::Any;
use std::collections::VecDeque;
use std::mem;
use std::ops::{Deref, Range};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::lookup::KeyValue;
use super::snapshot::ReadError;
use super::{End, Outcome, PageRows, key_of};
use crate::Connection;
use crate::btree::cells::{Cells, Defaults, Reader, Step};
use crate::btree::condition::Verdict;
use crate::btree::format::Damage;
use crate::btree::leading::Candidate;
use crate::btree::tree::{Leaf, Pages, SLACK_BYTES};
use crate::error::Result;
use crate::statement::Row;
use crate::worker::Worker;

/// Destination of decoded rows.
pub(crate) trait Part: Clone + Send + 'static {
    /// Adds the current row of the cells.
    fn push(&mut self, cells: &Cells<Piece>);

    /// Removes the rows, and keeps the capacity.
    fn forget(&mut self);
}

/// Pages as they were read, shared by all threads that decode them.
#[derive(Clone, Default)]
pub(crate) struct Piece(Arc<Vec<u8>>);

impl Deref for Piece {
    type Target = [u8];

    #[inline(always)]
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Limits of the parts into which rows are divided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Split {
    /// Maximum number of threads, the calling one included.
    pub(crate) threads: usize,
    /// Maximum number of rows of a part.
    pub(crate) rows: u64,
    /// Number of bytes of pages after which a part ends, at the end of a leaf page.
    pub(crate) bytes: usize,
    /// Maximum number of rows of all parts together.
    pub(crate) limit: u64,
}

/// Range of rows of a leaf page.
struct Span {
    piece: Piece,
    leaf: Leaf,
    cells: Range<usize>,
    /// Number of rows of the table before the first of them.
    first: u64,
}

/// A row that only the calling thread can decode, and whose condition it evaluates.
struct UndecodedRow {
    /// Number of rows of the part before it.
    before: usize,
    span: usize,
    cell: usize,
}

/// Result of decoding one row by the calling thread.
pub(crate) enum Filled<'row> {
    Row(Row<'row>),
    /// The row does not meet the condition.
    Unwanted,
    /// The row cannot be decoded; the reason is [`PageRows::end`].
    Ended,
}

/// Rows to decode, and the decoded rows.
pub(crate) struct Task<T> {
    number: u64,
    spans: Vec<Span>,
    defaults: Defaults,
    part: T,
    holes: VecDeque<UndecodedRow>,
    /// The error after the last decoded row, if the next one does not decode.
    damage: Option<Damage>,
    last_rowid: i64,
}

impl<T> Task<T> {
    pub(crate) fn part(&mut self) -> &mut T {
        &mut self.part
    }

    /// Number of rows of the part before the next undecoded row; `None` if none is left.
    pub(crate) fn next_undecoded(&self) -> Option<usize> {
        self.holes.front().map(|undecoded| undecoded.before)
    }
}

/// State shared by the threads.
struct Shared<T> {
    state: Mutex<State<T>>,
    /// Signals a new task, or the end.
    todo: Condvar,
    /// Signals a completed task.
    done: Condvar,
}

struct State<T> {
    todo: VecDeque<Task<T>>,
    done: Vec<Task<T>>,
    is_over: bool,
    panic: Option<Box<dyn Any + Send>>,
}

impl<T> Shared<T> {
    /// Locks the state. No code that runs under the lock panics, so poisoning is ignored.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The worker threads. Dropping this value waits until they have ended, however the scan ends.
struct Threads<'rows, T> {
    shared: Arc<Shared<T>>,
    started: Vec<Worker>,
    /// Number of threads that may still be started.
    more: usize,
    conn: &'rows Connection,
}

impl<T: Part> Threads<'_, T> {
    fn start(&mut self, decoder: Decoder) {
        let shared = Arc::clone(&self.shared);
        match Worker::start("finalite-scan", move |_| work(&shared, decoder)) {
            Ok(worker) => {
                self.started.push(worker);
                self.more -= 1;
            }
            // The system starts no more threads.
            Err(_) => self.more = 0,
        }
    }
}

impl<T> Drop for Threads<'_, T> {
    fn drop(&mut self) {
        // A child process has none of these threads, and a lock that one of them held at the fork is never released.
        if !self.conn.db().is_inherited() {
            self.shared.lock().is_over = true;
            self.shared.todo.notify_all();
        }
        // Each worker joins its thread.
    }
}

fn work<T: Part>(shared: &Shared<T>, mut decoder: Decoder) {
    let mut state = shared.lock();
    while !state.is_over {
        let Some(mut task) = state.todo.pop_front() else {
            state = shared.todo.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        drop(state);
        let decoded = panic::catch_unwind(AssertUnwindSafe(|| decoder.decode(&mut task)));
        state = shared.lock();
        match decoded {
            Ok(()) => state.done.push(task),
            Err(panic) => state.panic = Some(panic),
        }
        shared.done.notify_one();
    }
}

/// Decodes tasks without a connection.
struct Decoder {
    reader: Reader<NoPages>,
    cells: Cells<Piece>,
}

/// Source of pages that has none: a decoder has only the leaf page in its buffer.
struct NoPages;

enum Stopped {
    Damage(Damage),
    /// The row needs other pages.
    More,
}

impl From<Damage> for Stopped {
    fn from(damage: Damage) -> Self {
        Self::Damage(damage)
    }
}

impl Pages for NoPages {
    type Error = Stopped;

    fn piece(&self, _: u32, _: u32) -> (u32, usize) {
        (1, 0)
    }

    fn read(&mut self, _: u32, _: u32, _: &mut [u8]) -> Result<u32, Stopped> {
        Err(Stopped::More)
    }
}

impl Decoder {
    fn of(pages: &mut PageRows<'_>) -> Self {
        let reader = pages.reader.anew(NoPages);
        Self { reader, cells: pages.record.cells.in_another(Piece::default()) }
    }

    fn decode<T: Part>(&mut self, task: &mut Task<T>) {
        self.cells.defaults = Arc::clone(&task.defaults);
        let (mut before, mut is_over) = (0, false);
        for (index, span) in task.spans.iter_mut().enumerate() {
            mem::swap(&mut span.piece, &mut self.cells.buffer);
            self.reader.go_to(span.leaf, span.cells.start, 0);
            while let Some(Candidate { cell, is_wanted }) = self.reader.next_candidate(span.cells.end, &self.cells) {
                match self.reader.read_cell(cell, &mut self.cells) {
                    Ok(Step::Row) => match if is_wanted { Verdict::Accept } else { self.cells.verdict() } {
                        Verdict::Accept => {
                            task.part.push(&self.cells);
                            before += 1;
                        }
                        Verdict::Reject => {}
                        Verdict::Unknown => task.holes.push_back(UndecodedRow { before, span: index, cell }),
                    },
                    Ok(Step::RowWithoutDefaults | Step::RowWithoutVerdict) | Err(Stopped::More) => {
                        task.holes.push_back(UndecodedRow { before, span: index, cell });
                    }
                    // A row behind the range, at which the calling thread ends.
                    Ok(Step::End) => {
                        task.holes.push_back(UndecodedRow { before, span: index, cell });
                        is_over = true;
                        break;
                    }
                    Err(Stopped::Damage(damage)) => {
                        task.damage = Some(damage);
                        is_over = true;
                        break;
                    }
                }
            }
            mem::swap(&mut span.piece, &mut self.cells.buffer);
            if is_over {
                break;
            }
        }
        task.last_rowid = self.cells.rowid;
    }
}

/// The calling thread's side: worker threads, tasks, and the position in the tree.
pub(crate) struct DecoderThreads<'threads, 'rows, T> {
    pages: &'threads mut PageRows<'rows>,
    threads: Threads<'rows, T>,
    split: Split,
    decoder: Decoder,
    /// Position at which reading continues.
    piece: Piece,
    leaf: Leaf,
    cell: usize,
    /// Number of rows in all tasks so far.
    rows: u64,
    /// Number of tasks created, and number of tasks returned by `next`.
    made: u64,
    handed_over: u64,
    /// Result of reading, once there is nothing more to read or a read has failed.
    read_end: Option<Result<(), ReadError>>,
    empty_part: T,
    spare_parts: Vec<T>,
    spare_buffers: Vec<Vec<u8>>,
    /// Rows of the last task, in an index: a statement may have to continue after the last of them.
    last_spans: Vec<Span>,
    /// Position of the row that was decoded last by the calling thread.
    filled: Option<(u32, usize)>,
}

impl<'threads, 'rows, T: Part> DecoderThreads<'threads, 'rows, T> {
    /// Prepares the decoding of all rows; no row may have been read yet. Dropping this value ends the threads.
    pub(crate) fn new(pages: &'threads mut PageRows<'rows>, split: Split, empty_part: T) -> Self {
        let state = State { todo: VecDeque::new(), done: Vec::new(), is_over: false, panic: None };
        let shared = Arc::new(Shared { state: Mutex::new(state), todo: Condvar::new(), done: Condvar::new() });
        let threads = Threads { shared, started: Vec::new(), more: split.threads.saturating_sub(1), conn: pages.conn };
        let decoder = Decoder::of(pages);
        let piece = Piece(Arc::new(mem::take(&mut pages.record.cells.buffer)));
        let leaf = pages.reader.leave();
        Self {
            pages,
            threads,
            split,
            decoder,
            piece,
            leaf,
            cell: 0,
            rows: 0,
            made: 0,
            handed_over: 0,
            read_end: None,
            empty_part,
            spare_parts: Vec::new(),
            spare_buffers: Vec::new(),
            last_spans: Vec::new(),
            filled: None,
        }
    }
}

impl<T: Part> DecoderThreads<'_, '_, T> {
    /// Returns the next task with its rows decoded, in the order of the table; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Task<T>>> {
        let is_all_read = matches!(self.read_end, Some(Ok(()))) && self.handed_over == self.made;
        let is_inherited = self.threads.conn.db().is_inherited();
        // The pages read ahead belong to the same snapshot. They are discarded after a write or an interrupt: SQLite
        // must supply newer rows. In a child process nothing is read, and there are no worker threads.
        if (!is_all_read || is_inherited)
            && let Err(error) = self.pages.reader.pages().check()
        {
            return self.end(Err(error));
        }
        self.read_ahead();
        if self.handed_over == self.made {
            let end = self.read_end.take().unwrap_or(Ok(()));
            return self.end(end);
        }
        let shared = &*self.threads.shared;
        let mut state = shared.lock();
        loop {
            if let Some(panic) = state.panic.take() {
                drop(state);
                panic::resume_unwind(panic);
            }
            if let Some(index) = state.done.iter().position(|task| task.number == self.handed_over) {
                self.handed_over += 1;
                return Ok(Some(state.done.swap_remove(index)));
            }
            state = match state.todo.pop_front() {
                Some(mut task) => {
                    drop(state);
                    self.decoder.decode(&mut task);
                    let mut state = shared.lock();
                    state.done.push(task);
                    state
                }
                None => shared.done.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn end(&mut self, end: Result<(), ReadError>) -> Result<Option<Task<T>>> {
        self.pages.reader.leave();
        let is_written = matches!(end, Err(ReadError::Written));
        self.pages.next_otherwise(end.map(|()| Step::End))?;
        if is_written {
            self.note_key_before(&[]);
        }
        Ok(None)
    }

    /// Notes the key of the last of these rows of an index, or of the last task. The connection has written since, so no
    /// other page is read for it.
    fn note_key_before(&mut self, rows: &[(&Span, Range<usize>)]) {
        if self.pages.is_of_index() {
            // Without a key, there is no statement for the remaining rows.
            self.pages.last_key = Some(self.key_before(rows).unwrap_or_default());
        }
    }

    fn key_before(&mut self, rows: &[(&Span, Range<usize>)]) -> Option<Vec<KeyValue>> {
        let last = self.last_spans.iter().map(|span| (span, span.cells.clone()));
        let all: Vec<_> = last.chain(rows.iter().cloned()).collect();
        for (Span { piece, leaf, .. }, cells) in all.into_iter().rev() {
            self.decoder.cells.buffer = piece.clone();
            self.decoder.reader.go_to(*leaf, 0, 0);
            for cell in cells.rev() {
                match self.decoder.reader.read_cell(cell, &mut self.decoder.cells) {
                    Ok(_) => return Some(key_of(&self.decoder.cells)),
                    Err(_) if self.filled == Some(leaf.position(cell)) => {
                        return Some(key_of(&self.pages.record.cells));
                    }
                    // It continues on other pages, and was rejected by what is on this one.
                    Err(_) => {}
                }
            }
        }
        None
    }

    /// Decodes the next undecoded row.
    pub(crate) fn fill(&mut self, task: &mut Task<T>) -> Result<Filled<'_>> {
        let Some(UndecodedRow { span, cell, .. }) = task.holes.pop_front() else {
            return Ok(Filled::Ended);
        };
        let Span { piece, leaf, cells, first } = &task.spans[span];
        let position = leaf.position(cell);
        let reader = &mut self.pages.reader;
        if !reader.is_at(leaf.page) {
            let buffer = &mut self.pages.record.cells.buffer;
            buffer.clear();
            buffer.extend_from_slice(&piece[leaf.at..][..reader.tree().usable_bytes()]);
            buffer.extend_from_slice(&[0; SLACK_BYTES]);
        }
        reader.go_to(Leaf { at: 0, ..*leaf }, cell, first + (cell - cells.start) as u64);
        Ok(match self.pages.step()? {
            Outcome::Row => {
                self.filled = Some(position);
                Filled::Row(self.pages.row())
            }
            Outcome::Unwanted => {
                self.filled = Some(position);
                Filled::Unwanted
            }
            Outcome::Ended => {
                if self.pages.end == End::Written && !self.pages.owes_row {
                    let mut before: Vec<_> = task.spans[..span].iter().map(|span| (span, span.cells.clone())).collect();
                    before.push((&task.spans[span], cells.start..cell));
                    self.note_key_before(&before);
                }
                Filled::Ended
            }
        })
    }

    /// Takes a task back after all its rows were read. Returns `false` if the scan has ended; the reason is
    /// [`PageRows::end`].
    pub(crate) fn finish(&mut self, task: Task<T>) -> Result<bool> {
        let Task { spans, mut part, damage, last_rowid, .. } = task;
        if let Some(damage) = damage {
            self.end(Err(damage.into()))?;
            return Ok(false);
        }
        self.pages.record.cells.rowid = last_rowid;
        let spans = if self.pages.is_of_index() { mem::replace(&mut self.last_spans, spans) } else { spans };
        self.spare_buffers.extend(spans.into_iter().filter_map(|span| Arc::into_inner(span.piece.0)));
        part.forget();
        self.spare_parts.push(part);
        Ok(true)
    }

    /// Reads pages and queues tasks, up to the limit of read-ahead.
    fn read_ahead(&mut self) {
        /// One to work on and one to take next, for each thread.
        const TASKS_PER_THREAD: u64 = 2;
        let most = TASKS_PER_THREAD * self.split.threads as u64;
        while self.read_end.is_none() && self.made - self.handed_over < most {
            let spans = self.read_spans();
            if spans.is_empty() {
                continue;
            }
            let task = Task {
                number: self.made,
                spans,
                defaults: Arc::clone(&self.pages.record.cells.defaults),
                part: self.spare_parts.pop().unwrap_or_else(|| self.empty_part.clone()),
                holes: VecDeque::new(),
                damage: None,
                last_rowid: 0,
            };
            self.made += 1;
            let shared = &*self.threads.shared;
            let mut state = shared.lock();
            state.todo.push_back(task);
            let waiting = state.todo.len();
            drop(state);
            shared.todo.notify_one();
            // The calling thread is enough for the first task.
            if waiting > 1 && self.threads.more > 0 {
                self.threads.start(Decoder::of(self.pages));
            }
        }
    }

    /// Returns the rows of the next task; none at the end.
    fn read_spans(&mut self) -> Vec<Span> {
        let usable_bytes = self.pages.reader.tree().usable_bytes();
        let Split { rows, bytes, limit, .. } = self.split;
        // If a part has ended early, the next one ends where that part would have ended.
        let end = limit.min(self.rows - self.rows % rows + rows);
        let mut spans = Vec::new();
        while self.rows < end {
            if self.cell == self.leaf.cells {
                if spans.len() * usable_bytes >= bytes {
                    break;
                }
                match self.next_leaf() {
                    Ok(true) => continue,
                    Ok(false) => self.read_end = Some(Ok(())),
                    Err(error) => self.read_end = Some(Err(error)),
                }
                break;
            }
            let from = self.cell;
            let left = usize::try_from(end - self.rows).unwrap_or(usize::MAX);
            self.cell += left.min(self.leaf.cells - from);
            spans.push(Span { piece: self.piece.clone(), leaf: self.leaf, cells: from..self.cell, first: self.rows });
            self.rows += (self.cell - from) as u64;
        }
        if self.rows == limit {
            self.read_end.get_or_insert(Ok(()));
        }
        spans
    }

    /// Moves to the next leaf page, and reads pages if needed. Returns `false` at the end.
    fn next_leaf(&mut self) -> Result<bool, ReadError> {
        (self.leaf, self.cell) = (Leaf::default(), 0);
        let tree = self.pages.reader.tree();
        loop {
            if let Some(leaf) = tree.leaf_ahead(&self.piece)? {
                self.leaf = leaf;
                return Ok(true);
            }
            let mut buffer = match Arc::get_mut(&mut self.piece.0) {
                Some(buffer) => mem::take(buffer),
                None => self.spare_buffers.pop().unwrap_or_default(),
            };
            let is_read = tree.read_ahead(&mut buffer);
            self.piece = Piece(Arc::new(buffer));
            if !is_read? {
                return Ok(false);
            }
        }
    }
}
