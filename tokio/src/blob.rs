//! Large values to an `AsyncWrite`, and from an `AsyncRead`.

use std::future::{Future, poll_fn};
use std::io;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as Task, Poll};

use finalite::data::{Access, BlobAddress};
use finalite::pool::Role;
use finalite::{DropBehavior, Result, Transaction, workspace};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::control::{Control, Deadline};
use crate::pool::Pool;
use crate::upload::{Next, Upload};
use crate::worker::Context;

/// Number of bytes that are handed over at once. Four such pieces are in memory.
const PIECE: usize = 64 * 1024;

/// Length of the piece that begins at the offset.
fn piece(offset: u64, len: u64) -> usize {
    usize::try_from(len.saturating_sub(offset)).unwrap_or(PIECE).min(PIECE)
}

impl Pool {
    /// Writes a value of a row, as its bytes, to the writer, and flushes it. Returns the number of bytes.
    ///
    /// 256 KiB of it are in memory at a time. All are of one state of the database: a reader of the pool is occupied until
    /// the end, and waits for the writer. The deadline and [`close_now`](Self::close_now) end it also while the writer
    /// accepts nothing.
    ///
    /// # Errors
    ///
    /// The writer's. Those of [`finalite::pool::Pool::reader`], [`Connection::blob`](finalite::Connection::blob) and
    /// [`Blob::read_at`](finalite::data::Blob::read_at) are within [`io::Error::other`].
    ///
    /// # Example
    ///
    /// ```
    /// use finalite_tokio::Pool;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = Pool::open(finalite::pool::Pool::in_memory("copy_blob_to")).await?;
    /// pool.execute_batch("CREATE TABLE file(id INTEGER PRIMARY KEY, content); INSERT INTO file VALUES (7, x'010203')").await?;
    /// let mut body = Vec::new();
    /// assert_eq!(pool.copy_blob_to(("file", "content", 7), &mut body).await?, 3);
    /// assert_eq!(body, [1, 2, 3]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn copy_blob_to<'a>(
        &'a self,
        address: impl Into<BlobAddress<'static>>,
        writer: &'a mut (impl AsyncWrite + Unpin + ?Sized),
    ) -> impl Future<Output = io::Result<u64>> {
        let (address, site) = (address.into(), Location::caller());
        async move {
            let mut pieces = self.stream_from(site, move |conn, sender| {
                // It holds a transaction open, and with it one state of the database.
                let blob = conn.blob(address, Access::ReadOnly)?;
                let mut offset = 0;
                while offset < blob.len() {
                    let mut bytes = vec![0; piece(offset, blob.len())];
                    blob.read_at(&mut bytes, offset)?;
                    offset += bytes.len() as u64;
                    sender.send(vec![bytes])?;
                }
                sender.send(vec![Vec::new()])?;
                sender.wait_until_left()
            });
            let mut written = 0;
            while let Some(bytes) = pieces.next().await {
                let bytes = bytes.map_err(io::Error::other)?;
                if bytes.is_empty() {
                    break;
                }
                pieces.beside(writer.write_all(&bytes)).await?;
                written += bytes.len() as u64;
            }
            pieces.beside(writer.flush()).await?;
            pieces.end().await;
            Ok(written)
        }
    }

    /// Fills a value of a row with the bytes of the reader, up to its end. Returns their number.
    ///
    /// A value does not grow: it is inserted with its length before, as `zeroblob(?)`. If the reader has fewer bytes, the
    /// rest of the value stays as it was. Nothing is stored after an error, or if the future is dropped. The pool's writer is
    /// occupied until the end, and waits for the reader. The deadline and [`close_now`](Self::close_now) end it also while
    /// the reader has nothing.
    ///
    /// # Errors
    ///
    /// The reader's. Those of [`finalite::pool::Pool::writer`], [`Connection::blob`](finalite::Connection::blob),
    /// [`Blob::write_at`](finalite::data::Blob::write_at) and of `COMMIT` are within [`io::Error::other`];
    /// [`ErrorKind::BlobRange`](finalite::ErrorKind::BlobRange) if the reader has more bytes than the value.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite_tokio::Pool;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = Pool::open(finalite::pool::Pool::in_memory("copy_blob_from")).await?;
    /// pool.execute_batch("CREATE TABLE file(id INTEGER PRIMARY KEY, content)").await?;
    /// let upload: &[u8] = b"hello";
    /// pool.execute("INSERT INTO file VALUES (7, zeroblob(?))", (upload.len() as i64,)).await?;
    /// assert_eq!(pool.copy_blob_from(("file", "content", 7), &mut &upload[..]).await?, 5);
    /// assert_eq!(pool.query_one::<Vec<u8>>("SELECT content FROM file", ()).await?, b"hello");
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn copy_blob_from<'a>(
        &'a self,
        address: impl Into<BlobAddress<'static>>,
        reader: &'a mut (impl AsyncRead + Unpin + ?Sized),
    ) -> impl Future<Output = io::Result<u64>> {
        let (address, site) = (address.into(), Location::caller());
        async move {
            let (upload, deadline) = (Sending(Arc::new(Upload::new())), self.deadline());
            let pieces = Arc::clone(&upload.0);
            let storing = self.inner.writer.submit(deadline, move |context: &Context<'_>| {
                let mut conn = context.lend(Role::Writer, site, deadline)?;
                let _supervision = context.control.supervise(&conn, deadline)?;
                let mut tx = conn.transaction()?;
                tx.set_drop_behavior(DropBehavior::Rollback);
                let stored = store(&tx, address, &pieces, context.control, deadline)?;
                tx.commit()?;
                Ok(stored)
            });
            let mut storing = pin!(storing.map_err(io::Error::other)?.without_spinning());
            loop {
                let (mut bytes, mut part) = (Vec::with_capacity(PIECE), (&mut *reader).take(PIECE as u64));
                let mut read = pin!(part.read_to_end(&mut bytes));
                if beside(&mut storing, |task| read.as_mut().poll(task)).await?? == 0 {
                    break;
                }
                beside(&mut storing, |task| upload.0.poll_room(task)).await?;
                upload.0.send(bytes);
            }
            upload.0.complete();
            storing.await.map_err(io::Error::other)
        }
    }
}

/// The task's end of an upload.
struct Sending(Arc<Upload>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// Waits for what a task does, while a call runs that does not end before, unless by an error.
async fn beside<T, R>(
    call: &mut Pin<&mut impl Future<Output = Result<R>>>,
    mut poll: impl FnMut(&mut Task<'_>) -> Poll<T>,
) -> io::Result<T> {
    // The call first, which is refused in a child process: nothing else of the upload is touched there.
    poll_fn(|task| match call.as_mut().poll(task) {
        Poll::Ready(ended) => {
            let error = ended.err().unwrap_or_else(workspace::interrupted);
            Poll::Ready(Err(io::Error::other(error)))
        }
        Poll::Pending => poll(task).map(Ok),
    })
    .await
}

/// Fills a value with pieces. Returns the number of bytes.
fn store(
    tx: &Transaction<'_>,
    address: BlobAddress<'_>,
    pieces: &Upload,
    control: &Arc<Control>,
    deadline: Deadline,
) -> Result<u64> {
    let mut blob = tx.blob(address, Access::ReadWrite)?;
    let mut offset = 0;
    loop {
        match pieces.next(control, deadline) {
            Next::Piece(bytes) => {
                control.check(deadline)?;
                blob.write_at(&bytes, offset)?;
                offset += bytes.len() as u64;
            }
            Next::Complete => break,
            Next::Over => return Err(control.reason(deadline)),
        }
    }
    blob.close()?;
    Ok(offset)
}
