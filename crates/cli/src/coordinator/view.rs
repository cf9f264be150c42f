//! Transactions as the server shows them. Answers may grow: what is not here is passed over, and enums stay text.

use serde::Deserialize;

/// A transaction; in a list without its branches.
#[derive(Debug, Deserialize)]
pub(crate) struct Transaction {
    pub(crate) gid: String,
    pub(crate) mode: String,
    pub(crate) phase: String,
    pub(crate) outcome: String,
    pub(crate) reason: Option<Reason>,
    #[serde(default)]
    pub(crate) stuck: bool,
    pub(crate) heuristic: Option<String>,
    pub(crate) created_at: Option<String>,
    pub(crate) deadline_at: Option<String>,
    pub(crate) decided_at: Option<String>,
    pub(crate) finished_at: Option<String>,
    #[serde(default)]
    pub(crate) branches: Vec<Branch>,
}

/// Why it aborted.
#[derive(Debug, Deserialize)]
pub(crate) struct Reason {
    pub(crate) code: String,
    pub(crate) branch: Option<String>,
    pub(crate) detail: Option<String>,
}

/// A branch as the server shows it.
#[derive(Debug, Deserialize)]
pub(crate) struct Branch {
    pub(crate) id: String,
    pub(crate) participant: Option<String>,
    pub(crate) state: String,
    pub(crate) op: Option<String>,
    #[serde(default)]
    pub(crate) attempts: u64,
    pub(crate) last: Option<Last>,
    pub(crate) next_at: Option<String>,
    /// What the participant did on its own.
    pub(crate) heuristic: Option<String>,
}

/// The last reply to a branch's call, or why there was none.
#[derive(Debug, Deserialize)]
pub(crate) struct Last {
    pub(crate) at: Option<String>,
    pub(crate) code: Option<String>,
}
