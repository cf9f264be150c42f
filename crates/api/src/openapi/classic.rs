//! The calls of the classic front door.
use super::operations::{ASKS, Answer, BEGINS, BODY, Body, Content, GUARDED, JOINS, NAMED, NOTHING, Operation};
use crate::classic;
use crate::problem::ProblemCode::*;

const RESULT: Answer = Answer {
    status: 200,
    about: "Whether it ended that way.",
    content: Content::Json(|to| to.subschema_for::<classic::ResultShape>()),
};

pub(super) const OPERATIONS: &[Operation] = &[
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
];
