//! Pieces of JSON Schema that the derived ones are made of.
use crate::json::{List, Members, Object, Text};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;
use unanim_engine::{BranchId, Gid};

/// A word of an answer. More may come in later versions, so it is no closed `enum`.
pub(crate) fn word(words: &[&str]) -> Schema {
    json_schema!({ "type": "string", "x-extensible-enum": words })
}

/// The same, or nothing.
pub(crate) fn word_or_null(words: &[&str]) -> Schema {
    json_schema!({ "type": ["string", "null"], "x-extensible-enum": words })
}

/// A word of a request.
pub(crate) fn choice(words: &[&str]) -> Schema {
    json_schema!({ "type": "string", "enum": words })
}

/// RFC 3339 in UTC.
pub(crate) fn instant(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time" })
}

/// The same, or nothing.
pub(crate) fn instant_or_null(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "null"], "format": "date-time" })
}

/// The name of a transaction. Bytes are counted, where JSON Schema counts characters: a name may be shorter than this.
pub(crate) fn gid(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "minLength": 1, "maxLength": Gid::BYTES_MAX })
}

/// The name of a branch.
pub(crate) fn branch_id(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "minLength": 1, "maxLength": BranchId::BYTES_MAX })
}

/// What reads JSON strictly has the schema of what it reads.
macro_rules! as_schema_of {
    ([$($generics:tt)*] $type:ty, |$generator:ident| $schema:expr) => {
        impl<$($generics)*> JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

as_schema_of! { ['a] Text<'a>, |_generator| json_schema!({ "type": "string" }) }
as_schema_of! { [T: JsonSchema] Object<T>, |generator| generator.subschema_for::<T>() }
as_schema_of! { [T: JsonSchema, const MAX: usize] List<T, MAX>, |generator| {
    json_schema!({ "type": "array", "items": generator.subschema_for::<T>(), "maxItems": MAX })
} }
as_schema_of! { ['a, const MAX: usize] Members<'a, MAX>, |_generator| {
    json_schema!({ "type": "object", "additionalProperties": { "type": "string" }, "maxProperties": MAX })
} }
