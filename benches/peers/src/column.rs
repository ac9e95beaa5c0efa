//! What SQLite's memory comes from: the columns of the memory bench. A process has one, from its start.

use std::process::Command;

use finalite::Connection;
use finalite::memory::{self, Mode};

use crate::{Result, reference};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// SQLite as it is: its own malloc, and statistics behind one mutex for all.
    Stock,
    /// SQLite's own malloc, and nobody counts: what most programs do that have seen the mutex.
    Uncounted,
    /// finalite's allocator.
    Finalite,
}

impl Column {
    const ALL: [Self; 3] = [Self::Stock, Self::Uncounted, Self::Finalite];

    pub fn name(self) -> &'static str {
        match self {
            Self::Stock => "stock",
            Self::Uncounted => "uncounted",
            Self::Finalite => "finalite",
        }
    }

    pub fn of_name(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|column| column.name() == name).ok_or_else(|| format!("no column {name:?}").into())
    }

    /// This program once more, in a process of this column, which has to [`enter`](Self::enter) it.
    pub fn command(self) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        match self {
            Self::Stock | Self::Uncounted => command.env("FINALITE_ALLOCATOR", "stock"),
            Self::Finalite => command.env_remove("FINALITE_ALLOCATOR"),
        };
        Ok(command)
    }

    /// First of all in `main`. Fails if the process is of another column.
    pub fn enter(self) -> Result<()> {
        if self == Self::Uncounted {
            reference::turn_statistics_off()?;
        }
        // Known for certain once something is open.
        let conn = Connection::open_in_memory()?;
        let mode = memory::mode();
        conn.close()?;
        let is_it = match self {
            Self::Stock => mode == Mode::MemStatus,
            Self::Uncounted => mode == Mode::None,
            Self::Finalite => mode == Mode::Counting,
        };
        if is_it { Ok(()) } else { Err(format!("the mode is {mode}, which is not that of {}", self.name()).into()) }
    }
}
