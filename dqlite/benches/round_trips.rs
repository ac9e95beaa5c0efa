//! Calls on a node beside a bare loop over a socket that sends and receives the same bytes, in turns. The variable
//! `FINALITE_DQLITE_SERVERS` has the addresses of a cluster, with commas between them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use finalite::workspace::RemoteParam;
use finalite_dqlite::wire::{Header, Incoming, PROTOCOL, Request, Schema, answer, ends_rows};
use finalite_dqlite::{Cluster, Result};

const ROUNDS: usize = 15;
const POINTS: u64 = 1000;

/// A session without anything but bytes.
struct Bare {
    stream: TcpStream,
    incoming: Incoming,
    body: Vec<u8>,
}

impl Bare {
    fn open(address: &str, database: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut bare = Self { stream, incoming: Incoming::new(1 << 30), body: Vec::new() };
        bare.stream.write_all(&PROTOCOL).unwrap();
        for request in [Request::Client { id: 0 }, Request::Open { name: database }] {
            bare.call(&encode(request));
        }
        bare
    }

    fn call(&mut self, request: &[u8]) -> u8 {
        self.stream.write_all(request).unwrap();
        loop {
            let header = self.receive();
            if header.kind != answer::ROWS || ends_rows(&self.body).unwrap() {
                return header.kind;
            }
        }
    }

    fn receive(&mut self) -> Header {
        loop {
            if let Some(header) = self.incoming.next(&mut self.body).unwrap() {
                return header;
            }
            let bytes = self.stream.read(self.incoming.space()).unwrap();
            assert!(bytes > 0);
            self.incoming.arrived(bytes);
            #[cfg(target_os = "linux")]
            socket2::SockRef::from(&self.stream).set_tcp_quickack(true).unwrap();
        }
    }
}

fn encode(request: Request<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    request.encode(Schema::V0, &mut bytes).unwrap();
    bytes
}

/// Runs both in turns, and prints the median time of each, per call.
fn compare(label: &str, calls: u64, mut ours: impl FnMut(u64), mut bare: impl FnMut(u64)) {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let began = Instant::now();
        (0..calls).for_each(&mut ours);
        times[0].push(began.elapsed());
        let began = Instant::now();
        (0..calls).for_each(&mut bare);
        times[1].push(began.elapsed());
    }
    let [ours, bare] = times.map(|mut times| {
        times.sort();
        times[ROUNDS / 2] / u32::try_from(calls).unwrap()
    });
    let ratio = ours.as_secs_f64() / bare.as_secs_f64();
    println!("{label:40} {ours:>10.1?}  bare {bare:>10.1?}  ratio {ratio:.2}");
}

fn main() -> Result<()> {
    let Ok(servers) = std::env::var("FINALITE_DQLITE_SERVERS") else {
        println!("FINALITE_DQLITE_SERVERS has no addresses: nothing is measured");
        return Ok(());
    };
    let cluster = Cluster::builder(servers.split(',')).io_timeout(Duration::from_secs(60)).build();
    let database = "round_trips";
    let mut conn = cluster.open(database)?;
    conn.execute_batch(
        "DROP TABLE IF EXISTS t; CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT) STRICT;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
         INSERT INTO t SELECT i, 'the name ' || i FROM n;",
    )?;
    let mut bare = Bare::open(&conn.address(), database);

    let point = "SELECT name FROM t WHERE id = ?";
    assert_eq!(bare.call(&encode(Request::Prepare { sql: point })), answer::STMT);
    let many = "SELECT id, name FROM t LIMIT 500";
    assert_eq!(bare.call(&encode(Request::Prepare { sql: many })), answer::STMT);
    {
        let mut statement = conn.prepare(point)?;
        let ours = |n: u64| {
            let length = statement.query_row((n % 1000 + 1,), |row| Ok(row.get::<&str>(0)?.len())).unwrap();
            assert!(length > 9);
        };
        compare("point select, prepared", POINTS, ours, |n| {
            let params = [RemoteParam::Integer((n % 1000 + 1).cast_signed())];
            assert_eq!(bare.call(&encode(Request::Query { statement: 0, params: &params })), answer::ROWS);
        });
        let ours = |n: u64| {
            let length = conn.query_row(point, (n % 1000 + 1,), |row| Ok(row.get::<&str>(0)?.len())).unwrap();
            assert!(length > 9);
        };
        compare("point select, by its SQL", POINTS, ours, |n| {
            let params = [RemoteParam::Integer((n % 1000 + 1).cast_signed())];
            assert_eq!(bare.call(&encode(Request::QuerySql { sql: point, params: &params })), answer::ROWS);
        });
        let mut statement = conn.prepare(many)?;
        let ours = |_| {
            let (mut rows, mut sum) = (statement.query(()).unwrap(), 0);
            while let Some(row) = rows.next().unwrap() {
                sum += row.get::<i64>(0).unwrap() + i64::try_from(row.get::<&str>(1).unwrap().len()).unwrap();
            }
            assert!(sum > 125_250);
        };
        compare("500 rows of a number and a text", 200, ours, |_| {
            assert_eq!(bare.call(&encode(Request::Query { statement: 1, params: &[] })), answer::ROWS);
        });
        let ours = |_| drop(conn.prepare("SELECT 1").unwrap());
        compare("prepare and finalize", POINTS, ours, |_| {
            assert_eq!(bare.call(&encode(Request::Prepare { sql: "SELECT 1" })), answer::STMT);
            assert_eq!(bare.call(&encode(Request::Finalize { statement: 2 })), answer::EMPTY);
        });
    }
    let insert = "INSERT INTO t(name) VALUES (?)";
    compare(
        "insert, stored by itself",
        20,
        |_| assert_eq!(conn.execute(insert, ("a name",)).unwrap().rows, 1),
        |_| {
            let params = [RemoteParam::Text("a name".into())];
            assert_eq!(bare.call(&encode(Request::ExecSql { sql: insert, params: &params })), answer::RESULT);
        },
    );
    let tx = conn.transaction()?;
    let mut statement = tx.prepare(insert)?;
    let began = Instant::now();
    for _ in 0..20_000 {
        statement.execute(("a name",))?;
    }
    println!("{:40} {:>10.1?}", "insert, prepared, in one transaction", began.elapsed() / 20_000);
    tx.rollback()
}
