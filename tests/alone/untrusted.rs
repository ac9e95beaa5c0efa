//! Files from strangers in a process that maps files.

use finalite::{Connection, OpenOptions, ffi};

use crate::runner::cases;

cases![an_untrusted_file_is_not_mapped_where_others_are];

fn an_untrusted_file_is_not_mapped_where_others_are() {
    let (usual, most): (i64, i64) = (1 << 20, 1 << 30);
    // SAFETY: nobody uses SQLite yet in this process, and the option takes two numbers of 64 bits.
    let code = unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_MMAP_SIZE, usual, most) };
    assert_eq!(code, ffi::SQLITE_OK);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let plain = Connection::open(&path).unwrap();
    plain.execute("CREATE TABLE t(a)", ()).unwrap();
    assert_eq!(plain.pragma::<i64>("mmap_size").unwrap(), usual);
    let hardened = OpenOptions::untrusted().open(&path).unwrap();
    assert_eq!(hardened.pragma::<i64>("mmap_size").unwrap(), 0);
}
