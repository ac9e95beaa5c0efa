//! [`Link`]: one session with a node, its requests and answers, and what is known when it ends.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::mem;
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::{Duration, Instant};

use finalite::workspace::{Process, skip_blank};
use tracing::{debug, warn};

use crate::error::{Error, ErrorKind, Lost, Result};
use crate::stats;
use crate::stream::Stream;
use crate::wire::{Answer, Failure, Header, Incoming, PROTOCOL, Prepared, Request, Schema, answer, ends_rows};

/// SQLite's code for "not the leader": `SQLITE_IOERR | 40 << 8`.
const NOT_LEADER: u64 = 10250;
/// SQLite's code for "leadership lost": `SQLITE_IOERR | 41 << 8`.
const LEADERSHIP_LOST: u64 = 10506;
/// Codes of dqlite's own for a message that the node does not take.
const PROTOCOL_CODES: [u64; 2] = [1001, 1005];

/// The changes that a request can store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    Read,
    /// Something at once, unless a transaction is open.
    Write,
    /// A transaction.
    Commit,
}

/// The state of a transaction of the session, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tx {
    /// None is open.
    None,
    /// One is open.
    Open,
    /// SQLite has failed a statement since, and may have rolled back. The next request first finds out.
    Doubtful,
    /// SQLite has rolled back, and its guard is still there: nothing is sent for it.
    RolledBack,
}

/// Limits of a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Time of one read or write.
    pub(crate) io: Duration,
    /// Time of a whole request, or of a whole answer, if its bytes keep moving.
    pub(crate) whole: Duration,
    /// Bytes of one answer.
    pub(crate) message_bytes_max: usize,
    /// Bytes of a result that are read to its end when its rows are dropped early.
    pub(crate) drain_bytes_max: usize,
    /// Bytes of a result that are kept for its rows while the session does something else.
    pub(crate) keep_bytes_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready,
    /// The node is sending the rows of this cursor.
    Streaming(Cursor),
    Dead(&'static str),
}

/// A result that is being read: a number within the session.
pub(crate) type Cursor = u64;

