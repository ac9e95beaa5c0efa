//! Large values to an `AsyncWrite`, and from an `AsyncRead`.

use std::io;

use finalite::data::{Access, BlobAddress};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::pool::Pool;

/// Number of bytes that are in memory, and are handed over at once.
const PIECE: usize = 256 * 1024;

/// Length of the piece that begins at the offset.
fn piece(offset: u64, len: u64) -> usize {
    usize::try_from(len.saturating_sub(offset)).unwrap_or(PIECE).min(PIECE)
}

impl Pool {
    /// Writes a value of a row, as its bytes, to the writer, and flushes it. Returns the number of bytes.
    ///
    /// 256 KiB of it are in memory at a time. All are of one state of the database: a reader of the pool is occupied until
    /// the end, and waits for the writer.
    ///
    /// # Errors
    ///
    /// The writer's. Those of [`begin_read`](Self::begin_read), [`Connection::blob`](finalite::Connection::blob) and
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
    pub async fn copy_blob_to(
        &self,
        address: impl Into<BlobAddress<'static>>,
        writer: &mut (impl AsyncWrite + Unpin + ?Sized),
    ) -> io::Result<u64> {
        let address = address.into();
        let mut tx = self.begin_read().await.map_err(io::Error::other)?;
        let (mut offset, mut buffer) = (0, Vec::new());
        loop {
            let read = tx.run(move |tx| {
                let blob = tx.blob(address, Access::ReadOnly)?;
                buffer.resize(piece(offset, blob.len()), 0);
                if !buffer.is_empty() {
                    blob.read_at(&mut buffer, offset)?;
                }
                Ok(buffer)
            });
            buffer = read.await.map_err(io::Error::other)?;
            if buffer.is_empty() {
                break;
            }
            writer.write_all(&buffer).await?;
            offset += buffer.len() as u64;
        }
        writer.flush().await?;
        tx.rollback().await.map_err(io::Error::other)?;
        Ok(offset)
    }

    /// Fills a value of a row with the bytes of the reader, up to its end. Returns their number.
    ///
    /// A value does not grow: it is inserted with its length before, as `zeroblob(?)`. If the reader has fewer bytes, the
    /// rest of the value stays as it was. Nothing is stored after an error, or if the future is dropped. The pool's writer is
    /// occupied until the end, and waits for the reader.
    ///
    /// # Errors
    ///
    /// The reader's. Those of [`begin`](Self::begin), [`Connection::blob`](finalite::Connection::blob),
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
    pub async fn copy_blob_from(
        &self,
        address: impl Into<BlobAddress<'static>>,
        reader: &mut (impl AsyncRead + Unpin + ?Sized),
    ) -> io::Result<u64> {
        let address = address.into();
        let mut tx = self.begin().await.map_err(io::Error::other)?;
        let (mut offset, mut buffer) = (0, Vec::with_capacity(PIECE));
        loop {
            buffer.clear();
            (&mut *reader).take(PIECE as u64).read_to_end(&mut buffer).await?;
            if buffer.is_empty() {
                break;
            }
            let read = buffer.len() as u64;
            let write = tx.run(move |tx| {
                tx.blob(address, Access::ReadWrite)?.write_at(&buffer, offset)?;
                Ok(buffer)
            });
            buffer = write.await.map_err(io::Error::other)?;
            offset += read;
        }
        tx.commit().await.map_err(io::Error::other)?;
        Ok(offset)
    }
}
