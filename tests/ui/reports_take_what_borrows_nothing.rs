//! error[E0277]: a report like anyhow's takes errors that borrow nothing; a transaction given back must become one
use finalite::{Connection, Error};

struct Report(Box<dyn std::error::Error + Send + Sync>);

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Report {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

fn main() {
    let _ = || -> Result<(), Report> {
        let mut conn = Connection::open_in_memory()?;
        conn.transaction()?.commit()?;
        conn.transaction()?.commit_or_return()?; //~ fails
        conn.transaction()?.commit_or_return().map_err(Error::from)?; //~ passes
        Ok(conn.close_or_return()?)
    };
}
