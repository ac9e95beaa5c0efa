//! The ledger: accounts, and transfers between them that leave their sum as it is.

use std::sync::Arc;

use finalite::pool::Pool;
use finalite::{Error, Result};

pub const ACCOUNTS: i64 = 1000;
const CENTS: i64 = 100_000;

pub struct Ledger {
    pool: Arc<Pool>,
}

impl Ledger {
    /// Makes the tables, and gives each account its first cents, unless that is done.
    pub fn create(pool: Arc<Pool>) -> Result<Self> {
        pool.writer()?.execute_batch(
            "CREATE TABLE IF NOT EXISTS account(id INTEGER PRIMARY KEY, owner TEXT NOT NULL, cents INTEGER NOT NULL);
             CREATE TABLE IF NOT EXISTS transfer(
                 id INTEGER PRIMARY KEY,
                 payer INTEGER NOT NULL REFERENCES account,
                 payee INTEGER NOT NULL REFERENCES account,
                 cents INTEGER NOT NULL CHECK (cents > 0),
                 reason TEXT NOT NULL
             );",
        )?;
        pool.write(|tx| {
            if tx.query_one::<i64>("SELECT count(*) FROM account", ())? == 0 {
                let mut insert = tx.prepare("INSERT INTO account VALUES (?, ?, ?)")?;
                insert.execute_many((1..=ACCOUNTS).map(|id| (id, format!("owner {id}"), CENTS)))?;
            }
            Ok(())
        })?;
        Ok(Self { pool })
    }

    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Moves cents from one account to another.
    pub fn transfer(&self, payer: i64, payee: i64, cents: i64, reason: &str) -> Result<()> {
        self.pool.write(|tx| {
            tx.execute("UPDATE account SET cents = cents - ? WHERE id = ?", (cents, payer))?;
            tx.execute("UPDATE account SET cents = cents + ? WHERE id = ?", (cents, payee))?;
            tx.execute(
                "INSERT INTO transfer(payer, payee, cents, reason) VALUES (?, ?, ?, ?)",
                (payer, payee, cents, reason),
            )?;
            // What is older than the last hundred thousand is let go.
            tx.execute("DELETE FROM transfer WHERE id = (SELECT max(id) FROM transfer) - 100000", ())?;
            Ok(())
        })
    }

    /// The cents of all accounts together.
    ///
    /// # Errors
    ///
    /// [`Error::external`] if they are not what they were at the beginning, besides SQLite's.
    pub fn balance(&self) -> Result<i64> {
        let sum: i64 = self.pool.reader()?.query_one("SELECT sum(cents) FROM account", ())?;
        if sum == ACCOUNTS * CENTS {
            Ok(sum)
        } else {
            Err(Error::external(format!("the ledger does not balance: {sum} cents")))
        }
    }

    /// The cents of one account.
    pub fn cents(&self, account: i64) -> Result<i64> {
        self.pool.reader()?.query_one("SELECT cents FROM account WHERE id = ?", (account,))
    }

    /// Who paid most lately: a sort that takes memory.
    pub fn largest_payers(&self) -> Result<Vec<(String, i64)>> {
        self.pool.reader()?.query_all(
            "SELECT owner, sum(transfer.cents) AS paid FROM transfer JOIN account ON account.id = payer
             GROUP BY payer, reason ORDER BY paid DESC LIMIT 10",
            (),
        )
    }
}
