//! [`Cluster`]: the nodes, the search for their leader, and their administration.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::debug;

use crate::connection::Connection;
use crate::dump::Dump;
use crate::error::{Error, ErrorKind, Result};
use crate::link::{Effect, Limits, Link};
use crate::stats;
use crate::stream::{Dial, Stream, dial};
use crate::wire::{Answer, Member, Request};

/// A node of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Node {
    /// The number that the cluster knows it by.
    pub id: u64,
    /// The address that it is reached at.
    pub address: String,
    /// The part that it has; none is told of a leader that was asked for alone.
    pub role: Option<Role>,
}

/// The part of a node in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// It votes, and stores what is written.
    Voter,
    /// It stores what is written.
    StandBy,
    /// It does neither.
    Spare,
}

impl Role {
    fn number(self) -> u64 {
        match self {
            Self::Voter => 0,
            Self::StandBy => 1,
            Self::Spare => 2,
        }
    }

    fn of(number: u64) -> Option<Self> {
        [Self::Voter, Self::StandBy, Self::Spare].into_iter().find(|role| role.number() == number)
    }
}

/// The nodes of a cluster, by some of their addresses. It opens sessions, and holds none.
///
/// An address is `host:port`, or on Linux `@name` for an abstract Unix socket.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    seeds: Vec<String>,
    dial: Box<Dial>,
    connect_timeout: Duration,
    leader_timeout: Duration,
    limits: Limits,
    /// The address of the last leader, which is asked first.
    leader: Mutex<Option<String>>,
}

/// Settings of a [`Cluster`]. Returned by [`Cluster::builder`].
pub struct ClusterBuilder {
    seeds: Vec<String>,
    dial: Box<Dial>,
    connect_timeout: Duration,
    leader_timeout: Duration,
    limits: Limits,
}

impl ClusterBuilder {
    /// Sets the time for connecting to one node, and for its first answer: 500 ms unless set. A name is resolved by the
    /// operating system, which has limits of its own.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the time for finding the leader, over all nodes, and for opening a session: 10 s unless set. An election with dqlite's default timing
    /// takes about 5 s.
    #[must_use]
    pub fn leader_timeout(mut self, timeout: Duration) -> Self {
        self.leader_timeout = timeout;
        self
    }

    /// Sets the time of each read and write: 30 s unless set. A session whose node takes longer ends; a write that was
    /// under way is [`ErrorKind::Unknown`]. One request, and one answer, may take ten times as long if its bytes keep moving.
    /// Rows that are dropped are read for this time at most.
    #[must_use]
    pub fn io_timeout(mut self, timeout: Duration) -> Self {
        self.limits.io = timeout;
        self
    }

    /// Sets the largest answer in bytes, such as a batch with one large row: 1 GiB unless set. Memory is taken for bytes
    /// that have arrived, not for those that are announced.
    #[must_use]
    pub fn message_bytes_max(mut self, bytes: usize) -> Self {
        self.limits.message_bytes_max = bytes;
        self
    }

    /// Sets how many bytes are read of rows that are dropped before their end: 1 MiB unless set. If more are left, the
    /// session ends, as dqlite cannot be told to stop.
    #[must_use]
    pub fn drain_bytes_max(mut self, bytes: usize) -> Self {
        self.limits.drain_bytes_max = bytes;
        self
    }

    /// Sets how many bytes of rows are kept for their reader while another statement of the session runs: 16 MiB unless
    /// set. If more are left, that statement is not sent: [`ErrorKind::Streaming`].
    #[must_use]
    pub fn keep_bytes_max(mut self, bytes: usize) -> Self {
        self.limits.keep_bytes_max = bytes;
        self
    }

    /// Sets the function that connects to a node, for TLS or another transport: dqlite itself has neither encryption nor
    /// authentication. It receives the address and the time for connecting.
    #[must_use]
    pub fn dial(
        mut self,
        dial: impl Fn(&str, Duration) -> io::Result<Box<dyn Stream>> + Send + Sync + 'static,
    ) -> Self {
        self.dial = Box::new(dial);
        self
    }

