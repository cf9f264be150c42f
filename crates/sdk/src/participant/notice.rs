//! What a person should know of.

use unanim_api::names::op_name;

use super::call::Op;

/// Something that happened beside the calls.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The coordinator was asked, and told this branch to commit or to roll back.
    Told {
        /// `Commit` or `Rollback`.
        op: Op,
        /// The transaction.
        gid: String,
        /// The branch.
        branch: String,
    },
    /// The same, and this branch could not do it: it is held, and asks again.
    Failed {
        /// `Commit` or `Rollback`.
        op: Op,
        /// The transaction.
        gid: String,
        /// The branch.
        branch: String,
        /// The error.
        why: String,
    },
    /// Whoever listens at the inquiry's URL is not the coordinator that made the call: it has another store. The branch is
    /// held until the right one is back, or a person decides.
    WrongCoordinator {
        /// The transaction.
        gid: String,
        /// The branch.
        branch: String,
        /// The URL that was asked, without its key.
        url: String,
    },
    /// A coordinator calls about a branch that is another one's: both were given the same gid. Nothing was changed.
    OtherCoordinator {
        /// What was asked.
        op: Op,
        /// The transaction.
        gid: String,
        /// The branch.
        branch: String,
        /// The store of the coordinator that called.
        store: String,
    },
    /// A second phase contradicts what is on record here.
    Contradiction {
        /// What was asked.
        op: Op,
        /// The transaction.
        gid: String,
        /// The branch.
        branch: String,
        /// What is on record.
        why: String,
    },
}

impl Notice {
    pub(super) fn log(&self) {
        match self {
            Notice::Told { .. } => tracing::info!("{self}"),
            Notice::Failed { .. } | Notice::WrongCoordinator { .. } | Notice::OtherCoordinator { .. } => {
                tracing::warn!("{self}")
            }
            Notice::Contradiction { .. } => tracing::error!("{self}"),
        }
    }
}

impl std::fmt::Display for Notice {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Notice::Told { op, gid, branch } => {
                write!(out, "asked about {gid:?}, branch {branch:?}, and was told: {}", op_name(*op))
            }
            Notice::Failed { op, gid, branch, why } => write!(
                out,
                "asked about {gid:?}, branch {branch:?}, and was told: {}; it stays held, because that failed: {why}",
                op_name(*op)
            ),
            Notice::WrongCoordinator { gid, branch, url } => write!(
                out,
                "another coordinator answers at {url} (wrong_coordinator): {gid:?}, branch {branch:?}, stays held"
            ),
            Notice::OtherCoordinator { op, gid, branch, store } => write!(
                out,
                "{} of {gid:?}, branch {branch:?}, by the coordinator with the store {store:?}: the branch is another \
                 coordinator's, and stays as it is",
                op_name(*op)
            ),
            Notice::Contradiction { op, gid, branch, why } => {
                write!(out, "CONTRADICTION: {} of {gid:?}, branch {branch:?}: {why}", op_name(*op))
            }
        }
    }
}
