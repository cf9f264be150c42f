//! The words of queries: the front door reads them by these lists, and the document shows them.
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
    Number { min: u64, max: Option<u64> },
}

impl Parameter {
    /// As OpenAPI has it.
    pub(crate) fn described(&self) -> Value {
        let schema = match self.kind {
            Kind::Text => json!({ "type": "string" }),
            Kind::Choice(words) => json!({ "type": "string", "enum": words }),
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
