//! Three nodes of dqlite, writes to them while their leader is killed, and what was acknowledged beside what is found.
//!
//! The nodes are the program `dqlite-demo` of Debian's package `go-dqlite`:
//!
//! ```text
//! apt-get install --no-install-recommends go-dqlite
//! cargo run -p finalite-dqlite --example cluster
//! ```

use std::collections::BTreeSet;
use std::error::Error;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use finalite_dqlite::{Cluster, Role, stats};

/// A node, which is killed when it is dropped.
struct Node {
    address: String,
    process: Child,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_address() -> std::io::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

fn start_nodes(directory: &std::path::Path) -> Result<Vec<Node>, Box<dyn Error>> {
    let mut nodes: Vec<Node> = Vec::new();
    for number in 0..3 {
        let (address, api) = (free_address()?, free_address()?);
        let mut command = Command::new("dqlite-demo");
        command.args(["--api", &api, "--db", &address, "--dir"]).arg(directory.join(number.to_string()));
        if let Some(first) = nodes.first() {
            command.args(["--join", &first.address]);
        }
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = process.map_err(|error| format!("dqlite-demo, of the package go-dqlite: {error}"))?;
        nodes.push(Node { address, process });
        thread::sleep(Duration::from_millis(700));
    }
    Ok(nodes)
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let mut nodes = start_nodes(directory.path())?;
    let cluster = Cluster::builder(nodes.iter().map(|node| node.address.clone()))
        .leader_timeout(Duration::from_secs(30))
        .io_timeout(Duration::from_secs(10))
        .build();
    let is_voter = |node: &finalite_dqlite::Node| node.role == Some(Role::Voter);
    while cluster.members()?.iter().filter(|node| is_voter(node)).count() < 3 {
        thread::sleep(Duration::from_millis(100));
    }
    println!("three voters, led by {}", cluster.leader()?.address);

    let mut conn = cluster.open("app")?;
    conn.execute("CREATE TABLE written(number INTEGER PRIMARY KEY) STRICT", ())?;
    let (mut acked, mut unknown, mut not_stored) = (BTreeSet::new(), BTreeSet::new(), 0);
    let began = Instant::now();
    let mut has_killed = false;
    for number in 0_i64.. {
        if !has_killed && began.elapsed() > Duration::from_secs(1) {
            has_killed = true;
            let leader = conn.address();
            nodes.retain(|node| node.address != leader);
            println!("{:.1?}: killed the leader, {leader}", began.elapsed());
        }
        if began.elapsed() > Duration::from_secs(10) {
            break;
        }
        if !conn.is_alive() {
            conn.reopen()?;
            println!("{:.1?}: a session with {}", began.elapsed(), conn.address());
        }
        // Each number is sent once: whether an unknown one is to be sent again is for the program to find out.
        match conn.execute("INSERT INTO written VALUES (?)", (number,)) {
            Ok(_) => {
                acked.insert(number);
            }
            Err(error) if error.is_unknown() => {
                println!("{:.1?}: {number}: {error}", began.elapsed());
                unknown.insert(number);
            }
            Err(error) => {
                println!("{:.1?}: {number}: {error}", began.elapsed());
                not_stored += 1;
            }
        }
    }

    let found: BTreeSet<i64> = conn.query_all("SELECT number FROM written", ())?.into_iter().collect();
    let lost = acked.difference(&found).count();
    println!("{} acknowledged, of which {lost} lost", acked.len());
    println!("{} unknown, of which {} stored", unknown.len(), unknown.intersection(&found).count());
    println!("{not_stored} not stored, as their errors say; {} rows found", found.len());
    println!("changes of the leader: {}", stats::snapshot().leader_changes);
    assert_eq!(lost, 0);
    Ok(())
}
