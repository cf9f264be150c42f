//! What v1 bodies mean, and where their mistakes are.
use std::sync::Arc;
use unanim_api::{Accepted, BadEndpoint, Door, Problem, branches, nothing, resolution, submission};
use unanim_engine::{BranchSpec, Limits, Op, Participant, RetryOverride, RetryPolicy};

fn endpoint(url: &str) -> Result<Participant, BadEndpoint> {
    match url.split_once("://") {
        Some((_, rest)) if rest.starts_with("stranger") => Err(BadEndpoint::NotAllowed("not listed by --allow".into())),
        Some((scheme, rest)) => {
            Ok(Participant::new(&format!("{scheme}://{}", rest.split('/').next().unwrap_or_default())).expect("a name"))
        }
        None => Err(BadEndpoint::Invalid("no URL".into())),
    }
}

fn door(traceparent: Option<&str>) -> Door<'_> {
    let limits = Limits { branches_max: 3, payload_bytes_max: 24, ..Limits::default() };
    Door { limits, endpoint: &endpoint, traceparent }
}

fn submit(body: &str) -> Result<Accepted, Problem> {
    submission(body.as_bytes(), &door(None))
}

fn add(body: &str) -> Result<Vec<Arc<BranchSpec>>, Problem> {
    branches(body.as_bytes(), &door(None))
}

