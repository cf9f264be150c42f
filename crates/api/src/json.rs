//! Reading JSON: what is no JSON at all, and where what is JSON says something else than expected.
use crate::problem::{FieldError, Problem, ProblemCode};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_path_to_error::{Path, Segment};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

/// Reads a body.
pub(crate) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(body).map_err(|e| malformed(format!("not UTF-8: {e}")))?;
    serde_json::from_str::<Object<T>>(text).map(|o| o.0).map_err(|_| explained::<T>(text))
}

/// Reads it again, slowly, to say what is wrong and where.
fn explained<'a, T: Deserialize<'a>>(text: &'a str) -> Problem {
    // A mistake in the shape may hide one in the grammar behind it, and grammar comes first.
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        return malformed(error.to_string());
    }
    let mut json = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, Object<T>>(&mut json) {
        Err(error) if error.inner().is_data() => {
            let detail = error.inner().to_string();
            let error = FieldError { pointer: pointer(error.path()), code: kind(&detail), detail: in_json(&detail) };
            Problem::of_fields(ProblemCode::InvalidRequest, vec![error])
        }
        // Nested deeper than anything that is asked for.
        Err(error) => malformed(error.into_inner().to_string()),
        Ok(_) => unreachable!("the same text was wrong a moment ago"),
    }
}

fn malformed(detail: String) -> Problem {
    Problem::new(ProblemCode::MalformedJson, detail)
}

fn kind(detail: &str) -> &'static str {
    match detail.split(' ').next() {
        Some("unknown") => "unknown_field",
        Some("missing") => "required",
        Some("duplicate") => "duplicate",
        _ => "wrong_type",
    }
}

/// In JSON's words instead of Rust's; the pointer says where.
fn in_json(detail: &str) -> String {
    let detail = detail.rsplit_once(" at line ").map_or(detail, |(detail, _)| detail);
    let Some((what, expected)) = detail.rsplit_once(", expected ") else { return detail.to_owned() };
    let expected = match expected {
        "u64" => "a whole number",
        "a borrowed raw value" | "any valid JSON value" => "a value",
        expected => expected,
    };
    let what = match what {
        "invalid type: map" => "an object",
        "invalid type: sequence" => "a list",
        "invalid type: unit value" | "invalid type: null" => "null",
        what => what.strip_prefix("invalid type: ").or(what.strip_prefix("invalid value: ")).unwrap_or(what),
    };
    let what = what.replacen("floating point", "number", 1).replacen("integer", "number", 1);
    match what.starts_with("unknown field") {
        true => format!("{what}, expected {expected}"),
        false => format!("{what} instead of {expected}"),
    }
}

/// RFC 6901.
fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => pointer.push_str(&format!("/{}", escaped(key))),
            Segment::Enum { .. } | Segment::Unknown => break,
        }
    }
    pointer
}

/// A key as a part of a JSON pointer.
pub(crate) fn escaped(key: &str) -> Cow<'_, str> {
    if key.contains(['~', '/']) { key.replace('~', "~0").replace('/', "~1").into() } else { key.into() }
}

/// An object and nothing else: a struct of serde's would take a list of its values, too.
#[derive(Debug)]
pub(crate) struct Object<T>(pub(crate) T);

impl<T> Deref for Object<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visit<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Visit<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        from.deserialize_map(Visit(PhantomData))
    }
}

/// A string, borrowed from the body where it has no escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visit;

        impl<'de> Visitor<'de> for Visit {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        from.deserialize_str(Visit)
    }
}

/// The first things of what may be without end; only whether there are more is known of the others, so that a body
/// takes no more memory than what is asked for in it may.
#[derive(Debug)]
pub(crate) struct First<T> {
    kept: Vec<T>,
    more: bool,
}

impl<T> First<T> {
    /// All of them; none where they are more than `max`, or more than were kept.
    pub(crate) fn within(&self, max: usize) -> Option<&[T]> {
        (!self.more && self.kept.len() <= max).then_some(&self.kept)
    }
}

/// A list of which no more than `MAX` are read.
#[derive(Debug)]
pub(crate) struct List<T, const MAX: usize>(First<T>);

impl<T, const MAX: usize> Deref for List<T, MAX> {
    type Target = First<T>;

