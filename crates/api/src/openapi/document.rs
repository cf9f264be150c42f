//! Puts the document together.
use super::operations::{Answer, Body, Content, Operation, operations};
use crate::event;
use crate::problem::{self, ProblemCode};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What probes are answered.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "the few bodies that there are need no writer")]
pub(crate) struct Status {
    /// `alive`, `ready`, or why not.
    status: String,
    /// Transactions that were read so far, while they are loaded.
    #[schemars(skip_serializing_if = "Option::is_none")]
    loaded: Option<u64>,
}

/// The segments that a path may be given.
const SEGMENTS: [(&str, &str); 4] = [
    ("gid", "The transaction's name: 1 to 128 bytes of UTF-8, percent-encoded as one segment."),
    ("id", "The branch's name, percent-encoded as one segment."),
    ("code", "The code of a problem, or `index`."),
    ("page", "The name of a page."),
];
const ABOUT: &str = "Either every participant commits or none does, whatever crashes in between. Requests are strict: an \
    unknown field is an error. Answers may grow new fields, and new words where `x-extensible-enum` lists them. Whatever \
    has a GET answers HEAD. A path with another method is answered with 405.";
const TAGS: [(&str, &str); 3] = [
    ("v1", "Transactions."),
    ("classic", "The small classic protocol; there unless `--classic off`."),
    ("server", "The server itself."),
];

/// The document; `base` is the path before all paths, empty where there is none.
pub fn document(version: &str, base: &str) -> Value {
    let settings = |to: SchemaSettings| {
        to.with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
    };
    let mut asked = settings(SchemaSettings::draft2020_12().for_deserialize()).into_generator();
    let mut answered = settings(SchemaSettings::draft2020_12().for_serialize()).into_generator();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for operation in operations() {
        let described = described(operation, &mut asked, &mut answered);
        paths.entry(operation.path).or_default().insert(operation.method.to_lowercase(), described);
    }
    let problem = answered.subschema_for::<problem::Body<'_>>();
    // What streams consist of is in no JSON body.
    answered.subschema_for::<event::Event<'_>>();
    let mut schemas = asked.take_definitions(true);
    schemas.extend(answered.take_definitions(true));
    json!({
        "openapi": "3.1.1",
        "info": { "title": "Unanim", "version": version, "summary": "A transaction coordinator", "description": ABOUT,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" } },
        "servers": [{ "url": if base.is_empty() { "/" } else { base } }],
        "tags": TAGS.map(|(name, about)| json!({ "name": name, "description": about })),
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": ProblemCode::ALL.map(|code| (code.code(), problem_of(&[code], problem.as_value()))).into_iter()
                .collect::<BTreeMap<_, _>>(),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer",
                "description": "Needed where the server was started with `--token-file`." } },
        },
    })
}

fn described(operation: &Operation, asked: &mut SchemaGenerator, answered: &mut SchemaGenerator) -> Value {
    let mut value = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.about,
        "responses": responses(operation, answered),
    });
    let of_path = SEGMENTS.iter().filter(|(name, _)| operation.path.contains(&format!("{{{name}}}"))).map(|(name, about)| {
        json!({ "name": name, "in": "path", "required": true, "description": about, "schema": { "type": "string" } })
    });
    let parameters: Vec<_> = of_path.chain(operation.query.iter().map(|parameter| parameter.described())).collect();
    if !parameters.is_empty() {
        value["parameters"] = parameters.into();
    }
    if let Some(Body { schema, required }) = &operation.body {
        let content = json!({ "application/json": { "schema": schema(asked) } });
        value["requestBody"] = json!({ "required": required, "content": content });
    }
    if !operation.problems.iter().any(|group| group.contains(&ProblemCode::Unauthenticated)) {
        value["security"] = json!([]);
    }
    value
}

