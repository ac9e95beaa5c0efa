//! Finds who holds SQLite's memory: a small service with two leaks, and a report that names the lines they come from.
//!
//! `cargo run --example memory`. [`report`] and [`sites`] are what to copy.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write;
use std::panic::Location;

use finalite::handles::{self, HandleKind, TrackingLevel};
use finalite::{Connection, LeakCheck, Result, Statement, memory};

/// Answers requests. What it says is right; what it keeps is not.
struct Service<'conn> {
    conn: &'conn Connection,
    /// Statements by their SQL. The numbers are in the SQL, so that nearly each request has its own.
    cache: HashMap<String, Statement<'conn>>,
}

impl Service<'_> {
    fn handle(&mut self, request: u32) -> Result<f64> {
        let account = request % 5000;
        let sql = format!("SELECT total(amount) FROM payments WHERE account = {account} AND amount > 0");
        let statement = match self.cache.entry(sql) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let statement = self.conn.prepare(entry.key())?; // leak: the cache
                entry.insert(statement)
            }
        };
        let total = statement.query_one(())?;
        if request.is_multiple_of(100) {
            self.audit()?;
        }
        Ok(total)
    }

    fn audit(&self) -> Result<()> {
        let mut count = self.conn.prepare("SELECT count(*) FROM payments")?; // leak: forgotten
        count.query_one::<i64>(())?;
        std::mem::forget(count);
        Ok(())
    }
}

mod events;

fn main() -> Result<()> {
    events::warn_on_stderr();
    // Records of what is open, each with its line: the default of a debug build, and here of every build.
    handles::set_level(TrackingLevel::Records);

    let whole_run = LeakCheck::new();
    let conn = Connection::open_in_memory()?;
    conn.execute_batch(
        "CREATE TABLE payments(account INTEGER, amount REAL);
         CREATE INDEX payments_of ON payments(account);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
         INSERT INTO payments SELECT i % 100, i FROM n;",
    )?;
    let mut service = Service { conn: &conn, cache: HashMap::new() };

    println!("1. It grows, and the page cache is not what does.\n");
    print!("{}", report("at the start", &service));
    for request in 1..=599 {
        service.handle(request)?;
        if request.is_multiple_of(200) {
            print!("{}", report(&format!("after {request} requests"), &service));
        }
    }

    println!("\n2. Statements by the line that prepared them.\n");
    print!("{}", sites(&service));

    println!("\n3. What a test says that wraps one request into a LeakCheck.\n");
    let one_request = LeakCheck::new();
    service.handle(600)?;
    println!("{}", one_request.finish());

    println!("\n4. Without the cache, what is forgotten is left.\n");
    service.cache.clear();
    print!("{}", report("cache cleared", &service));
    print!("{}", sites(&service));

    println!("\n5. Closing ends what was forgotten, and LeakCheck tells.\n");
    drop(service);
    conn.close()?;
    println!("{}", whole_run.finish());
    let stats = memory::stats();
    println!("\nafter close: {} bytes, {} blocks", stats.bytes, stats.blocks);
    Ok(())
}

/// One line on where the memory is: the process, the connection, and the parts that usually grow.
fn report(when: &str, service: &Service) -> String {
    let process = memory::stats();
    let conn = service.conn.memory();
    format!(
        "{when:19} {:>9} bytes in {:>5} blocks | connection {:>9}, page cache {:>6}, statements {:>9} of {:>3}\n",
        process.bytes,
        process.blocks,
        conn.bytes,
        conn.page_cache_bytes,
        conn.statement_bytes,
        handles::counts().statements,
    )
}

/// The open statements by the line that prepared them, most first: how many, of how many bytes, and one of them.
fn sites(service: &Service) -> String {
    struct Site {
        count: usize,
        bytes: u64,
        sql: Box<str>,
    }
    let mut sites: HashMap<&Location, Site> = HashMap::new();
    let mut known_bytes = 0;
    for record in handles::live().records {
        let (HandleKind::Statement, Some(sql)) = (record.kind, record.sql) else { continue };
        // A statement at hand tells its bytes. Of one that is forgotten only the connection's sum does.
        let bytes = service.cache.get(&*sql).map_or(0, |statement| statement.memory().bytes);
        known_bytes += bytes;
        let site = sites.entry(record.opened_at).or_insert(Site { count: 0, bytes: 0, sql });
        site.count += 1;
        site.bytes += bytes;
    }
    let mut sites: Vec<_> = sites.into_iter().collect();
    sites.sort_by_key(|(_, site)| std::cmp::Reverse(site.count));
    let mut out = String::new();
    for (opened_at, Site { count, bytes, sql }) in sites {
        let bytes = if bytes > 0 { format!("{bytes} bytes") } else { "not at hand".to_owned() };
        let _ = writeln!(out, "{count:>5} statements, {bytes:>14}, prepared at {opened_at}, such as {sql}");
    }
    let rest = service.conn.memory().statement_bytes.saturating_sub(known_bytes);
    let _ = writeln!(out, "the statements that are not at hand, and the connection's own cache: {rest} bytes");
    out
}
