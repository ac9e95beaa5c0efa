//! [`Stream`]: the connection to a node, and the ways to make one.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// A connection to a node. Programs implement it for TLS, and pass a function that dials
/// ([`ClusterBuilder::dial`](crate::ClusterBuilder::dial)).
///
/// A `write` that fails has passed nothing on of its bytes: a write to the database is then known not to be stored. If
/// `flush` fails, all of them may have been passed on, and the write is [`ErrorKind::Unknown`](crate::ErrorKind::Unknown).
pub trait Stream: Read + Write + Send {
    /// Limits the time of each later read and write. An operation that takes longer returns
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) or [`TimedOut`](io::ErrorKind::TimedOut).
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    fn set_timeout(&self, timeout: Duration) -> io::Result<()>;

    /// Called once after connecting and after each read: has the operating system acknowledge at once what has arrived.
    fn acknowledge(&self) {}

    /// Ends the connection in both directions.
    fn shut_down(&self);
}

impl Stream for TcpStream {
    fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(timeout))?;
        self.set_write_timeout(Some(timeout))
    }

    /// Linux otherwise delays an acknowledgement by 40 ms, for which the node waits between two batches of rows.
    fn acknowledge(&self) {
        #[cfg(target_os = "linux")]
        {
            // Only the time changes if it fails.
            let _ = socket2::SockRef::from(self).set_tcp_quickack(true);
        }
    }

    fn shut_down(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

#[cfg(unix)]
impl Stream for std::os::unix::net::UnixStream {
    fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(timeout))?;
        self.set_write_timeout(Some(timeout))
    }

    fn shut_down(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

/// A function that connects to an address within a time.
pub(crate) type Dial = dyn Fn(&str, Duration) -> io::Result<Box<dyn Stream>> + Send + Sync;

/// Connects by TCP to `host:port`, or on Linux to `@name`, an abstract Unix socket.
pub(crate) fn dial(address: &str, timeout: Duration) -> io::Result<Box<dyn Stream>> {
    #[cfg(target_os = "linux")]
    if let Some(name) = address.strip_prefix('@') {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::{SocketAddr, UnixStream};

        let stream = UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)?;
        return Ok(Box::new(stream));
    }
    let began = Instant::now();
    let mut problem = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in address.to_socket_addrs()? {
        let left = timeout.saturating_sub(began.elapsed());
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(Box::new(stream));
            }
            Err(error) => problem = error,
        }
    }
    Err(problem)
}