fn one(branch: &str) -> Result<Accepted, Problem> {
    submit(&format!(r#"{{"mode":"two_phase","branches":[{branch}]}}"#))
}

fn pointers(result: Result<impl std::fmt::Debug, Problem>) -> Vec<String> {
    let problem = result.expect_err("it is wrong");
    assert!(["invalid_request", "endpoint_not_allowed", "too_large"].contains(&problem.code.code()), "{problem:?}");
    problem.errors.into_iter().map(|e| e.pointer).collect()
}

const EXAMPLE: &str = r#"{"gid": "order-17", "mode": "two_phase", "start": true, "timeout_ms": 60000, "retry": {"first_ms": 100, "max_ms": 30000},
  "branches": [{"id": "stock", "endpoint": "http://stock:5001/tx", "payload": {"sku": 7, "n": 2}, "headers": {"X-Tenant": "a"},
                "call_timeout_ms": 10000, "retry": {"max_ms": 5000}, "refused_statuses": [409, 422], "one_phase": false},
               {"id": "pay", "endpoints": {"prepare": "http://pay/p", "commit": "http://pay/c", "rollback": "http://pay/r"}}]}"#;

#[test]
fn the_documented_example_is_read_in_full() {
    let accepted = submit(EXAMPLE).expect("good");
    assert_eq!(accepted.gid.as_ref().map(unanim_engine::Gid::as_str), Some("order-17"));
    assert_eq!((accepted.start, accepted.timeout_ms, accepted.retry), (true, 60_000, RetryPolicy::default()));
    let [stock, pay] = &*accepted.branches else { panic!("two branches") };
    assert_eq!(stock.payload.as_deref(), Some(&br#"{"sku": 7, "n": 2}"#[..]));
    assert_eq!(stock.headers(), &[("x-tenant".into(), "a".into())]);
    assert_eq!(stock.callee.retry, Some(Box::new(RetryOverride { first_ms: None, max_ms: Some(5000) })));
    assert_eq!(
        (stock.callee.call_timeout_ms, &*stock.callee.refused_statuses, stock.callee.participant.as_str()),
        (10_000, &[409, 422][..], "http://stock:5001")
    );
    assert_eq!(
        (pay.callee.target.url(Op::Rollback), pay.callee.target.url(Op::CommitOnePhase)),
        (Some("http://pay/r"), Some("http://pay/c"))
    );
    assert_eq!((pay.callee.participant.as_str(), &pay.payload, &pay.callee.retry), ("http://pay", &None, &None));
    assert!(accepted.branches.iter().all(|b| b.digest().is_none()), "no branch can be added to it");
}

#[test]
fn a_payload_of_null_is_a_payload() {
    assert_eq!(one(r#"{"endpoint":"http://a/"}"#).expect("good").branches[0].payload, None);
    assert_eq!(
        one(r#"{"endpoint":"http://a/","payload":null}"#).expect("good").branches[0].payload.as_deref(),
        Some(&b"null"[..])
    );
    assert_eq!(
        one(r#"{"endpoint":"http://a/","payload": [ 1.50 , "\u0041" ] }"#).expect("good").branches[0]
            .payload
            .as_deref(),
        Some(&br#"[ 1.50 , "\u0041" ]"#[..])
    );
}

#[test]
fn names_left_out_are_made_and_clash_with_none() {
    let body = r#"{"mode":"two_phase","branches":[{"endpoint":"http://a/"},{"id":"b1","endpoint":"http://a/"},{"endpoint":"http://a/"}]}"#;
    let ids: Vec<_> = submit(body).expect("good").branches.iter().map(|b| b.id.to_string()).collect();
    assert_eq!(ids, ["b2", "b1", "b3"]);
}

#[test]
fn the_digest_sees_the_request_and_not_its_layout() {
    let digest = |body: &str| submit(body).expect("good").digest;
    let body = r#"{"mode":"two_phase","branches":[{"id":"x","endpoint":"http://a/","payload":{"a":1,"b":"x"}}]}"#;
    let same = "{ \"branches\" : [{\"payload\":{\"b\":\"\\u0078\",\n\"a\":1},\"endpoint\":\"http://a/\",\"id\":\"x\"}],\"mode\":\"two_phase\"}";
    assert_eq!(digest(body), digest(same));
    for (from, to) in [
        ("\"a\":1", "\"a\":1.0"),
        ("\"x\"}", "\"y\"}"),
        ("{\"mode\"", "{\"start\":true,\"mode\""),
        ("\"id\":\"x\",", ""),
    ] {
        assert_ne!(digest(body), digest(&body.replacen(from, to, 1)), "{to}");
    }
}

#[test]
fn branches_that_may_grow_have_a_digest_each() {
    let branch = r#"{"id":"x","endpoint":"http://a/","payload":{"a":1,"b":2}}"#;
    let begun = submit(&format!(r#"{{"mode":"two_phase","start":false,"branches":[{branch}]}}"#)).expect("good");
    let added = add(&format!(r#"{{"branches":[{branch}]}}"#)).expect("good");
    let same = add(r#"{"branches":[{"payload":{"b":2,"a":1}, "id":"x","endpoint":"http://a/"}]}"#).expect("good");
    let other = add(&format!(r#"{{"branches":[{}]}}"#, branch.replace(":2", ":2.0"))).expect("good");
    assert!(begun.branches[0].same(&added[0]) && added[0].same(&same[0]) && !added[0].same(&other[0]));
}

#[test]
fn no_json_is_told_from_other_json() {
    for text in [
        "",
        "{",
        "[1,",
        "nope",
        r#"{"mode": two_phase}"#,
        r#"{"mode":"two_phase"} more"#,
        "\0",
        r#"{"colour":1,"mode":"#,
        r#"["x", {]"#,
    ] {
        assert_eq!(submit(text).expect_err(text).code.code(), "malformed_json", "{text}");
        assert_eq!(add(text).expect_err(text).code.code(), "malformed_json", "{text}");
    }
    assert_eq!(submission(b"{\"gid\":\"\xff\"}", &door(None)).expect_err("no UTF-8").code.code(), "malformed_json");
    for text in ["[]", "null", "7", "\"two_phase\"", "true", r#"[null,"two_phase",null,null,null,[]]"#] {
        assert_eq!(submit(text).expect_err(text).code.code(), "invalid_request", "{text}");
    }
}

#[test]
fn a_field_of_the_wrong_type_is_named() {
    let good = r#"{"id":"x","endpoint":"http://a/"}"#;
    let with = |field: &str| format!(r#"{{"mode":"two_phase","branches":[{good}],{field}}}"#);
    for (field, pointer) in [
        (r#""colour":1"#, "/colour"),
        (r#""a/b~c":1"#, "/a~1b~0c"),
        (r#""gid":17"#, "/gid"),
        (r#""timeout_ms":-1"#, "/timeout_ms"),
        (r#""timeout_ms":1.5"#, "/timeout_ms"),
        (r#""timeout_ms":10000000000000000000000000000000000000000"#, "/timeout_ms"),
        (r#""retry":5"#, "/retry"),
        (r#""retry":[1,2]"#, "/retry"),
        (r#""retry":{"every_ms":5}"#, "/retry/every_ms"),
        // Given twice: serde says so at the object.
        (r#""mode":"two_phase""#, ""),
    ] {
        assert_eq!(pointers(submit(&with(field))), [pointer], "{field}");
    }
    for (branch, pointer) in [
        (r#"["x"]"#, "/branches/0"),
        (r#"{"id":1}"#, "/branches/0/id"),
        (r#"{"endpoints":{"explode":"http://a/"}}"#, "/branches/0/endpoints/explode"),
        (r#"{"headers":["x"]}"#, "/branches/0/headers"),
        (r#"{"headers":{"x":1}}"#, "/branches/0/headers/x"),
        (r#"{"refused_statuses":["409"]}"#, "/branches/0/refused_statuses/0"),
        (r#"{"one_phase":"yes"}"#, "/branches/0/one_phase"),
    ] {
        assert_eq!(pointers(one(branch)), [pointer], "{branch}");
    }
    assert_eq!(pointers(submit("{}")), [""]);
}

#[test]
fn every_mistake_in_the_meaning_is_listed() {
    let body = r#"{"gid":"","mode":"saga","timeout_ms":0,"retry":{"first_ms":0,"max_ms":3600001},"branches":[
        {"id":".","endpoint":"stock","endpoints":{},"call_timeout_ms":300001,"refused_statuses":[409,7,401],"retry":{"first_ms":9,"max_ms":8}},
        {"id":"x","endpoint":"nowhere","headers":{"x y":"1","a":"b\r\nc","A":"d","Unanim-Gid":"1","Content-Length":"5","b":"\u00e9"}},
        {"id":"x","endpoints":{"prepare":"http://a/","commit":"nowhere"}}]}"#;
    let mut found = pointers(submit(body));
    found.sort();
    let branch = |at: usize, rest: &str| format!("/branches/{at}/{rest}");
    let mut expected: Vec<String> =
        ["/gid", "/mode", "/timeout_ms", "/retry/first_ms", "/retry/max_ms"].map(String::from).into();
    expected.extend(
        ["id", "endpoints", "call_timeout_ms", "refused_statuses/1", "refused_statuses/2", "retry/max_ms"]
            .map(|rest| branch(0, rest)),
    );
    expected.extend(
        ["endpoint", "headers/x y", "headers/a", "headers/Unanim-Gid", "headers/Content-Length", "headers/b"]
            .map(|rest| branch(1, rest)),
    );
    expected.extend(["id", "endpoints/commit", "endpoints/rollback"].map(|rest| branch(2, rest)));
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn a_header_given_twice_is_named() {
    assert_eq!(pointers(one(r#"{"endpoint":"http://a/","headers":{"a":"1","A":"2"}}"#)), ["/branches/0/headers/A"]);
}

#[test]
fn strangers_and_sizes_have_codes_of_their_own() {
    let stranger = one(r#"{"endpoint":"http://stranger/"}"#).expect_err("not allowed");
    assert_eq!((stranger.code.code(), &*stranger.errors[0].pointer), ("endpoint_not_allowed", "/branches/0/endpoint"));
    assert!(stranger.detail.contains("--allow"), "{}", stranger.detail);
    assert!(one(r#"{"endpoint":"http://a/","payload":"3456789012345678901234"}"#).is_ok());
    let large = one(r#"{"endpoint":"http://a/","payload":"34567890123456789012345"}"#).expect_err("too large");
    assert_eq!((large.code.code(), &*large.errors[0].pointer), ("too_large", "/branches/0/payload"));
    let branches = [r#"{"endpoint":"http://a/"}"#; 4].join(",");
    assert_eq!(one(&branches).expect_err("too many").code.code(), "too_large");
    let headers = format!(r#"{{"endpoint":"http://a/","headers":{{"a":"{}"}}}}"#, "x".repeat(16 << 10));
    assert_eq!(pointers(one(&headers)), ["/branches/0/headers"]);
}

#[test]
fn lists_without_end_are_refused_at_once() {
    let many = |what: &str, n: usize| vec![what; n].join(",");
    let code = |result: Result<Accepted, Problem>| {
        let problem = result.expect_err("too many");
        (problem.code.code(), problem.errors[0].pointer.clone())
    };
    let branches = many("{}", 5_000_000);
    assert_eq!(code(one(&branches)), ("too_large", "/branches".into()));
    assert_eq!(add(&format!(r#"{{"branches":[{branches}]}}"#)).expect_err("too many").code.code(), "too_large");
    let of_branch = |field: String| one(&format!(r#"{{"endpoint":"http://a/",{field}}}"#));
    let statuses = |n| of_branch(format!(r#""refused_statuses":[{}]"#, many("404", n)));
    assert_eq!(statuses(100).expect("good").branches[0].callee.refused_statuses.len(), 100);
    for n in [101, 4_000_000] {
        assert_eq!(code(statuses(n)), ("invalid_request", "/branches/0/refused_statuses".into()));
    }
    let headers = |n| {
        let members: Vec<_> = (0..n).map(|at| format!(r#""h{at}":"""#)).collect();
        of_branch(format!(r#""headers":{{{}}}"#, members.join(",")))
    };
    assert_eq!(headers(100).expect("good").branches[0].headers().len(), 100);
    for n in [101, 1_000_000] {
        assert_eq!(code(headers(n)), ("too_large", "/branches/0/headers".into()));
    }
    // What is behind the bound is still JSON or none.
    assert_eq!(
        of_branch(format!(r#""refused_statuses":[{},}}]"#, many("404", 200))).expect_err("no JSON").code.code(),
        "malformed_json"
    );
}

#[test]
fn depth_is_bounded_wherever_it_is() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(pointers(one(&format!(r#"{{"endpoint":"http://a/","payload":{deep}}}"#))), ["/branches/0/payload"]);
    for text in
        ["[".repeat(100_000), format!(r#"{{"mode":"two_phase","branches":{}"#, "[".repeat(100_000)), deep.clone()]
    {
        assert!(submit(&text).is_err());
    }
    assert!(one(&format!(r#"{{"endpoint":"http://a/","colour":{deep}}}"#)).is_err());
}

#[test]
fn branches_are_needed_unless_more_may_come() {
    assert_eq!(pointers(submit(r#"{"mode":"two_phase"}"#)), ["/branches"]);
    assert_eq!(pointers(submit(r#"{"mode":"two_phase","branches":[]}"#)), ["/branches"]);
    assert!(submit(r#"{"mode":"two_phase","start":false}"#).expect("good").branches.is_empty());
    assert_eq!(pointers(add(r#"{"branches":[]}"#)), ["/branches"]);
    assert_eq!(pointers(add(r#"{"branches":[{"endpoint":"http://a/"}]}"#)), ["/branches/0/id"]);
}

#[test]
fn a_trace_is_passed_on_unless_the_branch_has_its_own() {
    let body = br#"{"mode":"two_phase","branches":[{"endpoint":"http://a/"},{"endpoint":"http://a/","headers":{"TraceParent":"own"}}]}"#;
    let accepted = submission(body, &door(Some("trace"))).expect("good");
    let headers: Vec<_> = accepted.branches.iter().map(|b| b.headers()[0].clone()).collect();
    assert_eq!(headers, [("traceparent".into(), "trace".into()), ("traceparent".into(), "own".into())]);
    assert_eq!(accepted.digest, submission(body, &door(None)).expect("good").digest);
}

#[test]
fn who_resolves_says_something_or_leaves_it_out() {
    let read = |more: &str| resolution(format!(r#"{{"outcome":"committed"{more}}}"#).as_bytes());
    let said = read(r#","reason":" by hand","by":"alice""#).expect("good");
    assert_eq!((said.reason(), said.by()), (Some(" by hand"), Some("alice")));
    assert_eq!(read("").expect("good").reason(), None);
    assert_eq!(pointers(read(r#","reason":"""#)), ["/reason"]);
    assert_eq!(pointers(read(r#","reason":" \t\n","by":"\u3000""#)), ["/reason", "/by"]);
    assert_eq!(read(r#","by":" ""#).expect_err("blank").errors[0].code, "blank");
}

#[test]
fn a_request_without_more_to_say_says_nothing() {
    assert!(nothing(b"").is_ok() && nothing(b" {} ").is_ok());
    assert_eq!(nothing(b"{").expect_err("no JSON").code.code(), "malformed_json");
    assert_eq!(pointers(nothing(br#"{"wait":"decided"}"#)), ["/wait"]);
    assert_eq!(pointers(nothing(b"[]")), [""]);
}
