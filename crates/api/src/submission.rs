//! The bodies of v1 requests, as they are written. What they mean is decided in `accept`.
use crate::json::{List, Members, Object, Text};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// More branches, or participants, than this are not even read, whatever the limit is.
pub(crate) const BRANCHES_READ: usize = 10_000;
/// Headers of one branch.
pub(crate) const HEADERS_MAX: usize = 100;
/// More statuses than there are.
pub(crate) const REFUSED_STATUSES_MAX: usize = 100;

/// `POST /v1/transactions`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Submission<'a> {
    #[serde(borrow)]
    pub(crate) gid: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) mode: Text<'a>,
    pub(crate) start: Option<bool>,
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) retry: Option<Object<Retry>>,
    #[serde(borrow)]
    pub(crate) branches: Option<List<Object<Branch<'a>>, BRANCHES_READ>>,
}

/// `POST /v1/transactions/{gid}/branches`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Addition<'a> {
    #[serde(borrow)]
    pub(crate) branches: List<Object<Branch<'a>>, BRANCHES_READ>,
}

/// `POST /v1/transactions/{gid}/commit` and `…/rollback`: `{}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// The branches of either, each as it is written; for a digest of each.
#[derive(Debug, Deserialize)]
pub(crate) struct Written<'a> {
    #[serde(borrow)]
    pub(crate) branches: Option<Vec<&'a RawValue>>,
}

/// `retry`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retry {
    pub(crate) first_ms: Option<u64>,
    pub(crate) max_ms: Option<u64>,
}

/// One of `branches`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Branch<'a> {
    #[serde(borrow)]
    pub(crate) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) endpoint: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) endpoints: Option<Object<Endpoints<'a>>>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) payload: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) headers: Option<Members<'a, HEADERS_MAX>>,
    pub(crate) call_timeout_ms: Option<u64>,
    pub(crate) retry: Option<Object<Retry>>,
    pub(crate) refused_statuses: Option<List<u64, REFUSED_STATUSES_MAX>>,
    pub(crate) one_phase: Option<bool>,
}

/// `endpoints`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Endpoints<'a> {
    #[serde(borrow)]
    pub(crate) prepare: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) commit: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) rollback: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) commit_one_phase: Option<Text<'a>>,
}

/// A payload of `null` is a payload; one left out is none.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}
