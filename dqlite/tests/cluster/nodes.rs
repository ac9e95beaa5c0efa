//! Three nodes, as processes of their own, in a directory that is removed.

use std::env;
use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use finalite_dqlite::{Cluster, Connection, Role};
use tempfile::TempDir;

const SIGKILL: i32 = 9;

/// Returns the program of a node: that of Debian's package go-dqlite, or another that the environment names.
pub fn program() -> String {
    env::var("FINALITE_DQLITE_NODE").unwrap_or_else(|_| "dqlite-demo".to_owned())
}

/// A cluster. Dropping it kills the nodes, and fails if one has ended by itself.
pub struct Nodes {
    program: String,
    directory: TempDir,
    nodes: Vec<Node>,
    /// Nodes that have ended by themselves, as a test expects.
    pub expected_ends: usize,
    ends: Vec<String>,
}

struct Node {
    address: String,
    api: String,
    process: Option<Child>,
}

impl Nodes {
    /// Starts three nodes, and waits until each can vote.
    pub fn start(program: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let nodes = (0..3).map(|_| Node { address: free_address(), api: free_address(), process: None }).collect();
        let mut cluster = Self { program: program.to_owned(), directory, nodes, expected_ends: 0, ends: Vec::new() };
        for index in 0..3 {
            cluster.run(index);
            cluster.wait_for("the leader to know the node", |cluster| {
                cluster.cluster().members().is_ok_and(|members| members.len() == index + 1)
            });
        }
        cluster.settle();
        cluster
    }

    pub fn has_three_voters(&self) -> bool {
        let is_voter = |node: &finalite_dqlite::Node| node.role == Some(Role::Voter);
        self.cluster().members().is_ok_and(|members| members.iter().filter(|node| is_voter(node)).count() == 3)
    }

    /// Waits until every node answers, and can vote.
    #[track_caller]
    pub fn settle(&mut self) {
        let until = Instant::now() + Duration::from_secs(120);
        let answers = |address: &String| {
            let alone = Cluster::builder([address]).leader_timeout(Duration::from_secs(2)).build();
            alone.leader().is_ok()
        };
        while !(self.addresses().iter().all(answers) && self.has_three_voters()) {
            assert!(Instant::now() < until, "{}", self.describe());
            self.restart_those_that_gave_up();
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The program of a node gives up where it cannot reach the others as it starts: that is no fault of a request's.
    fn restart_those_that_gave_up(&mut self) {
        for index in 0..self.nodes.len() {
            let process = self.nodes[index].process.as_mut();
            let status = process.and_then(|process| process.try_wait().unwrap());
            if status.is_some_and(|status| status.code() == Some(1)) {
                self.run(index);
            }
        }
    }

    /// Returns states and last messages of the nodes.
    pub fn describe(&mut self) -> String {
        let mut text = String::new();
        for index in 0..self.nodes.len() {
            let process = self.nodes[index].process.as_mut();
            let status = process.map(|process| process.try_wait().unwrap());
            let log = std::fs::read_to_string(self.directory.path().join(format!("{index}.log"))).unwrap_or_default();
            let end = log.lines().rev().take(5).collect::<Vec<_>>();
            text += &format!("node {index} at {}: {status:?} {end:?}\n", self.nodes[index].address);
        }
        text + &format!("leader: {:?}\nmembers: {:?}", self.cluster().leader(), self.cluster().members())
    }

    #[track_caller]
    pub fn wait_for(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let until = Instant::now() + Duration::from_secs(60);
        while !is_so(self) {
            assert!(Instant::now() < until, "waiting for {what}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn run(&mut self, index: usize) {
        let log = File::options().create(true).append(true).open(self.directory.path().join(format!("{index}.log")));
        let log = log.unwrap();
        let mut command = Command::new(&self.program);
        command.args(["--api", &self.nodes[index].api, "--db", &self.nodes[index].address, "--dir"]);
        command.arg(self.directory.path().join(index.to_string()));
        if index > 0 {
            command.args(["--join", &self.nodes[0].address]);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.nodes[index].process = Some(command.spawn().unwrap());
    }

    pub fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.address.clone()).collect()
    }

    pub fn cluster(&self) -> Cluster {
        Cluster::builder(self.addresses())
            .leader_timeout(Duration::from_secs(30))
            .io_timeout(Duration::from_secs(20))
            .build()
    }

    pub fn open(&self, database: &str) -> Connection {
        self.cluster().open(database).unwrap()
    }

    pub fn index_of(&self, address: &str) -> usize {
        self.nodes.iter().position(|node| node.address == address).unwrap()
    }

    pub fn leader(&self) -> usize {
        self.index_of(&self.cluster().leader().unwrap().address)
    }

    /// Ends a node as a power cut does.
    pub fn kill(&mut self, index: usize) {
        let mut process = self.nodes[index].process.take().unwrap();
        // One that had ended before is found out here.
        if let Some(status) = process.try_wait().unwrap() {
            self.note_end(index, status);
            return;
        }
        process.kill().unwrap();
        let status = process.wait().unwrap();
        if status.signal() != Some(SIGKILL) {
            self.note_end(index, status);
        }
    }

    fn note_end(&mut self, index: usize, status: ExitStatus) {
        self.ends.push(format!("node {index}: {status}"));
    }

    /// Returns how many nodes have ended by themselves, and are not running again.
    pub fn ended(&mut self) -> usize {
        let processes = self.nodes.iter_mut().filter_map(|node| node.process.as_mut());
        processes.filter_map(|process| process.try_wait().unwrap()).count()
    }

    /// Runs those nodes again that have ended by themselves.
    pub fn revive(&mut self) {
        for index in 0..self.nodes.len() {
            let process = self.nodes[index].process.as_mut();
            if let Some(status) = process.and_then(|process| process.try_wait().unwrap()) {
                self.note_end(index, status);
                self.run(index);
            }
        }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for index in 0..self.nodes.len() {
            if self.nodes[index].process.is_some() {
                self.kill(index);
            }
        }
        if !thread::panicking() {
            assert_eq!(self.ends.len(), self.expected_ends, "nodes have ended by themselves: {:?}", self.ends);
        }
    }
}

/// An address of this machine that nobody listens at.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}
