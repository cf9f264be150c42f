//! Accounts with holds: the work of most examples here, and of more services than one would think.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::work::{Failure, Work};
use crate::participant::{Call, Vote};

/// The largest balance to start with and the largest amount of one branch: sums of millions of them fit in 64 bits.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000;

/// Accounts, none of which goes below zero. The payload of a branch is a [`Transfer`]. What goes out is held from
/// `prepare` on; what comes in is there from `commit` on.
#[derive(Clone, Debug)]
pub struct Accounts {
    first: Vec<(String, i64)>,
}

/// `{"account": "widgets", "amount": -2}`: adds the amount to the account.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Transfer {
    /// The account's name.
    pub account: String,
    /// What is added, or with a minus taken.
    pub amount: i64,
}

/// What all accounts have.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct Balances {
    /// By name; what is held is still in them.
    pub accounts: BTreeMap<String, i64>,
    /// The sum of the amounts, without their signs, of all that is prepared.
    pub held: i64,
}

impl Accounts {
    /// Accounts that start with these balances, unless they are there already.
    pub fn new<N: Into<String>>(first: impl IntoIterator<Item = (N, i64)>) -> Self {
        Self { first: first.into_iter().map(|(name, balance)| (name.into(), balance)).collect() }
    }

    /// What all accounts have; for [`Branches::read`](super::Branches::read).
    pub fn balances(db: &Connection) -> rusqlite::Result<Balances> {
        let mut balances = Balances::default();
        let mut statement = db.prepare_cached("SELECT name, balance, held + awaited FROM accounts")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?)))?;
        for row in rows {
            let (name, balance, held) = row?;
            balances.accounts.insert(name, balance);
            balances.held += held;
        }
        Ok(balances)
    }
}

/// What a prepare takes out of reach, and what it announces.
fn parts(amount: i64) -> (i64, i64) {
    ((-amount).max(0), amount.max(0))
}

impl Work for Accounts {
    fn set_up(&self, db: &Connection) -> rusqlite::Result<()> {
        // A hold is part of its account's row, so that a prepare costs the same however many others are open.
        db.execute_batch(
            "CREATE TABLE IF NOT EXISTS accounts (
                name TEXT PRIMARY KEY,
                balance INTEGER NOT NULL,
                held INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0 AND held <= balance),
                awaited INTEGER NOT NULL DEFAULT 0 CHECK (awaited >= 0)
            ) STRICT, WITHOUT ROWID",
        )?;
        for (name, balance) in &self.first {
            let insert = "INSERT INTO accounts (name, balance) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
            db.execute(insert, params![name, balance])?;
        }
        Ok(())
    }

    fn prepare(&self, db: &Connection, call: &Call) -> Result<Vote, Failure> {
        let Transfer { account, amount } = call.json()?;
        if amount.unsigned_abs() > AMOUNT_MAX.unsigned_abs() {
            return Ok(Vote::No(format!("an amount is at most {AMOUNT_MAX}")));
        }
        let (held, awaited) = parts(amount);
        let free: Option<i64> = db
            .prepare_cached("SELECT balance - held FROM accounts WHERE name = ?1")?
            .query_row([&account], |row| row.get(0))
            .optional()?;
        match free {
            None => Ok(Vote::No(format!("there is no account {account:?}"))),
            Some(free) if free < held => Ok(Vote::No(format!("{account} has {free} free, not {held}"))),
            Some(_) => {
                db.prepare_cached("UPDATE accounts SET held = held + ?2, awaited = awaited + ?3 WHERE name = ?1")?
                    .execute(params![account, held, awaited])?;
                Ok(Vote::Yes)
            }
        }
    }

    fn commit(&self, db: &Connection, call: &Call) -> Result<(), Failure> {
        let Transfer { account, amount } = call.json()?;
        let (held, awaited) = parts(amount);
        db.prepare_cached(
            "UPDATE accounts SET balance = balance + ?2, held = held - ?3, awaited = awaited - ?4 WHERE name = ?1",
        )?
        .execute(params![account, amount, held, awaited])?;
        Ok(())
    }

    fn rollback(&self, db: &Connection, call: &Call) -> Result<(), Failure> {
        let Transfer { account, amount } = call.json()?;
        let (held, awaited) = parts(amount);
        db.prepare_cached("UPDATE accounts SET held = held - ?2, awaited = awaited - ?3 WHERE name = ?1")?
            .execute(params![account, held, awaited])?;
        Ok(())
    }
}
