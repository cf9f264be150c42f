//! The one table of what the server can be asked. What is not in it is not served: a path's methods are looked up here.
use super::parameters::Parameter;
use super::{classic, server, v1};
use crate::problem::ProblemCode::{self, *};
use crate::submission;
use schemars::{Schema, SchemaGenerator};

/// A path with a method.
pub struct Operation {
    /// `GET`, `POST` or `DELETE`. What has a `GET` answers `HEAD`, too.
    pub method: &'static str,
    /// With `{names}` for the segments that are given.
    pub path: &'static str,
    pub(crate) tag: &'static str,
    pub(crate) id: &'static str,
    pub(crate) about: &'static str,
    pub(crate) query: &'static [Parameter],
    pub(crate) body: Option<Body>,
    pub(crate) answers: &'static [Answer],
    pub(crate) problems: &'static [&'static [ProblemCode]],
}

/// A JSON body that a request may, or must, have.
pub(crate) struct Body {
    pub(crate) schema: Type,
    pub(crate) required: bool,
}

pub(crate) type Type = fn(&mut SchemaGenerator) -> Schema;

/// An answer that is no problem.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) about: &'static str,
    pub(crate) content: Content,
}

/// What is in it.
pub(crate) enum Content {
    Json(Type),
    Other(&'static str),
    None,
}

/// All operations.
pub fn operations() -> impl Iterator<Item = &'static Operation> {
    [v1::OPERATIONS, classic::OPERATIONS, server::OPERATIONS].into_iter().flatten()
}

/// The methods of a path, in the order of the table.
pub fn methods(path: &str) -> impl Iterator<Item = &'static str> {
    operations().filter(move |operation| operation.path == path).map(|operation| operation.method)
}

pub(super) const GUARDED: &[ProblemCode] = &[Unauthenticated, OriginNotAllowed];
pub(super) const NAMED: &[ProblemCode] = &[InvalidRequest, NotFound];
pub(super) const ASKS: &[ProblemCode] = &[Loading, Unavailable];
pub(super) const BODY: &[ProblemCode] =
    &[MalformedJson, InvalidRequest, RequestTimeout, TooLarge, UnsupportedMediaType];
pub(super) const BEGINS: &[ProblemCode] = &[TooManyOpen, DiskFull, Draining];
pub(super) const JOINS: &[ProblemCode] = &[EndpointNotAllowed, BranchConflict, Closed];
pub(super) const NOTHING: Option<Body> =
    Some(Body { schema: |to| to.subschema_for::<submission::Nothing>(), required: false });
