//! What all programs that measure share, those under `others/` too: they include this file, so it needs nothing.
//! The workloads of the scan bench, the checksum, and how a process is told what to do.

/// Any error: a bench program stops at the first.
pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// A query that is scanned.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    pub name: &'static str,
    pub sql: &'static str,
    pub shape: Shape,
    /// A key is bound, and the operation is one execution; otherwise it is one row.
    pub is_keyed: bool,
}

/// The columns of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// An integer.
    One,
    /// Two integers, two reals.
    Num,
    /// Two texts.
    Text,
    /// Three integers, two reals, two texts, a blob.
    Wide,
    /// The same but for the first column, each NULL in most rows.
    Nulls,
    /// A text.
    Long,
    /// A hundred integers.
    Hundred,
    /// An integer and a text.
    Pair,
    /// Two integers and a real.
    Group,
    /// A text and an integer.
    Lookup,
}

impl Shape {
    /// A letter per column: integer, real, text, blob.
    pub fn kinds(self) -> &'static [u8] {
        match self {
            Self::One => b"i",
            Self::Num => b"iirr",
            Self::Text => b"tt",
            Self::Wide | Self::Nulls => b"iiirrttb",
            Self::Long => b"t",
            Self::Hundred => &[b'i'; 100],
            Self::Pair => b"it",
            Self::Group => b"iir",
            Self::Lookup => b"ti",
        }
    }
}

const fn scan(name: &'static str, sql: &'static str, shape: Shape) -> Workload {
    Workload { name, sql, shape, is_keyed: false }
}

const fn keyed(name: &'static str, sql: &'static str, shape: Shape) -> Workload {
    Workload { name, sql, shape, is_keyed: true }
}

/// How many of [`WORKLOADS`] are the headline.
pub const HEADLINE: usize = 4;

/// The most rows that a keyed workload reads from its key on.
pub const KEYED_ROWS: u64 = 1_000;

pub const WORKLOADS: [Workload; 16] = [
    scan("wide", "SELECT * FROM t", Shape::Wide),
    scan("num", "SELECT i1, i2, r1, r2 FROM t", Shape::Num),
    scan("text", "SELECT s1, s2 FROM t", Shape::Text),
    scan("one", "SELECT i1 FROM t", Shape::One),
    scan("nulls", "SELECT * FROM nulls", Shape::Nulls),
    scan("long text", "SELECT s FROM long", Shape::Long),
    scan("100 columns", "SELECT * FROM hundred", Shape::Hundred),
    scan("filter 1 %", "SELECT * FROM t WHERE i1 < 300 AND id <= 200000", Shape::Wide),
    scan("order by", "SELECT i1, s1 FROM t WHERE id <= 50000 ORDER BY i2", Shape::Pair),
    scan("group by", "SELECT i1, count(*), sum(r1) FROM t WHERE id <= 50000 GROUP BY i1", Shape::Group),
    scan("join", "SELECT a.i1, b.s1 FROM t a JOIN t b ON b.id = a.i1 % 1000 + 1 WHERE a.id <= 50000", Shape::Pair),
    keyed("lookup", "SELECT s1, i1 FROM t WHERE id = ?1", Shape::Lookup),
    keyed("1 row", "SELECT * FROM t WHERE id BETWEEN ?1 AND ?1", Shape::Wide),
    keyed("10 rows", "SELECT * FROM t WHERE id BETWEEN ?1 AND ?1 + 9", Shape::Wide),
    keyed("100 rows", "SELECT * FROM t WHERE id BETWEEN ?1 AND ?1 + 99", Shape::Wide),
    keyed("1000 rows", "SELECT * FROM t WHERE id BETWEEN ?1 AND ?1 + 999", Shape::Wide),
];

/// The workload of this name.
pub fn workload(name: &str) -> Result<&'static Workload> {
    WORKLOADS.iter().find(|workload| workload.name == name).ok_or_else(|| format!("no workload {name:?}").into())
}

/// A generator of numbers that are the same every time (SplitMix64).
pub struct Numbers(u64);

