//! The calls of the v1 front door.
use super::operations::{ASKS, Answer, BEGINS, BODY, Body, Content, GUARDED, JOINS, NAMED, NOTHING, Operation};
use super::parameters::{INQUIRY, LIST, PAGE, PATIENCE};
use crate::problem::ProblemCode::*;
use crate::{event, submission, transaction};

const TRANSACTION: Content = Content::Json(|to| to.subschema_for::<transaction::Body<'_>>());
const REACHED: Answer = Answer { status: 200, about: "What `wait` asked for is reached.", content: TRANSACTION };
const GOES_ON: Answer = Answer { status: 202, about: "It goes on.", content: TRANSACTION };

pub(super) const OPERATIONS: &[Operation] = &[
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
        path: "/v1/transactions",
        tag: "v1",
        id: "list",
        about: "List transactions, page by page: the open ones, then those that have ended. Open ones are hints from memory.",
        query: LIST,
        body: None,
        answers: &[Answer {
            status: 200,
            about: "A page of transactions, without their branches.",
            content: Content::Json(|to| to.subschema_for::<transaction::List<'_>>()),
        }],
        problems: &[GUARDED, ASKS, &[InvalidRequest]],
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
        method: "DELETE",
        path: "/v1/transactions/{gid}",
        tag: "v1",
        id: "forget",
        about: "Forget a transaction that has ended and is past its retention. Of one with a resolved branch, gid and outcome \
            stay: its participant may still ask.",
        query: &[],
        body: NOTHING,
        answers: &[Answer { status: 204, about: "It is forgotten.", content: Content::None }],
        problems: &[GUARDED, NAMED, BODY, ASKS, &[NotFinished, Retained]],
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
        path: "/v1/transactions/{gid}/retry",
        tag: "v1",
        id: "retry",
        about: "Call every branch that waits for its next call now, instead of when it is due.",
        query: &[],
        body: NOTHING,
        answers: &[
            Answer { status: 200, about: "It has ended: nothing was to be done.", content: TRANSACTION },
            GOES_ON,
        ],
        problems: &[GUARDED, NAMED, BODY, ASKS],
    },
    Operation {
        method: "POST",
        path: "/v1/transactions/{gid}/branches/{id}/resolve",
        tag: "v1",
        id: "resolve",
        about: "Say how a branch ended whose participant cannot: it is not asked any more. After the decision it counts as \
            an acknowledgement; of a one-phase transaction that is stuck it is the decision.",
        query: &[],
        body: Some(Body { schema: |to| to.subschema_for::<submission::Resolve<'_>>(), required: true }),
        answers: &[Answer { status: 200, about: "It has ended.", content: TRANSACTION }, GOES_ON],
        problems: &[GUARDED, NAMED, BODY, ASKS, &[AlreadyDecided, Closed]],
    },
    Operation {
        method: "GET",
        path: "/v1/transactions/{gid}/history",
        tag: "v1",
        id: "history",
        about: "What happened to a transaction, page by page.",
        query: PAGE,
        body: None,
        answers: &[Answer {
            status: 200,
            about: "A page of events.",
            content: Content::Json(|to| to.subschema_for::<event::Page<'_>>()),
        }],
        problems: &[GUARDED, NAMED, ASKS],
    },
    Operation {
        method: "GET",
        path: "/v1/transactions/{gid}/events",
        tag: "v1",
        id: "events",
        about: "What happened to a transaction, and what happens to it from now on, as server-sent events: each has an `Event` \
            as its data, its `seq` as its id and its `type` as its name. `Last-Event-ID` says where to go on. The stream ends \
            behind `finished`.",
        query: &[],
        body: None,
        answers: &[
            Answer { status: 200, about: "The events.", content: Content::Other("text/event-stream") },
            Answer {
                status: 204,
                about: "It has ended, and all its events are known: do not connect again.",
                content: Content::None,
            },
        ],
        problems: &[GUARDED, NAMED, ASKS, &[TooManyStreams, Draining]],
    },
];
