//! The words of queries: the front door reads them by these lists, and the document shows them.
use crate::names::{MODES, OUTCOMES, PHASES};
use serde_json::{Value, json};

/// One word of a query.
#[derive(Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) about: &'static str,
}

/// What a word may say.
#[derive(Debug)]
pub(crate) enum Kind {
    Text,
    Choice(&'static [&'static str]),
    Instant,
    Number { min: u64, max: Option<u64> },
}

impl Parameter {
    /// As OpenAPI has it.
    pub(crate) fn described(&self) -> Value {
        let schema = match self.kind {
            Kind::Text => json!({ "type": "string" }),
            Kind::Choice(words) => json!({ "type": "string", "enum": words }),
            Kind::Instant => json!({ "type": "string", "format": "date-time" }),
            Kind::Number { min, max: None } => json!({ "type": "integer", "minimum": min }),
            Kind::Number { min, max: Some(max) } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        };
        json!({ "name": self.name, "in": "query", "description": self.about, "schema": schema })
    }
}

/// What a client waits for, and how long.
pub const PATIENCE: &[Parameter] = &[
    Parameter {
        name: "wait",
        kind: Kind::Choice(&["decided", "finished"]),
        about: "Answer when this is reached; at once without.",
    },
    Parameter {
        name: "timeout_ms",
        kind: Kind::Number { min: 0, max: None },
        about: "Wait no longer than this; a minute at most, which is also the default.",
    },
];

/// Who asks for an outcome.
pub const INQUIRY: &[Parameter] = &[
    Parameter { name: "branch", kind: Kind::Text, about: "The branch whose participant is in doubt." },
    Parameter {
        name: "store",
        kind: Kind::Text,
        about: "The store whose coordinator called it; needed with a branch.",
    },
    Parameter { name: "key", kind: Kind::Text, about: "Stands in for a token; comes with every call." },
];

/// Entries of a page unless a request says otherwise.
pub const PAGE_DEFAULT: usize = 100;
/// Entries of a page at most.
pub const PAGE_MAX: usize = 1_000;

const LIMIT: Parameter = Parameter {
    name: "limit",
    kind: Kind::Number { min: 1, max: Some(PAGE_MAX as u64) },
    about: "How many at most; 100 unless given.",
};
const CURSOR: Parameter =
    Parameter { name: "cursor", kind: Kind::Text, about: "Where to go on: the `next_cursor` of the page before." };

/// A page of something.
pub const PAGE: &[Parameter] = &[LIMIT, CURSOR];

/// Which transactions a list has.
pub const LIST: &[Parameter] = &[
    Parameter { name: "phase", kind: Kind::Choice(PHASES), about: "Those that stand here." },
    Parameter { name: "mode", kind: Kind::Choice(MODES), about: "Those of this protocol." },
    Parameter {
        name: "participant",
        kind: Kind::Text,
        about: "Those with a branch of this participant: `scheme://host:port`.",
    },
    Parameter {
        name: "stuck",
        kind: Kind::Choice(&["true", "false"]),
        about: "Those that are, or are not, in one phase for too long.",
    },
    Parameter { name: "outcome", kind: Kind::Choice(OUTCOMES), about: "Those that end like this." },
    Parameter {
        name: "since_at",
        kind: Kind::Instant,
        about: "Those that began at this instant or later; of those that have ended, ended.",
    },
    Parameter {
        name: "until_at",
        kind: Kind::Instant,
        about: "Those that began at this instant or before; of those that have ended, ended.",
    },
    LIMIT,
    CURSOR,
];
