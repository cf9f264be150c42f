//! The canonical form of a request, whose digest tells a repeated request from another one.
//!
//! Objects' keys are sorted, white space is dropped, strings have one spelling, and number literals stay as they are
//! written: `1.0` is not `1`. What is left out stays left out.
use sha2::{Digest, Sha256};

/// Deeper nesting than this is refused: the same as the JSON parser allows.
pub const DEPTH_MAX: usize = 128;

/// Nested deeper than [`DEPTH_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooDeep;

/// SHA-256 of the canonical form of a JSON text.
///
/// # Errors
/// Nested too deeply.
///
/// # Panics
/// When the text is no JSON: it must have been parsed before.
pub fn digest(json: &str) -> Result<[u8; 32], TooDeep> {
    canonical(json).map(|bytes| Sha256::digest(bytes).into())
}

/// The canonical form of a JSON text.
///
/// # Errors
/// Nested too deeply.
///
/// # Panics
/// When the text is no JSON: it must have been parsed before.
pub fn canonical(json: &str) -> Result<Vec<u8>, TooDeep> {
    let mut writer = Writer {
        from: json.as_bytes(),
        at: 0,
        out: Vec::with_capacity(json.len()),
        members: Vec::new(),
        sorted: Vec::new(),
    };
    writer.value(0)?;
    Ok(writer.out)
}

/// A member of an object as it stands in `out`: its key, then a colon and its value up to `end`.
#[derive(Clone, Copy)]
struct Member {
    start: usize,
    key_end: usize,
    end: usize,
}

struct Writer<'a> {
    from: &'a [u8],
    at: usize,
    out: Vec<u8>,
    /// The members of all objects that are open, the innermost one's last.
    members: Vec<Member>,
    /// Where an object is put in order.
    sorted: Vec<u8>,
}

impl Writer<'_> {
    fn value(&mut self, depth: usize) -> Result<(), TooDeep> {
        if depth > DEPTH_MAX {
            return Err(TooDeep);
        }
        match self.peek() {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => {
                self.string();
                Ok(())
            }
            _ => {
                let rest = &self.from[self.at..];
                let len = rest.iter().position(|b| b" \t\r\n,]}".contains(b)).unwrap_or(rest.len());
                self.out.extend_from_slice(&rest[..len]);
                self.at += len;
                Ok(())
            }
        }
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> u8 {
        while matches!(self.from[self.at], b' ' | b'\t' | b'\r' | b'\n') {
            self.at += 1;
        }
        self.from[self.at]
    }

    fn take(&mut self) {
        self.out.push(self.from[self.at]);
        self.at += 1;
    }

    fn array(&mut self, depth: usize) -> Result<(), TooDeep> {
        self.take();
        if self.peek() != b']' {
            self.value(depth + 1)?;
            while self.peek() == b',' {
                self.take();
                self.value(depth + 1)?;
            }
        }
        self.take();
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<(), TooDeep> {
        let (first, body) = (self.members.len(), self.out.len() + 1);
        self.take();
        if self.peek() != b'}' {
            loop {
                let start = self.out.len();
                self.peek();
                self.string();
                let key_end = self.out.len();
                self.peek();
                self.take();
                self.value(depth + 1)?;
                self.members.push(Member { start, key_end, end: self.out.len() });
                if self.peek() != b',' {
                    break;
                }
                self.take();
            }
        }
        self.sort(first, body);
        self.take();
        Ok(())
    }

    /// Puts the members from `first` on in order; they stand in `out` from `body` on, with a comma between.
    fn sort(&mut self, first: usize, body: usize) {
        let (out, members) = (&self.out, &mut self.members[first..]);
        if !members.is_sorted_by_key(|m| &out[m.start..m.key_end]) {
            members.sort_by_key(|m| &out[m.start..m.key_end]);
            self.sorted.clear();
            for member in members {
                if !self.sorted.is_empty() {
                    self.sorted.push(b',');
                }
                self.sorted.extend_from_slice(&out[member.start..member.end]);
            }
            self.out[body..].copy_from_slice(&self.sorted);
        }
        self.members.truncate(first);
    }

    fn string(&mut self) {
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += 1;
            match self.from[self.at] {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.at += 1;
                }
                _ => {}
            }
        }
        self.at += 1;
        let written = &self.from[start..self.at];
        // Half of a surrogate pair cannot be written otherwise; it stays as it is.
        match escaped.then(|| serde_json::from_slice::<String>(written)) {
            Some(Ok(text)) => serde_json::to_writer(&mut self.out, &text).expect("a string is always JSON"),
            Some(Err(_)) | None => self.out.extend_from_slice(written),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn form(json: &str) -> String {
        String::from_utf8(canonical(json).expect("flat")).expect("UTF-8")
    }

    #[test]
    fn sorts_keys_at_every_level_and_drops_white_space() {
        let text = "{ \"b\" : [ 1 , { \"z\":0,\"a\" : null } ],\r\n\t\"a\":{}, \"aa\" : [ ] }";
        assert_eq!(form(text), r#"{"a":{},"aa":[],"b":[1,{"a":null,"z":0}]}"#);
    }

    #[test]
    fn number_literals_stay_as_written() {
        assert_eq!(
            form("[1,1.0,1e0,1E+0,-0, 10000000000000000000000000001]"),
            "[1,1.0,1e0,1E+0,-0,10000000000000000000000000001]"
        );
        assert_ne!(digest("1.0"), digest("1"));
    }

    #[test]
    fn strings_have_one_spelling() {
        assert_eq!(form(r#""\u0078\/\u00e9\n\"\\""#), r#""x/é\n\"\\""#);
        assert_eq!(form(r#"{"\u0062":1,"a":2}"#), r#"{"a":2,"b":1}"#);
        assert_eq!(form(r#""\ud800""#), r#""\ud800""#);
        assert_eq!(form(r#""\ud83e\udd80""#), "\"🦀\"");
    }

    #[test]
    fn a_name_given_twice_keeps_its_order() {
        assert_eq!(form(r#"{"b":0,"a":1,"a":2}"#), r#"{"a":1,"a":2,"b":0}"#);
        assert_ne!(digest(r#"{"a":1,"a":2}"#), digest(r#"{"a":2,"a":1}"#));
    }

    #[test]
    fn the_digest_is_that_of_the_form() {
        assert_eq!(digest(r#"{"b":1,"a":2}"#), digest(" {\"a\" : 2, \"b\":1}"));
        // printf '{"a":2,"b":1}' | sha256sum
        let hex: String = digest(r#"{"b":1,"a":2}"#).expect("flat").iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "d3626ac30a87e6f7a6428233b3c68299976865fa5508e4267c5415c76af7a772");
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(canonical(&nested(DEPTH_MAX)).is_ok());
        assert_eq!(canonical(&nested(DEPTH_MAX + 2)), Err(TooDeep));
        assert_eq!(canonical(&nested(1_000_000)), Err(TooDeep));
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            ".*".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
                prop::collection::btree_map(".{0,4}", inner, 0..6).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn says_the_same_as_the_text_whatever_its_layout(value in json()) {
            let (plain, pretty) = (value.to_string(), serde_json::to_string_pretty(&value).expect("JSON"));
            prop_assert_eq!(form(&plain), form(&pretty));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&form(&plain)).expect("JSON"), value);
            prop_assert_eq!(form(&form(&plain)), form(&plain));
        }
    }
}
