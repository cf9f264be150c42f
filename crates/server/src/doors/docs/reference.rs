//! The OpenAPI document as a page for people.
use super::{escaped, html};
use serde_json::{Map, Value};
use std::fmt::Write;

pub(super) fn rendered(document: &Value) -> String {
    let mut page = String::new();
    let _ = writeln!(
        page,
        "<h1 id=\"top\">The API of Unanim {}</h1>\n<p>{}</p>\n<p>The same for programs: <a href=\"openapi.json\">openapi.json</a> (OpenAPI {}).</p>",
        text(&document["info"]["version"]),
        text(&document["info"]["description"]),
        text(&document["openapi"]),
    );
    for tag in list(&document["tags"]) {
        let _ = writeln!(page, "<h2 id=\"{0}\">{0}</h2>\n<p>{1}</p>", text(&tag["name"]), text(&tag["description"]));
        for (path, methods) in object(&document["paths"]).into_iter().flatten() {
            for (method, operation) in object(methods).into_iter().flatten() {
                if list(&operation["tags"]).contains(&tag["name"]) {
                    operated(&mut page, path, method, operation);
                }
            }
        }
    }
    page.push_str("<h2 id=\"types\">Types</h2>\n");
    for (name, schema) in object(&document["components"]["schemas"]).into_iter().flatten() {
        typed(&mut page, name, schema);
    }
    html("API reference", "docs/", &page)
}

fn operated(page: &mut String, path: &str, method: &str, operation: &Value) {
    let _ = writeln!(
        page,
        "<section id=\"{}\">\n<h3><code class=\"{method}\">{}</code> <code>{}</code></h3>\n<p>{}</p>",
        text(&operation["operationId"]),
        method.to_uppercase(),
        escaped(path),
        text(&operation["summary"]),
    );
    let parameters = list(&operation["parameters"]);
    if !parameters.is_empty() {
        page.push_str("<table>\n<tr><th>parameter</th><th>in</th><th>type</th><th></th></tr>\n");
        for parameter in parameters {
            let (name, place) = (text(&parameter["name"]), text(&parameter["in"]));
            let (kind, about) = (kind(&parameter["schema"]), text(&parameter["description"]));
            let _ =
                writeln!(page, "<tr><td><code>{name}</code></td><td>{place}</td><td>{kind}</td><td>{about}</td></tr>");
        }
        page.push_str("</table>\n");
    }
    if let Some(schema) = operation.pointer("/requestBody/content/application~1json/schema") {
        let needed = if operation["requestBody"]["required"] == true { "" } else { ", or none" };
        let _ = writeln!(page, "<p>Body: {}{needed}</p>", kind(schema));
    }
    page.push_str("<table>\n<tr><th>status</th><th></th><th>body</th></tr>\n");
    for (status, response) in object(&operation["responses"]).into_iter().flatten() {
        let (about, body) = answered(response);
        let _ = writeln!(page, "<tr><td>{status}</td><td>{about}</td><td>{body}</td></tr>");
    }
    page.push_str("</table>\n</section>\n");
}

/// What is said of a response, and what is in it.
fn answered(response: &Value) -> (String, String) {
    if let Some(code) = response["$ref"].as_str().and_then(|link| link.rsplit('/').next()) {
        return (error(code), problem());
    }
    if let Some(codes) = response.pointer("/content/application~1problem+json/schema/allOf/1/properties/code/enum") {
        let codes: Vec<_> = list(codes).iter().filter_map(Value::as_str).map(error).collect();
        return (codes.join(", "), problem());
    }
    let content = object(&response["content"]).into_iter().flatten().next();
    let body = content.map_or(String::new(), |(media, content)| match content.pointer("/schema/$ref") {
        Some(_) => kind(&content["schema"]),
        None => format!("<code>{}</code>", escaped(media)),
    });
    (text(&response["description"]), body)
}

fn problem() -> String {
    "<a href=\"#Problem\">Problem</a>".into()
}

fn error(code: &str) -> String {
    format!("<a href=\"docs/errors/{0}\"><code>{0}</code></a>", escaped(code))
}

fn typed(page: &mut String, name: &str, schema: &Value) {
    let _ =
        writeln!(page, "<section id=\"{0}\">\n<h3>{0}</h3>\n<p>{1}</p>", escaped(name), text(&schema["description"]));
    let fields = object(&schema["properties"]);
    if fields.is_some_and(|fields| !fields.is_empty()) {
        page.push_str("<table>\n<tr><th>field</th><th>type</th><th></th></tr>\n");
        for (field, of) in fields.into_iter().flatten() {
            let needed =
                if list(&schema["required"]).iter().any(|name| name == field) { " class=\"required\"" } else { "" };
            let (field, kind, about) = (escaped(field), kind(of), text(&of["description"]));
            let _ = writeln!(page, "<tr><td><code{needed}>{field}</code></td><td>{kind}</td><td>{about}</td></tr>");
        }
        page.push_str("</table>\n");
    }
    page.push_str("</section>\n");
}

/// A type in few words.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|link| link.rsplit('/').next()) {
        return format!("<a href=\"#{0}\">{0}</a>", escaped(name));
    }
    for union in ["anyOf", "oneOf"] {
        if !list(&schema[union]).is_empty() {
            let kinds: Vec<_> = list(&schema[union]).iter().map(kind).collect();
            return kinds.join(" or ");
        }
    }
    for words in ["enum", "x-extensible-enum"] {
        if !list(&schema[words]).is_empty() {
            let words: Vec<_> =
                list(&schema[words]).iter().map(|word| format!("<code>{}</code>", text(word))).collect();
            return words.join(", ") + if nullable(schema) { ", or null" } else { "" };
        }
    }
    let of = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(text).collect::<Vec<_>>().join(" or "),
        Value::String(kind) if kind == "array" => format!("list of {}", self::kind(&schema["items"])),
        Value::String(kind) => escaped(kind),
        _ => "anything".into(),
    };
    match schema["format"].as_str() {
        Some("date-time") => format!("{of}, an instant"),
        _ => of,
    }
}

fn nullable(schema: &Value) -> bool {
    list(&schema["type"]).iter().any(|kind| kind == "null")
}

fn text(value: &Value) -> String {
    value.as_str().map(escaped).unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn object(value: &Value) -> Option<&Map<String, Value>> {
    value.as_object()
}

#[cfg(test)]
mod tests {
    use super::*;
    use unanim_api::openapi;

    #[test]
    fn everything_of_the_document_is_on_the_page() {
        let document = openapi::document("1.2.3", "");
        let page = rendered(&document);
        for operation in openapi::operations() {
            assert!(page.contains(&format!("<code>{}</code></h3>", operation.path)), "{}", operation.path);
        }
        for (name, schema) in object(&document["components"]["schemas"]).into_iter().flatten() {
            assert!(page.contains(&format!("<section id=\"{name}\">")), "{name}");
            for (field, _) in object(&schema["properties"]).into_iter().flatten() {
                assert!(page.contains(&format!(">{field}</code>")), "{name}.{field}");
            }
        }
        for link in page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(page.contains(&format!("id=\"{link}\"")), "{link}");
        }
        assert!(page.contains("1.2.3") && !page.contains("<script"));
    }
}