/// The connection of a session, which its pool can end, too. `None` once it was ended.
struct Shared(Mutex<Option<Box<dyn Stream>>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<Box<dyn Stream>>> {
        // A stream that has panicked has left its session midway, which ends.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs this on the stream. It is locked meanwhile.
    fn with<T>(&self, run: impl FnOnce(&mut dyn Stream) -> io::Result<T>) -> io::Result<T> {
        match &mut *self.lock() {
            Some(stream) => run(&mut **stream),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn end(mut stream: MutexGuard<'_, Option<Box<dyn Stream>>>) {
        if let Some(stream) = stream.take() {
            stream.shut_down();
            stats::session_closed();
        }
    }
}

/// Ends the connection of a session from outside.
#[derive(Clone)]
pub(crate) struct Ender(Weak<Shared>);

impl Ender {
    /// Ends it, unless it is being read from or written to.
    pub(crate) fn end_idle(&self) {
        if let Some(shared) = self.0.upgrade() {
            match shared.0.try_lock() {
                Ok(stream) => Shared::end(stream),
                Err(TryLockError::Poisoned(stream)) => Shared::end(stream.into_inner()),
                Err(TryLockError::WouldBlock) => {}
            }
        }
    }
}

pub(crate) struct Link {
    stream: Arc<Shared>,
    address: Box<str>,
    limits: Limits,
    process: Process,
    incoming: Incoming,
    outgoing: Vec<u8>,
    body: Vec<u8>,
    schema: Schema,
    state: State,
    /// Whether a request, or an answer, is on its way. It stays so if code of the program panics in between.
    is_midway: bool,
    /// The end of the time for what is on its way.
    until: Option<Instant>,
    /// The end of the time for all requests of opening.
    open_until: Option<Instant>,
    /// The time that the stream was told.
    timeout: Duration,
    tx: Tx,
    /// Whether the last failure leaves a transaction to be run again: the write lock was taken, or the node not the leader.
    may_repeat: bool,
    last_cursor: Cursor,
    /// Of the statement whose rows arrive.
    rows_effect: Effect,
    /// Batches that were read for cursors while the session did something else.
    kept: HashMap<Cursor, VecDeque<Result<Vec<u8>>>>,
    /// Statements of the node, and the places that prepared them.
    live: HashMap<u32, &'static Location<'static>>,
    /// Statements that were dropped while rows were arriving.
    to_finalize: Vec<u32>,
}

impl Link {
    /// Greets the node.
    pub(crate) fn connect(stream: Box<dyn Stream>, address: &str, limits: Limits) -> io::Result<Self> {
        stream.set_timeout(limits.io)?;
        stream.acknowledge();
        stats::session_opened();
        Ok(Self {
            stream: Arc::new(Shared(Mutex::new(Some(stream)))),
            address: address.into(),
            limits,
            process: Process::this(),
            incoming: Incoming::new(limits.message_bytes_max),
            // Sent with the first request.
            outgoing: PROTOCOL.to_vec(),
            body: Vec::new(),
            schema: Schema::V0,
            state: State::Ready,
            is_midway: false,
            until: None,
            open_until: None,
            timeout: limits.io,
            tx: Tx::None,
            may_repeat: false,
            last_cursor: 0,
            rows_effect: Effect::Read,
            kept: HashMap::new(),
            live: HashMap::new(),
            to_finalize: Vec::new(),
        })
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Whether requests can be sent. Not after one that was interrupted: its answer would be taken for that of the next.
    pub(crate) fn is_alive(&self) -> bool {
        !self.is_over() && !self.is_midway
    }

    fn is_over(&self) -> bool {
        matches!(self.state, State::Dead(_))
    }

    pub(crate) fn ender(&self) -> Ender {
        Ender(Arc::downgrade(&self.stream))
    }

    pub(crate) fn is_newer(&self) -> bool {
        self.schema == Schema::V1
    }

    pub(crate) fn set_newer(&mut self, is_newer: bool) {
        self.schema = if is_newer { Schema::V1 } else { Schema::V0 };
    }

    pub(crate) fn tx(&self) -> Tx {
        self.tx
    }

    pub(crate) fn set_tx(&mut self, tx: Tx) {
        self.tx = tx;
    }

    /// Sets the limits of later requests, which moreover all end by this time, if there is one.
    pub(crate) fn set_limits(&mut self, limits: Limits, until: Option<Instant>) {
        self.limits = limits;
        self.open_until = until;
    }

    /// Sends a request as [`call`](Self::call) does, within a time of its own.
    pub(crate) fn call_within(&mut self, time: Duration, request: Request<'_>, effect: Effect) -> Result<Answer> {
        let limits = self.limits;
        self.limits = Limits { io: limits.io.min(time), whole: time, ..limits };
        let answer = self.call(request, effect);
        self.limits = limits;
        answer
    }

    /// Returns whether a transaction may be run again after its last failure, and forgets it.
    pub(crate) fn take_may_repeat(&mut self) -> bool {
        mem::take(&mut self.may_repeat)
    }

    /// Number of statements of the node that are not finalized.
    pub(crate) fn live_statements(&self) -> usize {
        self.live.len()
    }

    /// Sends a request whose answer is one message without rows.
    pub(crate) fn call(&mut self, request: Request<'_>, effect: Effect) -> Result<Answer> {
        self.make_ready()?;
        self.settle()?;
        self.exchange(&request, effect)
    }

    fn exchange(&mut self, request: &Request<'_>, effect: Effect) -> Result<Answer> {
        self.send(request, effect)?;
        let header = self.receive(effect)?;
        self.read_answer(header, effect)
    }

    /// Finds out whether the transaction is still open after a failure. SQLite rolls back by itself at `ON CONFLICT
    /// ROLLBACK`, `RAISE(ROLLBACK)` and some errors; what is then executed would be stored by itself.
    fn settle(&mut self) -> Result<()> {
        if self.tx == Tx::Doubtful {
            // Fails within a transaction.
            match self.exchange(&Request::ExecSql { sql: "BEGIN", params: &[] }, Effect::Read) {
                Err(error) if error.code() == Some(finalite::ResultCode::ERROR) => self.tx = Tx::Open,
                Ok(Answer::Result { .. }) => self.roll_back_own()?,
                Ok(_) => return Err(self.unexpected("another answer than a result", Effect::Read)),
                Err(error) => {
                    self.die("it is unknown whether a transaction is open");
                    return Err(error);
                }
            }
            self.may_repeat = false;
        }
        match self.tx {
            Tx::RolledBack => Err(Error::refused("SQLite has rolled back the transaction: begin another")),
            _ => Ok(()),
        }
    }

    /// Rolls back the transaction that [`settle`](Self::settle) has begun.
    fn roll_back_own(&mut self) -> Result<()> {
        self.tx = Tx::None;
        self.roll_back()?;
        self.tx = Tx::RolledBack;
        Ok(())
    }

    /// Rolls back. A transaction that SQLite has rolled back already is no error. A session on which it fails, or could
    /// not be sent, ends: its node rolls back.
    pub(crate) fn roll_back(&mut self) -> Result<()> {
        if self.tx == Tx::RolledBack {
            self.tx = Tx::None;
            return Ok(());
        }
        let was = self.tx;
        let result = self
            .make_ready()
            .and_then(|()| self.exchange(&Request::ExecSql { sql: "ROLLBACK", params: &[] }, Effect::Read));
        let is_gone = match &result {
            Ok(answer) => matches!(answer, Answer::Result { .. }),
            Err(error) => was == Tx::Doubtful && error.code() == Some(finalite::ResultCode::ERROR),
        };
        if is_gone {
            self.tx = Tx::None;
            return Ok(());
        }
        self.die("a transaction could not be rolled back");
        match result {
            Ok(_) => Err(Error::protocol("another answer than a result")),
            Err(error) => Err(error),
        }
    }

    /// Prepares a statement.
    pub(crate) fn prepare(&mut self, sql: &str, site: &'static Location<'static>) -> Result<Prepared> {
        match self.call(Request::Prepare { sql }, Effect::Read)? {
            Answer::Stmt(prepared) => {
                if self.live.insert(prepared.id, site).is_some() {
                    return Err(self.unexpected("the number of a statement that is not finalized", Effect::Read));
                }
                stats::statement_prepared(site);
                let tail = usize::try_from(prepared.tail).ok().and_then(|tail| sql.get(tail..));
                // One that begins at 0 is not told, or the empty statement, which is a failure.
                if prepared.tail > 0 && tail.is_some_and(|tail| !skip_blank(tail).is_empty()) {
                    self.finalize_now(prepared.id)?;
                    return Err(Error::refused("the SQL has more than one statement: `execute_batch` runs several"));
                }
                Ok(prepared)
            }
            _ => Err(self.unexpected("another answer than a statement", Effect::Read)),
        }
    }

    /// Finalizes a statement, now or, while rows are arriving, before the next request.
    pub(crate) fn finalize(&mut self, statement: u32) -> Result<()> {
        // Nothing is sent twice, nothing by the wrong process, nothing to a node that has freed the statement.
        let is_known = self.live.contains_key(&statement) && !self.to_finalize.contains(&statement);
        if !self.process.is_this() || !is_known || self.check_whole().is_err() {
            return Ok(());
        }
        if matches!(self.state, State::Streaming(_)) {
            self.to_finalize.push(statement);
            return Ok(());
        }
        self.flush()?;
        self.finalize_now(statement)
    }

    fn finalize_now(&mut self, statement: u32) -> Result<()> {
        if let Some(site) = self.live.remove(&statement) {
            stats::statement_finalized(site);
        }
        match self.exchange(&Request::Finalize { statement }, Effect::Read)? {
            Answer::Empty => Ok(()),
            _ => Err(self.unexpected("another answer than that a statement is finalized", Effect::Read)),
        }
    }

    fn flush(&mut self) -> Result<()> {
        while let Some(statement) = self.to_finalize.pop() {
            self.finalize_now(statement)?;
        }
        Ok(())
    }

    /// Finalizes statements that were forgotten, and returns their number.
    pub(crate) fn finalize_all(&mut self) -> Result<usize> {
        self.make_ready()?;
        // Rows that were forgotten, too.
        self.kept.clear();
        let forgotten: Vec<u32> = self.live.keys().copied().collect();
        forgotten.iter().try_for_each(|&statement| self.finalize_now(statement))?;
        Ok(forgotten.len())
    }

    /// Runs a query, and returns its cursor with the first batch of its rows.
    pub(crate) fn query(&mut self, request: Request<'_>, effect: Effect) -> Result<(Cursor, Vec<u8>)> {
        self.make_ready()?;
        self.settle()?;
        self.send(&request, effect)?;
        self.last_cursor += 1;
        self.rows_effect = effect;
        let cursor = self.last_cursor;
        let batch = self.receive_batch(cursor)?;
        if effect != Effect::Read {
            // All rows of a write: it is stored with the last, and its outcome is this call's.
            let mut batches = VecDeque::new();
            while self.state == State::Streaming(cursor) {
                self.allow(self.limits.whole);
                batches.push_back(Ok(self.receive_batch(cursor)?));
            }
            if !batches.is_empty() {
                self.kept.insert(cursor, batches);
            }
        }
        Ok((cursor, batch))
    }

    /// Returns the next batch of a result, which was not the last. `spare` is memory for it.
    pub(crate) fn next_batch(&mut self, cursor: Cursor, spare: Vec<u8>) -> Result<Vec<u8>> {
        self.check_process()?;
        if let Some(batches) = self.kept.get_mut(&cursor) {
            let batch = batches.pop_front();
            if batches.is_empty() {
                self.kept.remove(&cursor);
            }
            if let Some(batch) = batch {
                return batch;
            }
        }
        self.check_whole()?;
        match self.state {
            State::Streaming(current) if current == cursor => {
                self.body = spare;
                self.allow(self.limits.whole);
                let batch = self.receive_batch(cursor)?;
                if self.state == State::Ready
                    && let Err(error) = self.flush()
                {
                    debug!(target: "finalite::dqlite", %error, "finalizing behind rows");
                }
                Ok(batch)
            }
            State::Dead(reason) => Err(Error::new(ErrorKind::Dead { reason })),
            _ => Err(self.unexpected("rows that nobody sends", Effect::Read)),
        }
    }

    /// Ends a result of which not all rows were read: reads a bounded rest, or ends the session.
    pub(crate) fn end_rows(&mut self, cursor: Cursor) {
        self.kept.remove(&cursor);
        if !self.process.is_this() || self.check_whole().is_err() || self.state != State::Streaming(cursor) {
            return;
        }
        // One time for all of the rest: dropping waits no longer.
        self.allow(self.limits.io);
        let mut bytes = 0;
        while self.state == State::Streaming(cursor) {
            if bytes > self.limits.drain_bytes_max {
                self.die("rows were dropped while too many of them were left");
                return;
            }
            match self.receive_batch(cursor) {
                Ok(batch) => {
                    bytes += batch.len();
                    self.body = batch;
                }
                // The rest of a result that nobody wants.
                Err(error) => debug!(target: "finalite::dqlite", %error, "the rest of dropped rows"),
            }
        }
        if let Err(error) = self.flush() {
            debug!(target: "finalite::dqlite", %error, "finalizing after dropped rows");
        }
    }

    /// Waits until the next request can be sent: reads what is arriving for its cursor, and finalizes what was dropped.
    fn make_ready(&mut self) -> Result<()> {
        self.check_process()?;
        self.may_repeat = false;
        self.check_whole()?;
        if let State::Streaming(cursor) = self.state {
            self.allow(self.limits.whole);
            let kept = |link: &Self| link.kept.values().flatten().flatten().map(Vec::len).sum::<usize>();
            while self.state == State::Streaming(cursor) {
                if kept(self) > self.limits.keep_bytes_max {
                    return Err(Error::new(ErrorKind::Streaming { bytes_max: self.limits.keep_bytes_max }));
                }
                match self.receive_batch(cursor) {
                    // A failure of the statement is its reader's, in place of the rows that are missing.
                    batch if batch.is_ok() || self.is_alive() => {
                        self.kept.entry(cursor).or_default().push_back(batch);
                    }
                    // So is the end of the session. What was to be sent now was not.
                    lost => {
                        self.kept.entry(cursor).or_default().push_back(lost);
                        self.check_whole()?;
                    }
                }
            }
        }
        self.flush()?;
        if self.incoming.is_within_message() {
            self.die("the node has sent more than was asked for");
        }
        self.check_whole()
    }

    /// Checks that the session goes on, and that its last request was not interrupted.
    fn check_whole(&mut self) -> Result<()> {
        if self.is_midway {
            self.die("a request was interrupted");
        }
        match self.state {
            State::Dead(reason) => Err(Error::new(ErrorKind::Dead { reason })),
            _ => Ok(()),
        }
    }

    fn check_process(&self) -> Result<()> {
        if self.process.is_this() { Ok(()) } else { Err(Error::new(ErrorKind::Forked)) }
    }

    /// Begins the time for what is sent or received next.
    fn allow(&mut self, time: Duration) {
        let until = Instant::now().checked_add(time);
        self.until = [until, self.open_until].into_iter().flatten().min();
    }

    /// Limits the next operation of the stream. Returns whether there is time for it.
    fn has_time(&mut self) -> io::Result<bool> {
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        let timeout = left.map_or(self.limits.io, |left| left.min(self.limits.io));
        if timeout.is_zero() {
            return Ok(false);
        }
        if timeout != self.timeout {
            self.stream.with(|stream| stream.set_timeout(timeout))?;
            self.timeout = timeout;
        }
        Ok(true)
    }

    /// Sends a request.
    fn send(&mut self, request: &Request<'_>, effect: Effect) -> Result<()> {
        let result = request.encode(self.schema, &mut self.outgoing);
        result.map_err(|problem| Error::refused(problem.to_string()))?;
        self.allow(self.limits.whole);
        self.is_midway = true;
        let result = self.write_outgoing();
        let bytes = self.outgoing.len();
        self.outgoing.clear();
        if self.outgoing.capacity() > 1 << 20 {
            self.outgoing = Vec::new();
        }
        if let Err(error) = result {
            let cause = self.lost(error);
            // The node has not got all of the request, and does nothing.
            return Err(self.lose(cause, Effect::Read));
        }
        stats::bytes_sent(bytes);
        // From here on it may have got all of it.
        self.stream.with(|stream| stream.flush()).map_err(|error| {
            let cause = self.lost(error);
            self.lose(cause, effect)
        })
    }

    fn write_outgoing(&mut self) -> io::Result<()> {
        let mut sent = 0;
        while sent < self.outgoing.len() {
            if !self.has_time()? {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match self.stream.with(|stream| stream.write(&self.outgoing[sent..])) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => sent += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Receives a batch of rows, and sets the state.
    fn receive_batch(&mut self, cursor: Cursor) -> Result<Vec<u8>> {
        let effect = self.rows_effect;
        self.state = State::Streaming(cursor);
        let header = self.receive(effect)?;
        if header.kind != answer::ROWS {
            self.state = State::Ready;
            // A failure is returned as an error.
            self.read_answer(header, effect)?;
            return Err(self.unexpected("another answer than rows", effect));
        }
        match ends_rows(&self.body) {
            Ok(true) => self.state = State::Ready,
            Ok(false) => {}
            Err(problem) => return Err(self.unexpected(problem.0, effect)),
        }
        Ok(mem::take(&mut self.body))
    }

    /// Receives a message into `body`.
    fn receive(&mut self, effect: Effect) -> Result<Header> {
        self.is_midway = true;
        loop {
            match self.incoming.next(&mut self.body) {
                Ok(Some(header)) => {
                    self.is_midway = false;
                    return Ok(header);
                }
                Ok(None) => {}
                Err(problem) => return Err(self.unexpected(problem.0, effect)),
            }
            match self.has_time() {
                Ok(true) => {}
                Ok(false) => return Err(self.lose(Lost::TimedOut(self.limits.whole), effect)),
                Err(error) => {
                    let cause = self.lost(error);
                    return Err(self.lose(cause, effect));
                }
            }
            let space = self.incoming.space();
            let read = self.stream.with(|stream| stream.read(space).inspect(|_| stream.acknowledge()));
            match read {
                Ok(0) => return Err(self.lose(Lost::Closed, effect)),
                Ok(bytes) => {
                    self.incoming.arrived(bytes);
                    stats::bytes_received(bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let cause = self.lost(error);
                    return Err(self.lose(cause, effect));
                }
            }
        }
    }

    fn lost(&self, error: io::Error) -> Lost {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Lost::TimedOut(self.limits.io),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Lost::Closed,
            _ => Lost::Io(error),
        }
    }

    fn read_answer(&mut self, header: Header, effect: Effect) -> Result<Answer> {
        match Answer::read(header, &self.body) {
            Ok(Answer::Failure(failure)) => Err(self.failed(failure, effect)),
            Ok(answer) => Ok(answer),
            Err(problem) => Err(self.unexpected(problem.0, effect)),
        }
    }

    fn failed(&mut self, failure: Failure, effect: Effect) -> Error {
        let Failure { code, message } = failure;
        match code {
            NOT_LEADER => {
                self.die("the node is not the leader");
                self.may_repeat = true;
                stats::not_leader();
                Error::new(ErrorKind::NotLeader { message: message.into() })
            }
            LEADERSHIP_LOST => self.lose(Lost::Leadership(message.into()), effect),
            _ if PROTOCOL_CODES.contains(&code) => {
                self.die("the node has not understood a request");
                Error::protocol(format!("the node has not understood a request: {message}"))
            }
            // It may have failed after Raft has taken it, so that it is stored later.
            _ if effect != Effect::Read
                && !is_before_storing(code)
                && (effect == Effect::Commit || self.tx != Tx::Open) =>
            {
                let code = i32::try_from(code).unwrap_or(i32::MAX);
                self.lose(Lost::Storing { code, message: message.into() }, effect)
            }
            _ => {
                if self.tx == Tx::Open {
                    self.tx = Tx::Doubtful;
                }
                self.may_repeat = code & 0xff == 5;
                let code = i32::try_from(code).unwrap_or(i32::MAX);
                Error::new(ErrorKind::Sqlite { code, message: message.into() })
            }
        }
    }

    /// Ends the session in the middle of a request, and returns what is known of it.
    fn lose(&mut self, cause: Lost, effect: Effect) -> Error {
        let may_be_stored = match effect {
            Effect::Read => false,
            Effect::Write => self.tx != Tx::Open,
            Effect::Commit => true,
        };
        self.may_repeat = false;
        let reason = match cause {
            Lost::Leadership(_) => "the node lost its leadership",
            Lost::Closed => "the node closed the connection",
            Lost::TimedOut(_) => "an answer did not come in time",
            Lost::Io(_) => "the connection failed",
            Lost::Protocol(_) => "an answer could not be read",
            Lost::Storing { .. } => "the node failed to store",
        };
        self.die(reason);
        if may_be_stored {
            stats::unknown();
            Error::new(ErrorKind::Unknown { cause })
        } else {
            Error::new(ErrorKind::Disconnected { cause })
        }
    }

    #[cold]
    pub(crate) fn unexpected(&mut self, problem: &str, effect: Effect) -> Error {
        self.lose(Lost::Protocol(problem.into()), effect)
    }

    /// Ends the session: the node frees its statements, and rolls back.
    pub(crate) fn die(&mut self, reason: &'static str) {
        if self.is_over() {
            return;
        }
        debug!(target: "finalite::dqlite", address = %self.address, reason, "a session ends");
        self.state = State::Dead(reason);
        self.is_midway = false;
        self.tx = Tx::None;
        self.end();
    }

    /// Ends the session in order.
    pub(crate) fn close(mut self) -> Result<()> {
        self.check_process()?;
        match self.state {
            State::Dead(reason) => Err(Error::new(ErrorKind::Dead { reason })),
            _ => {
                self.report_forgotten();
                self.die("it was closed");
                Ok(())
            }
        }
    }

    /// Counts and logs statements that were leaked.
    pub(crate) fn report_forgotten(&self) {
        let forgotten = self.live.len() - self.to_finalize.len().min(self.live.len());
        if forgotten > 0 {
            stats::forgotten(forgotten);
            let site = self.live.values().next().map(ToString::to_string);
            warn!(target: "finalite::leak", forgotten, site, "a session ends with statements that were leaked");
        }
    }

    fn end(&mut self) {
        // A process that was forked leaves the parent's connection alone: both have the same socket.
        if !self.process.is_this() {
            return;
        }
        Shared::end(self.stream.lock());
        for (_, site) in self.live.drain() {
            stats::statement_finalized(site);
        }
        self.to_finalize.clear();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if self.is_over() || !self.process.is_this() {
            return;
        }
        self.report_forgotten();
        self.die("it was closed");
    }
}

/// Whether a failure with this code tells that a write, or a `COMMIT`, was refused before it was handed to Raft. Others,
/// such as `IOERR`, `FULL`, `NOMEM` or `ABORT`, can come afterwards.
fn is_before_storing(code: u64) -> bool {
    // OK (an empty statement), ERROR, PERM, BUSY, LOCKED, READONLY, INTERRUPT, NOTFOUND, SCHEMA, TOOBIG, CONSTRAINT, MISMATCH,
    // MISUSE, AUTH, RANGE.
    const REFUSED: [u64; 15] = [0, 1, 3, 5, 6, 8, 9, 12, 17, 18, 19, 20, 21, 23, 25];
    REFUSED.contains(&(code & 0xff))
}
