//! Blobs and backups, by every competitor.

use std::io::{Read, Seek, SeekFrom, Write};

use finalite::data::{Access, Backup};

use crate::Result;
use crate::reference::Handle;
use crate::work::Competitor;

/// Bytes of the value, and of a piece of it.
const BYTES: u64 = 10_000_000;
const PIECE: usize = 65_536;

/// Pages that a step of a backup copies.
const PAGES: u32 = 100;

/// Creates the value that the blobs are of.
pub fn create(conn: &finalite::Connection) -> Result<()> {
    conn.execute_batch("CREATE TABLE b(a)")?;
    conn.execute("INSERT INTO b VALUES (?)", (finalite::ZeroBlob(BYTES),))?;
    Ok(())
}

/// Reads or writes n pieces of the value, from its beginning again after its end.
pub fn blobs<'a>(
    conn: &'a finalite::Connection,
    peer: &'a rusqlite::Connection,
    is_writing: bool,
) -> Vec<Competitor<'a>> {
    let mut piece = [1; PIECE];
    let access = if is_writing { Access::ReadWrite } else { Access::ReadOnly };
    // The pieces that fit.
    let turn = BYTES / PIECE as u64;
    vec![
        Competitor::new("C", move |n| Handle::of(conn).blob(is_writing, &mut piece, n)),
        Competitor::new("finalite", move |n| {
            let mut blob = conn.blob(("b", "a", 1), access)?;
            let mut checksum = 0;
            for i in 0..n {
                if i % turn == 0 {
                    blob.seek(SeekFrom::Start(0))?;
                }
                if is_writing {
                    blob.write_all(&piece)?
                } else {
                    blob.read_exact(&mut piece)?
                }
                checksum += u64::from(piece[0]);
            }
            blob.close()?;
            Ok(checksum)
        }),
        Competitor::new("rusqlite", move |n| {
            let mut blob = peer.blob_open(rusqlite::MAIN_DB, "b", "a", 1, !is_writing)?;
            let mut checksum = 0;
            for i in 0..n {
                if i % turn == 0 {
                    blob.seek(SeekFrom::Start(0))?;
                }
                if is_writing {
                    blob.write_all(&piece)?
                } else {
                    blob.read_exact(&mut piece)?
                }
                checksum += u64::from(piece[0]);
            }
            blob.close()?;
            Ok(checksum)
        }),
    ]
}

/// Copies the database n times, over the last copy.
pub fn backups<'a>(conn: &'a finalite::Connection, peer: &'a rusqlite::Connection) -> Result<Vec<Competitor<'a>>> {
    let to_c = finalite::Connection::open_in_memory()?;
    let mut to_finalite = Some(finalite::Connection::open_in_memory()?);
    let mut to_rusqlite = rusqlite::Connection::open_in_memory()?;
    Ok(vec![
        Competitor::new("C", move |n| {
            (0..n).map(|_| Handle::of(conn).backup(Handle::of(&to_c), i32::try_from(PAGES)?)).sum()
        }),
        Competitor::new("finalite", move |n| {
            let mut checksum = 0;
            for _ in 0..n {
                let mut backup = Backup::new(conn, to_finalite.take().ok_or("the last copy failed")?)?;
                while !backup.step(PAGES)?.is_done {}
                checksum += backup.progress().page_count;
                to_finalite = Some(backup.finish()?);
            }
            Ok(checksum)
        }),
        Competitor::new("rusqlite", move |n| {
            let mut checksum = 0;
            for _ in 0..n {
                let backup = rusqlite::backup::Backup::new(peer, &mut to_rusqlite)?;
                while backup.step(i32::try_from(PAGES)?)? == rusqlite::backup::StepResult::More {}
                checksum += u64::try_from(backup.progress().pagecount)?;
            }
            Ok(checksum)
        }),
    ])
}