    /// Returns the cluster. Nothing is sent.
    #[must_use]
    pub fn build(self) -> Cluster {
        let Self { seeds, dial, connect_timeout, leader_timeout, limits } = self;
        // A century: as good as none, and a moment of time nevertheless.
        let cap = |time: Duration| time.min(Duration::from_secs(100 * 365 * 86_400));
        let (connect_timeout, leader_timeout) = (cap(connect_timeout), cap(leader_timeout));
        let io = cap(limits.io);
        let limits = Limits { io, whole: io * 10, ..limits };
        Cluster(Arc::new(Inner { seeds, dial, connect_timeout, leader_timeout, limits, leader: Mutex::new(None) }))
    }
}

impl fmt::Debug for ClusterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterBuilder").field("seeds", &self.seeds).finish_non_exhaustive()
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("seeds", &self.0.seeds).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Returns the cluster of the nodes with these addresses, of which some suffice. Nothing is sent.
    #[must_use]
    pub fn new(seeds: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::builder(seeds).build()
    }

    /// Returns settings to change.
    #[must_use]
    pub fn builder(seeds: impl IntoIterator<Item = impl Into<String>>) -> ClusterBuilder {
        ClusterBuilder {
            seeds: seeds.into_iter().map(Into::into).collect(),
            dial: Box::new(dial),
            connect_timeout: Duration::from_millis(500),
            leader_timeout: Duration::from_secs(10),
            limits: Limits {
                io: Duration::from_secs(30),
                whole: Duration::from_secs(300),
                message_bytes_max: 1 << 30,
                drain_bytes_max: 1 << 20,
                keep_bytes_max: 16 << 20,
            },
        }
    }

    /// Finds the leader, and opens a session with it on a database, which dqlite creates if there is none of this name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoLeader`] after the time for finding it; those of the session.
    pub fn open(&self, database: &str) -> Result<Connection> {
        let link = self.session_within(database, Duration::MAX)?;
        Ok(Connection::new(self.clone(), database, link))
    }

    /// Opens a session on a database.
    pub(crate) fn session_within(&self, database: &str, time: Duration) -> Result<Link> {
        let (mut link, _) = self.find_leader(time)?;
        match link.call(Request::Client { id: 0 }, Effect::Read)? {
            Answer::Welcome => {}
            _ => return Err(link.unexpected("another answer than the greeting", Effect::Read)),
        }
        match link.call(Request::Open { name: database }, Effect::Read)? {
            Answer::Db => {}
            _ => return Err(link.unexpected("another answer than the database", Effect::Read)),
        }
        // The form of the answer tells which requests the node understands.
        let probe = link.prepare("SELECT 1", std::panic::Location::caller())?;
        link.set_newer(probe.is_newer);
        link.finalize(probe.id)?;
        link.set_limits(self.0.limits, None);
        Ok(link)
    }

    /// Returns the leader.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoLeader`].
    pub fn leader(&self) -> Result<Node> {
        self.find_leader(Duration::MAX).map(|(_, leader)| node(leader, false))
    }

    /// Returns the members of the cluster, as the leader knows them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoLeader`]; those of the session.
    pub fn members(&self) -> Result<Vec<Node>> {
        match self.ask(Request::Cluster, Effect::Read)? {
            Answer::Servers(members) => Ok(members.into_iter().map(|member| node(member, true)).collect()),
            _ => Err(Error::protocol("another answer than the members")),
        }
    }

    /// Adds a node, as a spare. It must be running.
    ///
    /// # Errors
    ///
    /// Those of [`members`](Self::members); [`ErrorKind::Unknown`] if the session ends meanwhile.
    pub fn add(&self, id: u64, address: &str) -> Result<()> {
        self.order(Request::Add { id, address })
    }

    /// Gives a node another part. A new voter first receives what it lacks.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub fn assign(&self, id: u64, role: Role) -> Result<()> {
        self.order(Request::Assign { id, role: role.number() })
    }

    /// Removes a node.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub fn remove(&self, id: u64) -> Result<()> {
        self.order(Request::Remove { id })
    }

    /// Hands the leadership over to a voter. Transactions that are open on the leader are lost, and their sessions end.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub fn transfer(&self, id: u64) -> Result<()> {
        self.order(Request::Transfer { id })
    }

    /// Copies a database as it is at one moment, over the network.
    ///
    /// # Errors
    ///
    /// Those of [`members`](Self::members).
    pub fn dump(&self, database: &str) -> Result<Dump> {
        match self.ask(Request::Dump { name: database }, Effect::Read)? {
            Answer::Files(files) => Dump::new(database, files),
            _ => Err(Error::protocol("another answer than the files")),
        }
    }

    /// Copies a database to a file, which [`finalite::Connection`] opens, and its log to a file beside it.
    ///
    /// # Errors
    ///
    /// Those of [`dump`](Self::dump); [`ErrorKind::Output`], also if the file exists.
    pub fn dump_to(&self, database: &str, path: impl AsRef<Path>) -> Result<()> {
        self.dump(database)?.write_to(path)
    }

    fn order(&self, request: Request<'_>) -> Result<()> {
        match self.ask(request, Effect::Write)? {
            Answer::Empty => Ok(()),
            _ => Err(Error::protocol("another answer than that it was done")),
        }
    }

    /// Sends a request to the leader, in a session of its own.
    fn ask(&self, request: Request<'_>, effect: Effect) -> Result<Answer> {
        let (mut link, _) = self.find_leader(Duration::MAX)?;
        link.call(Request::Client { id: 0 }, Effect::Read)?;
        link.set_limits(self.0.limits, None);
        link.call(request, effect)
    }

    /// Connects to the leader: a node that names itself. The session's requests end within the time for finding it, until
    /// its limits are set.
    fn find_leader(&self, time: Duration) -> Result<(Link, Member)> {
        let inner = &*self.0;
        let began = Instant::now();
        let time = time.min(inner.leader_timeout);
        let mut pause = Duration::from_millis(20);
        let mut tried: Vec<(String, String)> = Vec::new();
        loop {
            let last = inner.leader.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let seeds = last.into_iter().chain(inner.seeds.iter().cloned());
            for seed in seeds {
                let mut address = seed;
                // A node names another, which must name itself: one can be in error for the time of an election.
                for _ in 0..2 {
                    let left = time.saturating_sub(began.elapsed());
                    if left.is_zero() {
                        return Err(Error::new(ErrorKind::NoLeader { waited: began.elapsed(), tried }));
                    }
                    match self.ask_for_leader(&address, left) {
                        Ok((link, leader)) if leader.address == address => {
                            self.note_leader(&address);
                            return Ok((link, leader));
                        }
                        Ok((_, leader)) if !leader.address.is_empty() => {
                            note(&mut tried, &address, format!("it names {}", leader.address));
                            address = leader.address;
                        }
                        Ok(_) => {
                            note(&mut tried, &address, "it knows no leader".to_owned());
                            break;
                        }
                        Err(error) => {
                            note(&mut tried, &address, error.to_string());
                            break;
                        }
                    }
                }
            }
            let left = time.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Err(Error::new(ErrorKind::NoLeader { waited: began.elapsed(), tried }));
            }
            thread::sleep(pause.min(left));
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    /// Connects to a node, and asks it for the leader.
    fn ask_for_leader(&self, address: &str, left: Duration) -> Result<(Link, Member)> {
        let inner = &*self.0;
        let lost = |error| Error::new(ErrorKind::Disconnected { cause: crate::Lost::Io(error) });
        let began = Instant::now();
        let timeout = inner.connect_timeout.min(left);
        let stream = (inner.dial)(address, timeout).map_err(lost)?;
        // A node that is stopped accepts, and never answers: it gets the time of a connection, not of a statement.
        let mut link =
            Link::connect(stream, address, Limits { io: timeout, whole: timeout, ..inner.limits }).map_err(lost)?;
        match link.call(Request::Leader, Effect::Read)? {
            Answer::Server(leader) => {
                // `left` was counted before connecting.
                link.set_limits(inner.limits, began.checked_add(left));
                Ok((link, leader))
            }
            _ => Err(link.unexpected("another answer than the leader", Effect::Read)),
        }
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        self.0.connect_timeout
    }

    fn note_leader(&self, address: &str) {
        let mut last = self.0.leader.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_deref() != Some(address)
            && let Some(before) = last.replace(address.to_owned())
        {
            debug!(target: "finalite::dqlite", %before, now = %address, "the leader has changed");
            stats::leader_changed();
        }
    }
}

/// Keeps the last failure of an address.
fn note(tried: &mut Vec<(String, String)>, address: &str, problem: String) {
    match tried.iter_mut().find(|(known, _)| known == address) {
        Some(known) => known.1 = problem,
        None => tried.push((address.to_owned(), problem)),
    }
}

fn node(member: Member, has_role: bool) -> Node {
    let role = if has_role { Role::of(member.role) } else { None };
    Node { id: member.id, address: member.address, role }
}
