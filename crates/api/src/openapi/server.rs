//! Calls about the server itself.
use super::operations::{Answer, Content, GUARDED, Operation};
use crate::problem::ProblemCode::{self, *};

const HTML: Content = Content::Other("text/html");
const STATUS: Content = Content::Json(|to| to.subschema_for::<super::document::Status>());

pub(super) const OPERATIONS: &[Operation] = &[
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
    page("/docs", "reference", "This document as a page. Needs no token.", &[&[OriginNotAllowed]]),
    page(
        "/docs/errors/{code}",
        "error_page",
        "What a problem's code means, and what to do: its `type` leads here. Needs no token.",
        &[&[OriginNotAllowed, NotFound]],
    ),
    page("/docs/{page}", "page", "A page of the book. Needs no token.", &[&[OriginNotAllowed, NotFound]]),
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

/// What a person reads in a browser.
const fn page(
    path: &'static str,
    id: &'static str,
    about: &'static str,
    problems: &'static [&'static [ProblemCode]],
) -> Operation {
    Operation {
        method: "GET",
        path,
        tag: "server",
        id,
        about,
        query: &[],
        body: None,
        answers: &[Answer { status: 200, about: "A page.", content: HTML }],
        problems,
    }
}
