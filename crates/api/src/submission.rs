//! The bodies of v1 requests, as they are written. What they mean is decided in `accept`.
use crate::json::{List, Members, Object, Text};
use crate::names::{MODES, RESOLUTIONS};
use crate::openapi::schema;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use unanim_engine::{BranchId, Gid, Resolution};

/// The longest call, in milliseconds.
pub const CALL_TIMEOUT_MS_MAX: u32 = 300_000;
/// The longest deadline, in milliseconds.
pub const TIMEOUT_MS_MAX: u64 = 30 * 24 * 3_600_000;
/// The longest wait between two attempts, in milliseconds.
pub const RETRY_MS_MAX: u32 = 3_600_000;
/// More branches, or participants, than this are not even read, whatever the limit is.
pub(crate) const BRANCHES_READ: usize = 10_000;
/// Headers of one branch.
pub(crate) const HEADERS_MAX: usize = 100;
/// More statuses than there are.
pub(crate) const REFUSED_STATUSES_MAX: usize = 100;

/// What begins a transaction.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Submission<'a> {
    /// Its name; one is made where it is left out.
    #[serde(borrow)]
    #[schemars(length(min = 1, max = Gid::BYTES_MAX))]
    pub(crate) gid: Option<Text<'a>>,
    /// Its protocol.
    #[serde(borrow)]
    #[schemars(schema_with = "modes")]
    pub(crate) mode: Text<'a>,
    /// Commit at once; true unless given. `false` begins it, and waits for branches and for `/commit`.
    pub(crate) start: Option<bool>,
    /// Milliseconds it may stay undecided; 60000 unless given.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX))]
    pub(crate) timeout_ms: Option<u64>,
    /// How its branches are asked again.
    pub(crate) retry: Option<Object<Retry>>,
    /// At least one, unless `start` is false.
    #[serde(borrow)]
    pub(crate) branches: Option<List<Object<Branch<'a>>, BRANCHES_READ>>,
}

/// Branches to add.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Addition<'a> {
    /// At least one; each needs an id here.
    #[serde(borrow)]
    pub(crate) branches: List<Object<Branch<'a>>, BRANCHES_READ>,
}

/// Nothing more than what the path says.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// How a person says that a branch ended.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Resolve")]
pub(crate) struct Resolve<'a> {
    /// What its participant did.
    #[serde(borrow)]
    #[schemars(schema_with = "resolutions")]
    pub(crate) outcome: Text<'a>,
    /// Why it is said, in the person's words; kept.
    #[serde(borrow)]
    #[schemars(length(min = 1, max = Resolution::REASON_BYTES_MAX), regex(pattern = r"\S"))]
    pub(crate) reason: Option<Text<'a>>,
    /// Who says it; kept.
    #[serde(borrow)]
    #[schemars(length(min = 1, max = Resolution::BY_BYTES_MAX), regex(pattern = r"\S"))]
    pub(crate) by: Option<Text<'a>>,
}

/// The branches of either, each as it is written; for a digest of each.
#[derive(Debug, Deserialize)]
pub(crate) struct Written<'a> {
    #[serde(borrow)]
    pub(crate) branches: Option<Vec<&'a RawValue>>,
}

/// The pauses between two attempts.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retry {
    /// Milliseconds after the first attempt; it doubles from there.
    #[schemars(range(min = 1, max = RETRY_MS_MAX))]
    pub(crate) first_ms: Option<u64>,
    /// Milliseconds at most.
    #[schemars(range(min = 1, max = RETRY_MS_MAX))]
    pub(crate) max_ms: Option<u64>,
}

/// A branch: one participant's part. It has either an `endpoint` or `endpoints`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewBranch")]
pub(crate) struct Branch<'a> {
    /// Its name within the transaction; one is made in a submission where it is left out.
    #[serde(borrow)]
    #[schemars(length(min = 1, max = BranchId::BYTES_MAX))]
    pub(crate) id: Option<Text<'a>>,
    /// The URL that is called for every operation; `Unanim-Op` says which.
    #[serde(borrow)]
    pub(crate) endpoint: Option<Text<'a>>,
    /// A URL for each operation.
    #[serde(borrow)]
    pub(crate) endpoints: Option<Object<Endpoints<'a>>>,
    /// The body of every call, byte for byte as it is written.
    #[serde(borrow, default, deserialize_with = "present")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub(crate) payload: Option<&'a RawValue>,
    /// Sent with every call; stored, and never shown again.
    #[serde(borrow)]
    pub(crate) headers: Option<Members<'a, HEADERS_MAX>>,
    /// Milliseconds that one call may take; 10000 unless given.
    #[schemars(range(min = 1, max = CALL_TIMEOUT_MS_MAX))]
    pub(crate) call_timeout_ms: Option<u64>,
    /// Laid over the transaction's.
    pub(crate) retry: Option<Object<Retry>>,
    /// Statuses that say no to a `prepare`; 409 and 422 unless given.
    pub(crate) refused_statuses: Option<List<u64, REFUSED_STATUSES_MAX>>,
    /// The only branch gets one call instead of two phases.
    pub(crate) one_phase: Option<bool>,
}

/// A URL for each operation.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Endpoints<'a> {
    /// Needed.
    #[serde(borrow)]
    pub(crate) prepare: Option<Text<'a>>,
    /// Needed.
    #[serde(borrow)]
    pub(crate) commit: Option<Text<'a>>,
    /// Needed.
    #[serde(borrow)]
    pub(crate) rollback: Option<Text<'a>>,
    /// That of `commit` unless given.
    #[serde(borrow)]
    pub(crate) commit_one_phase: Option<Text<'a>>,
}

fn resolutions(_: &mut SchemaGenerator) -> Schema {
    schema::choice(RESOLUTIONS)
}

fn modes(_: &mut SchemaGenerator) -> Schema {
    schema::choice(MODES)
}

/// A payload of `null` is a payload; one left out is none.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}
