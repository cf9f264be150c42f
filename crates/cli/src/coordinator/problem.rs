//! Answers that say no, as an error that says what to do.

use std::fmt::Write;

use anyhow::anyhow;
use hyper::StatusCode;
use serde::Deserialize;

use crate::http::Reply;

#[derive(Deserialize)]
struct Problem {
    code: String,
    detail: Option<String>,
    title: Option<String>,
    /// The transaction it is about; an answer about the call itself has none.
    gid: Option<String>,
    #[serde(default)]
    errors: Vec<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    pointer: Option<String>,
    code: Option<String>,
    detail: Option<String>,
}

/// What `reply`, which is no success, means.
pub(super) fn error(base: &str, has_token: bool, reply: &Reply) -> anyhow::Error {
    let Ok(problem) = serde_json::from_slice::<Problem>(&reply.body) else {
        return anyhow!("{base} answered {} without saying why: is that a Unanim server?", reply.status);
    };
    let about_the_call = problem.gid.is_none();
    let said = problem.detail.or(problem.title).unwrap_or_default();
    let is_said = |fault: &Fault| fault.detail.as_ref().is_some_and(|detail| said.contains(detail.as_str()));
    let several = problem.errors.len() > 1;
    let mut text = format!("{} ({}): {said}", problem.code, reply.status.as_u16());
    // One alone may be what the detail says already.
    for fault in problem.errors.iter().filter(|fault| several || !is_said(fault)) {
        let said =
            [fault.code.as_deref(), fault.detail.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(": ");
        let _ = write!(text, "\n  at {}: {said}", fault.pointer.as_deref().unwrap_or("/"));
    }
    match reply.status {
        StatusCode::UNAUTHORIZED if has_token => text += "; the token in --token-file is not the server's",
        StatusCode::UNAUTHORIZED => text += "; no token was sent: --token-file FILE",
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED if about_the_call => {
            let version = env!("CARGO_PKG_VERSION");
            let _ = write!(
                text,
                "; {base} does not have this call: is it older than this unanim ({version})? unanim_build_info in its /metrics says"
            );
        }
        _ => {}
    }
    anyhow!(text)
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;
    use serde_json::json;

    use super::*;

    fn told(status: u16, body: serde_json::Value, has_token: bool) -> String {
        let status = StatusCode::from_u16(status).unwrap();
        let reply = Reply { status, headers: HeaderMap::new(), body: body.to_string().into() };
        error("http://c", has_token, &reply).to_string()
    }

    #[test]
    fn an_error_says_what_to_do() {
        let unknown = json!({"code": "not_found", "detail": "no transaction has this gid", "gid": "g"});
        assert_eq!(told(404, unknown, false), "not_found (404): no transaction has this gid");
        for (status, code) in [(404, "not_found"), (405, "method_not_allowed")] {
            let old = told(status, json!({"code": code, "title": "no"}), false);
            assert!(old.contains(code) && old.contains("older than this unanim"), "{old}");
        }
        let refused = json!({"code": "unauthenticated", "title": "A valid token is needed"});
        assert!(told(401, refused.clone(), false).ends_with("no token was sent: --token-file FILE"));
        assert!(told(401, refused, true).ends_with("the token in --token-file is not the server's"));
        assert!(told(502, json!("gateway"), false).contains("is that a Unanim server?"));
    }

    #[test]
    fn what_the_detail_says_is_not_said_twice() {
        let one = json!({"code": "invalid_request", "detail": "/a: is odd", "gid": null, "errors": [{"pointer": "/a", "detail": "is odd"}]});
        assert_eq!(told(400, one, false), "invalid_request (400): /a: is odd");
        let fault = |at| json!({"pointer": at, "code": "odd", "detail": "is odd"});
        let two = json!({"code": "invalid_request", "detail": "/a: is odd", "errors": [fault("/a"), fault("/b")]});
        assert!(told(400, two, false).ends_with("\n  at /a: odd: is odd\n  at /b: odd: is odd"));
    }
}
