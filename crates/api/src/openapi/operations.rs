//! The one table of what the server can be asked. What is not in it is not served: a path's methods are looked up here.
use super::parameters::{INQUIRY, PATIENCE, Parameter};
use crate::problem::ProblemCode::{self, *};
use crate::{classic, submission, transaction};
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
}

/// The methods of a path, in the order of the table.
pub fn methods(path: &str) -> impl Iterator<Item = &'static str> {
    OPERATIONS.iter().filter(move |operation| operation.path == path).map(|operation| operation.method)
}

const GUARDED: &[ProblemCode] = &[Unauthenticated, OriginNotAllowed];
const NAMED: &[ProblemCode] = &[InvalidRequest, NotFound];
const ASKS: &[ProblemCode] = &[Loading, Unavailable];
const BODY: &[ProblemCode] = &[MalformedJson, InvalidRequest, RequestTimeout, TooLarge, UnsupportedMediaType];
const BEGINS: &[ProblemCode] = &[TooManyOpen, DiskFull, Draining];
const JOINS: &[ProblemCode] = &[EndpointNotAllowed, BranchConflict, Closed];

const TRANSACTION: Content = Content::Json(|to| to.subschema_for::<transaction::Body<'_>>());
const NOTHING: Option<Body> = Some(Body { schema: |to| to.subschema_for::<submission::Nothing>(), required: false });
const REACHED: Answer = Answer { status: 200, about: "What `wait` asked for is reached.", content: TRANSACTION };
const GOES_ON: Answer = Answer { status: 202, about: "It goes on.", content: TRANSACTION };
const RESULT: Answer = Answer {
    status: 200,
    about: "Whether it ended that way.",
    content: Content::Json(|to| to.subschema_for::<classic::ResultShape>()),
};
const HTML: Content = Content::Other("text/html");
const STATUS: Content = Content::Json(|to| to.subschema_for::<super::document::Status>());

/// Everything.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/transactions",
        tag: "v1",
        id: "submit",
        about: "Begin a transaction, and commit it unless told otherwise.",
        query: PATIENCE,
        body: Some(Body { schema: |to| to.subschema_for::<submission::Submission<'_>>(), required: true }),
        answers: &[REACHED, GOES_ON],
        problems: &[GUARDED, BODY, BEGINS, ASKS, &[EndpointNotAllowed, GidConflict]],
    },
    Operation {
        method: "GET",
        path: "/v1/transactions/{gid}",
        tag: "v1",
        id: "read",
        about: "Read a transaction.",
        query: &[],
        body: None,
        answers: &[Answer { status: 200, about: "The transaction.", content: TRANSACTION }],
        problems: &[GUARDED, NAMED, ASKS],
    },
    Operation {
        method: "GET",
        path: "/v1/transactions/{gid}/outcome",
        tag: "v1",
        id: "outcome",
        about: "Ask for the outcome only: for participants in doubt, and for clients.",
        query: INQUIRY,
        body: None,
        answers: &[Answer {
            status: 200,
            about: "The outcome; with `Retry-After` while there is none.",
            content: Content::Json(|to| to.subschema_for::<transaction::OutcomeBody<'_>>()),
        }],
        problems: &[GUARDED, NAMED, ASKS, &[WrongCoordinator]],
    },
    Operation {
        method: "POST",
        path: "/v1/transactions/{gid}/branches",
        tag: "v1",
        id: "add_branches",
        about: "Add branches while the transaction is active.",
        query: PATIENCE,
        body: Some(Body { schema: |to| to.subschema_for::<submission::Addition<'_>>(), required: true }),
        answers: &[REACHED, GOES_ON],
        problems: &[GUARDED, NAMED, BODY, JOINS, BEGINS, ASKS, &[AlreadyDecided]],
    },
    Operation {
        method: "POST",
        path: "/v1/transactions/{gid}/commit",
        tag: "v1",
        id: "commit",
        about: "Commit an active transaction. Asking again, or too late, is no error: the answer says how it ended.",
        query: PATIENCE,
        body: NOTHING,
        answers: &[REACHED, GOES_ON],
        problems: &[GUARDED, NAMED, BODY, ASKS, BEGINS, &[Closed]],
    },
    Operation {
        method: "POST",
        path: "/v1/transactions/{gid}/rollback",
        tag: "v1",
        id: "rollback",
        about: "Roll a transaction back, as long as it is undecided.",
        query: PATIENCE,
        body: NOTHING,
        answers: &[REACHED, GOES_ON],
        problems: &[GUARDED, NAMED, BODY, ASKS, BEGINS, &[AlreadyDecided, Closed]],
    },
    Operation {
        method: "POST",
        path: "/transaction",
        tag: "classic",
        id: "classic_begin",
        about: "Begin a classic transaction.",
        query: &[],
        body: NOTHING,
        answers: &[Answer {
            status: 200,
            about: "It has begun.",
            content: Content::Json(|to| to.subschema_for::<classic::Begun<'_>>()),
        }],
        problems: &[GUARDED, BODY, BEGINS, ASKS, &[NotFound]],
    },
    Operation {
        method: "GET",
        path: "/transaction/{gid}",
        tag: "classic",
        id: "classic_read",
        about: "Read a classic transaction.",
        query: &[],
        body: None,
        answers: &[Answer {
            status: 200,
            about: "The transaction.",
            content: Content::Json(|to| to.subschema_for::<classic::Shown<'_>>()),
        }],
        problems: &[GUARDED, NAMED, ASKS],
    },
    Operation {
        method: "POST",
        path: "/transaction/{gid}/prepare",
        tag: "classic",
        id: "classic_prepare",
        about: "Name the participants, and carry both phases out.",
        query: &[],
        body: Some(Body { schema: |to| to.subschema_for::<classic::Prepare<'_>>(), required: true }),
        answers: &[RESULT],
        problems: &[GUARDED, NAMED, BODY, JOINS, BEGINS, ASKS, &[AlreadyDecided]],
    },
    Operation {
        method: "POST",
        path: "/transaction/{gid}/commit",
        tag: "classic",
        id: "classic_commit",
        about: "Commit a classic transaction whose participants are known.",
        query: &[],
        body: NOTHING,
        answers: &[RESULT],
        problems: &[GUARDED, NAMED, BODY, BEGINS, ASKS, &[Closed]],
    },
    Operation {
        method: "POST",
        path: "/transaction/{gid}/rollback",
        tag: "classic",
        id: "classic_rollback",
        about: "Roll a classic transaction back.",
        query: &[],
        body: NOTHING,
        answers: &[RESULT],
        problems: &[GUARDED, NAMED, BODY, BEGINS, ASKS, &[AlreadyDecided, Closed]],
    },
    Operation {
        method: "GET",
        path: "/livez",
        tag: "server",
        id: "live",
        about: "Whether the process answers. Needs no token.",
        query: &[],
        body: None,
        answers: &[Answer { status: 200, about: "It does.", content: STATUS }],
        problems: &[],
    },
    Operation {
        method: "GET",
        path: "/readyz",
        tag: "server",
        id: "ready",
        about: "Whether new transactions are taken. Needs no token.",
        query: &[],
        body: None,
        answers: &[
            Answer { status: 200, about: "They are.", content: STATUS },
            Answer { status: 503, about: "They are not, and why.", content: STATUS },
        ],
        problems: &[],
    },
    Operation {
        method: "GET",
        path: "/metrics",
        tag: "server",
        id: "metrics",
        about: "Figures in the text format of Prometheus.",
        query: &[],
        body: None,
        answers: &[Answer { status: 200, about: "The figures.", content: Content::Other("text/plain") }],
        problems: &[GUARDED],
    },
    Operation {
        method: "GET",
        path: "/openapi.json",
        tag: "server",
        id: "openapi",
        about: "This document. Needs no token.",
        query: &[],
        body: None,
        answers: &[Answer {
            status: 200,
            about: "An OpenAPI 3.1 document.",
            content: Content::Json(|to| to.subschema_for::<serde_json::Map<String, serde_json::Value>>()),
        }],
        problems: &[&[OriginNotAllowed]],
    },
    Operation {
        method: "GET",
        path: "/docs",
        tag: "server",
        id: "reference",
        about: "This document as a page. Needs no token.",
        query: &[],
        body: None,
        answers: &[Answer { status: 200, about: "A page.", content: HTML }],
        problems: &[&[OriginNotAllowed]],
    },
    Operation {
        method: "GET",
        path: "/docs/errors/{code}",
        tag: "server",
        id: "error_page",
        about: "What a problem's code means, and what to do: its `type` leads here. Needs no token.",
        query: &[],
        body: None,
        answers: &[Answer { status: 200, about: "A page.", content: HTML }],
        problems: &[&[OriginNotAllowed, NotFound]],
    },
    Operation {
        method: "GET",
        path: "/docs/{page}",
        tag: "server",
        id: "page",
        about: "A page of the book. Needs no token.",
        query: &[],
        body: None,
        answers: &[Answer { status: 200, about: "A page.", content: HTML }],
        problems: &[&[OriginNotAllowed, NotFound]],
    },
    Operation {
        method: "GET",
        path: "/docs/style.css",
        tag: "server",
        id: "style",
        about: "The pages' style. Needs no token.",
        query: &[],
        body: None,
        answers: &[Answer { status: 200, about: "A style sheet.", content: Content::Other("text/css") }],
        problems: &[&[OriginNotAllowed]],
    },
];