    fn deref(&self) -> &First<T> {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visit<T, const MAX: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Visit<T, MAX> {
            type Value = First<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<First<T>, A::Error> {
                let mut kept = Vec::new();
                while kept.len() < MAX {
                    match seq.next_element()? {
                        Some(element) => kept.push(element),
                        None => return Ok(First { kept, more: false }),
                    }
                }
                let more = seq.next_element::<IgnoredAny>()?.is_some();
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(First { kept, more })
            }
        }

        from.deserialize_seq(Visit::<T, MAX>(PhantomData)).map(List)
    }
}

/// The members of an object, in their order: a name may come twice. No more than `MAX` are read.
#[derive(Debug)]
pub(crate) struct Members<'a, const MAX: usize>(First<(Text<'a>, Text<'a>)>);

impl<'a, const MAX: usize> Deref for Members<'a, MAX> {
    type Target = First<(Text<'a>, Text<'a>)>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'de: 'a, 'a, const MAX: usize> Deserialize<'de> for Members<'a, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visit<const MAX: usize>;

        impl<'de, const MAX: usize> Visitor<'de> for Visit<MAX> {
            type Value = First<(Text<'de>, Text<'de>)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut kept = Vec::new();
                while kept.len() < MAX {
                    match map.next_entry()? {
                        Some(member) => kept.push(member),
                        None => return Ok(First { kept, more: false }),
                    }
                }
                let more = map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some();
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(First { kept, more })
            }
        }

        from.deserialize_map(Visit::<MAX>).map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_told_in_the_words_of_json() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "only mistakes are looked at")]
        struct Body<'a> {
            number: Option<u64>,
            flag: Option<bool>,
            #[serde(borrow)]
            text: Option<Text<'a>>,
            list: Option<List<u64, 2>>,
        }
        for (body, detail) in [
            (r#"{"number": "5"}"#, r#"/number: string "5" instead of a whole number"#),
            (r#"{"number": -1}"#, "/number: number `-1` instead of a whole number"),
            (r#"{"number": 1.5}"#, "/number: number `1.5` instead of a whole number"),
            (r#"{"number": {}}"#, "/number: an object instead of a whole number"),
            (r#"{"flag": null, "text": []}"#, "/text: a list instead of a string"),
            (r#"{"flag": "yes"}"#, r#"/flag: string "yes" instead of a boolean"#),
            (r#"{"list": {}}"#, "/list: an object instead of a list"),
            (r#"{"list": [null]}"#, "/list/0: null instead of a whole number"),
            (r#"{"colour": 1}"#, "/colour: unknown field `colour`, expected one of `number`, `flag`, `text`, `list`"),
            (r#"{"flag": true, "flag": true}"#, "duplicate field `flag`"),
            ("[]", "a list instead of an object"),
        ] {
            let problem = parse::<Body<'_>>(body.as_bytes()).expect_err(body);
            assert_eq!(problem.detail, detail, "{body}");
        }
    }

    #[test]
    fn no_more_than_the_first_of_a_list_are_read() {
        let read =
            |text| serde_json::from_str::<List<u8, 2>>(text).map(|l| (l.within(9).map(<[u8]>::to_vec), l.kept.len()));
        assert_eq!(read("[]").expect("good"), (Some(vec![]), 0));
        assert_eq!(read("[1,2]").expect("good"), (Some(vec![1, 2]), 2));
        assert_eq!(read("[1,2,3]").expect("good"), (None, 2));
        assert_eq!(read("[1,2,{},[\"x\"]]").expect("what is skipped is not looked at"), (None, 2));
        assert!(read("[1,{}]").is_err() && read("{}").is_err());
        let two = serde_json::from_str::<List<u8, 2>>("[1,2]").expect("good");
        assert!(two.within(1).is_none() && two.within(2).is_some());
    }

    #[test]
    fn no_more_than_the_first_members_are_read() {
        let read = |text| serde_json::from_str::<Members<'_, 2>>(text).map(|m| (m.within(9).is_some(), m.kept.len()));
        assert_eq!(read("{}").expect("good"), (true, 0));
        assert_eq!(read(r#"{"a":"1","a":"2"}"#).expect("good"), (true, 2));
        assert_eq!(read(r#"{"a":"1","b":"2","c":[3]}"#).expect("good"), (false, 2));
        assert!(read(r#"{"a":1}"#).is_err() && read("[]").is_err());
    }
}