impl Numbers {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub const fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Keys of rows, without order.
pub fn keys(count: u64, rows: u64) -> Result<Vec<i64>> {
    let mut numbers = Numbers::new(2);
    (0..count).map(|_| Ok(i64::try_from(1 + numbers.below(rows))?)).collect()
}

/// What a text or blob adds to the checksum.
#[inline]
pub fn bytes(bytes: &[u8]) -> u64 {
    match bytes {
        [.., last] => bytes.len() as u64 + u64::from(*last),
        [] => 0,
    }
}

/// A value that was read, and what it adds to the checksum: an integer itself, a real its bits, a text or blob its
/// length and last byte, NULL nothing.
pub trait Cell {
    fn sum(&self) -> u64;
}

impl Cell for i64 {
    #[inline]
    fn sum(&self) -> u64 {
        self.cast_unsigned()
    }
}

impl Cell for f64 {
    #[inline]
    fn sum(&self) -> u64 {
        self.to_bits()
    }
}

impl Cell for String {
    #[inline]
    fn sum(&self) -> u64 {
        bytes(self.as_bytes())
    }
}

impl Cell for Vec<u8> {
    #[inline]
    fn sum(&self) -> u64 {
        bytes(self)
    }
}

impl<T: Cell> Cell for Option<T> {
    #[inline]
    fn sum(&self) -> u64 {
        self.as_ref().map_or(0, T::sum)
    }
}

/// The sum of what values add.
#[inline]
pub fn sum<'a, T: Cell + 'a>(values: impl IntoIterator<Item = &'a T>) -> u64 {
    values.into_iter().fold(0, |sum, value| sum.wrapping_add(value.sum()))
}

/// What a process is to do.
pub struct Task {
    pub workload: String,
    pub competitor: String,
    pub threads: usize,
    /// Of each thread.
    pub operations: u64,
}

impl Task {
    pub fn to_line(&self) -> String {
        let Self { workload, competitor, threads, operations } = self;
        format!("{workload},{competitor},{threads},{operations}")
    }

    pub fn of_line(line: &str) -> Result<Self> {
        let [workload, competitor, threads, operations] = line.split(',').collect::<Vec<_>>()[..] else {
            return Err(format!("not a task: {line}").into());
        };
        Ok(Self {
            workload: workload.to_owned(),
            competitor: competitor.to_owned(),
            threads: threads.parse()?,
            operations: operations.parse()?,
        })
    }
}

/// What it says when it is done.
pub struct Answer {
    /// From the first thread's begin to the last one's end.
    pub nanoseconds: u128,
    /// For how long of it a thread was ready and had no processor, at most; 0 where the system does not say.
    pub waited: u128,
    pub checksum: u64,
}

impl Answer {
    pub fn to_line(&self) -> String {
        let Self { nanoseconds, waited, checksum } = self;
        format!("{nanoseconds},{waited},{checksum}")
    }

    pub fn of_line(line: &str) -> Result<Self> {
        let [nanoseconds, waited, checksum] = line.trim_end().split(',').collect::<Vec<_>>()[..] else {
            return Err("no answer".into());
        };
        Ok(Self { nanoseconds: nanoseconds.parse()?, waited: waited.parse()?, checksum: checksum.parse()? })
    }
}

/// Does one task of one thread after the other, until there are none.
pub fn serve(mut run: impl FnMut(&Task) -> Result<u64>) -> Result<()> {
    use std::io::{BufRead, Write};

    let mut output = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let task = Task::of_line(&line?)?;
        let waited = waited_for_processor();
        let begin = std::time::Instant::now();
        let checksum = run(&task)?;
        let nanoseconds = begin.elapsed().as_nanos();
        let answer = Answer { nanoseconds, waited: waited_for_processor() - waited, checksum };
        writeln!(output, "{}", answer.to_line())?;
        output.flush()?;
    }
    Ok(())
}

/// For how many nanoseconds this thread was ready to run and had no processor, where the system tells it.
pub fn waited_for_processor() -> u128 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').nth(1).and_then(|waited| waited.parse().ok()).unwrap_or(0)
}

/// Prints what a worker is: versions, and what its connection is set to. `query` returns the first column of all rows.
pub fn print_environment(
    driver: &str,
    lock: &str,
    mutex: &str,
    mut query: impl FnMut(&str) -> Result<String>,
) -> Result<()> {
    let version = |package: &str| {
        let entry = lock.split("[[package]]").find(|entry| entry.contains(&format!("\nname = \"{package}\"\n")));
        entry.and_then(|entry| entry.split("version = \"").nth(1)?.split('"').next()).unwrap_or("none").to_owned()
    };
    let sys = ["libsqlite3-sys", "sqlite3-src"].map(|name| (name, version(name))).into_iter();
    let sys = sys.filter(|(_, version)| version != "none").map(|(name, version)| format!("{name} {version}"));
    let sys: Vec<_> = sys.collect();
    let mut columns = vec![
        format!("{driver} {}", version(driver)),
        query("SELECT sqlite_version()")?,
        sys.join(", "),
        mutex.to_owned(),
    ];
    for pragma in ["mmap_size", "cache_size", "journal_mode", "page_size"] {
        columns.push(query(&format!("PRAGMA {pragma}"))?);
    }
    columns.push(query("SELECT group_concat(compile_options, ' ') FROM pragma_compile_options")?);
    println!("| {} |", columns.join(" | "));
    Ok(())
}
