//! C streams of finalite for consumers in Python, which get their addresses.

use std::sync::{Mutex, PoisonError};

use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use finalite::{OpenOptions, handles, memory};
use finalite_arrow::{Error, Options, export};

/// The streams that consumers have moved out of, or not.
static STREAMS: Mutex<Vec<Box<FFI_ArrowArrayStream>>> = Mutex::new(Vec::new());

fn variable(name: &str) -> &'static str {
    std::env::var(name).unwrap_or_default().leak()
}

/// Returns the address of a stream of `STREAM_SQL` on `STREAM_DATABASE`, or 0. In `form` 0 it reads while it is consumed,
/// in form 1 it is in memory; form 2 has 64-bit offsets, form 3 is read from the pages by two threads.
pub extern "C" fn stream_address(form: usize, rows: usize) -> usize {
    let open = || -> Result<FFI_ArrowArrayStream, Error> {
        let conn = OpenOptions::new().read_only(true).create(false).open(variable("STREAM_DATABASE"))?;
        let sql = variable("STREAM_SQL");
        let options = Options::new().rows(rows).large(form == 2).utc(form == 2);
        Ok(match form {
            1 => export(options.record_batches(conn.scan(sql, ()))?),
            3 => {
                let pages = finalite::scan::ScanStrategy::Pages;
                export(options.stream(conn, move |conn| conn.scan(sql, ()).strategy(pages).threads(2))?)
            }
            _ => export(options.stream(conn, move |conn| conn.scan(sql, ()))?),
        })
    };
    match open() {
        Ok(stream) => {
            let mut stream = Box::new(stream);
            let address = (&raw mut *stream).addr();
            STREAMS.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
            address
        }
        Err(error) => {
            eprintln!("{error}");
            0
        }
    }
}

/// Drops the streams, whose consumers are done, and returns the number of open handles.
pub extern "C" fn open_handles() -> u64 {
    STREAMS.lock().unwrap_or_else(PoisonError::into_inner).clear();
    handles::counts().total()
}

/// Returns the number of bytes that SQLite has allocated.
pub extern "C" fn native_bytes() -> u64 {
    memory::stats().bytes
}