/// One for each status: OpenAPI has no more.
fn responses(operation: &Operation, answered: &mut SchemaGenerator) -> BTreeMap<String, Value> {
    let mut responses: BTreeMap<String, Value> =
        operation.answers.iter().map(|answer| (answer.status.to_string(), good(answer, answered))).collect();
    let problem = answered.subschema_for::<problem::Body<'_>>();
    let mut by_status: BTreeMap<u16, Vec<ProblemCode>> = BTreeMap::new();
    for code in ProblemCode::ALL {
        if operation.problems.iter().any(|group| group.contains(&code)) {
            by_status.entry(code.status()).or_default().push(code);
        }
    }
    for (status, codes) in by_status {
        let response = match &*codes {
            [only] => json!({ "$ref": format!("#/components/responses/{}", only.code()) }),
            several => problem_of(several, problem.as_value()),
        };
        responses.insert(status.to_string(), response);
    }
    responses
}

fn good(answer: &Answer, answered: &mut SchemaGenerator) -> Value {
    let content = match answer.content {
        Content::Json(schema) => json!({ "application/json": { "schema": schema(answered) } }),
        Content::Other(kind) => json!({ kind: { "schema": { "type": "string" } } }),
        Content::None => return json!({ "description": answer.about }),
    };
    json!({ "description": answer.about, "content": content })
}

/// A problem of one of these codes.
fn problem_of(codes: &[ProblemCode], problem: &Value) -> Value {
    let about: Vec<_> = codes.iter().map(|code| format!("`{}`: {}.", code.code(), code.title())).collect();
    let names: Vec<_> = codes.iter().map(|code| code.code()).collect();
    let schema = json!({ "allOf": [problem, { "properties": { "code": { "enum": names } } }] });
    json!({ "description": about.join(" "), "content": { "application/problem+json": { "schema": schema } } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::methods;
    use std::collections::BTreeSet;

    fn at<'a>(document: &'a Value, pointer: &str) -> &'a Value {
        document.pointer(pointer).unwrap_or_else(|| panic!("{pointer}"))
    }

    #[test]
    fn every_operation_and_every_code_is_in_it() {
        let document = document("1.2.3", "/base");
        for operation in operations() {
            let described = &document["paths"][operation.path][operation.method.to_lowercase()];
            assert_eq!(described["operationId"], operation.id);
            let responses = described["responses"].to_string();
            for code in operation.problems.iter().copied().flatten() {
                let known = [format!("\"{}\"", code.code()), format!("/{}\"", code.code())];
                assert!(known.iter().any(|known| responses.contains(known)), "{} {}", operation.id, code.code());
            }
        }
        for code in ProblemCode::ALL {
            assert!(document["components"]["responses"][code.code()].is_object(), "{}", code.code());
        }
        assert_eq!(at(&document, "/servers/0/url"), "/base");
        assert_eq!(methods("/v1/transactions/{gid}").next(), Some("GET"));
    }

    #[test]
    fn names_and_references_hold() {
        let document = document("1.2.3", "");
        let ids: BTreeSet<_> = operations().map(|operation| operation.id).collect();
        assert_eq!(ids.len(), operations().count());
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            at(&document, reference);
        }
        assert!(!text.contains("$defs") && !text.contains("$schema"), "{text}");
    }

    #[test]
    fn requests_are_closed_and_answers_are_open() {
        let document = document("1.2.3", "");
        let schema = |name: &str| at(&document, &format!("/components/schemas/{name}"));
        for name in ["Submission", "Addition", "NewBranch", "Endpoints", "Retry", "Nothing", "ClassicPrepare"] {
            assert_eq!(schema(name)["additionalProperties"], false, "{name}");
        }
        for name in ["Transaction", "Branch", "Problem", "Outcome"] {
            assert!(schema(name).get("additionalProperties").is_none(), "{name}");
        }
        assert_eq!(schema("Transaction")["properties"]["phase"]["x-extensible-enum"][0], "active");
        assert_eq!(schema("Submission")["properties"]["mode"]["enum"], json!(["two_phase"]));
        assert_eq!(schema("Submission")["required"], json!(["mode"]));
    }
}
