//! The file that `tx submit` sends: checked, and given a gid when it has none.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use serde_json::value::RawValue;

/// A body that can be sent any number of times and runs once.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) gid: String,
    pub(super) body: Bytes,
}

impl Submission {
    /// Reads the file, or standard input for `-`.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let (name, text) = if path == Path::new("-") {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
            ("standard input".to_owned(), text)
        } else {
            let name = path.display().to_string();
            (name, std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?)
        };
        Self::parse(text).with_context(|| format!("{name} holds no transaction"))
    }

    /// The text is sent as it is, but for the gid: payloads reach participants byte for byte.
    fn parse(text: String) -> anyhow::Result<Self> {
        let fields: BTreeMap<String, &RawValue> =
            serde_json::from_str(&text).map_err(|error| match error.classify() {
                serde_json::error::Category::Data => anyhow!("it must be a JSON object ({error})"),
                _ => anyhow!("it is no JSON: {error}"),
            })?;
        if let Some(gid) = fields.get("gid") {
            let Ok(gid) = serde_json::from_str(gid.get()) else { bail!("its gid must be a string, not {gid}") };
            return Ok(Self { gid, body: Bytes::from(text) });
        }
        let gid = uuid::Uuid::now_v7().to_string();
        let (before, after) = text.split_once('{').context("it must be a JSON object")?;
        let comma = if fields.is_empty() { "" } else { "," };
        let body = Bytes::from(format!("{before}{{\"gid\":\"{gid}\"{comma}{after}"));
        Ok(Self { gid, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gid_that_is_there_is_kept_and_nothing_else_changes() {
        let text = r#" {"branches": [ ], "gid": "order \u0031"}"#;
        let submission = Submission::parse(text.into()).unwrap();
        assert_eq!((submission.gid.as_str(), &submission.body[..]), ("order 1", text.as_bytes()));
    }

    #[test]
    fn a_gid_that_lacks_is_put_in_front_and_the_payload_keeps_its_bytes() {
        for (text, rest) in [
            (
                r#"{"branches":[{"payload":{ "b":1.50,"a":"{" }}]}"#,
                r#","branches":[{"payload":{ "b":1.50,"a":"{" }}]}"#,
            ),
            ("{ }", " }"),
        ] {
            let submission = Submission::parse(text.into()).unwrap();
            let expected = format!("{{\"gid\":\"{}\"{rest}", submission.gid);
            assert_eq!(String::from_utf8_lossy(&submission.body), expected);
            let parsed: serde_json::Value = serde_json::from_slice(&submission.body).unwrap();
            assert_eq!(parsed["gid"], submission.gid);
        }
    }

    #[test]
    fn errors_say_where() {
        let told = |text: &str| format!("{:#}", Submission::parse(text.into()).unwrap_err());
        assert!(told("{\n  \"gid\" \"x\"}").contains("line 2 column 9"), "{}", told("{\n  \"gid\" \"x\"}"));
        assert!(told("[]").contains("must be a JSON object"));
        assert!(told("{\"gid\": 7}").contains("must be a string, not 7"));
        assert!(told("").contains("no JSON"));
    }
}
