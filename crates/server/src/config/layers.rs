//! Settings as text, layer over layer: defaults, the file, the environment, flags.
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Every setting with its default, in the order in which they are printed. An empty default: not set.
pub(super) const SETTINGS: [(&str, &str); 19] = [
    ("listen", "127.0.0.1:8080"),
    ("public_url", ""),
    ("tls_cert", ""),
    ("tls_key", ""),
    ("token_file", ""),
    ("allow", "loopback"),
    ("classic", "on"),
    ("ca_file", ""),
    ("data_dir", "./unanim-data"),
    ("commit", "auto"),
    ("retention", "7d"),
    ("classic_prepare_timeout", "10s"),
    ("stuck_after", "60s"),
    ("drain", "30s"),
    ("max_open", "1000000"),
    ("max_open_bytes", "1GiB"),
    ("log", "human"),
    ("log_level", "info"),
    ("access_log", "off"),
];

/// The one setting that is a list.
pub(super) const LIST: &str = "allow";
/// What the variables of all settings begin with.
pub(crate) const PREFIX: &str = "UNANIM_";
/// Names the file; itself no setting.
const CONFIG: &str = "UNANIM_CONFIG";
/// Variables of other subcommands.
const ELSEWHERE: [&str; 1] = ["UNANIM_SERVER"];
/// A name that resembles another less than this is no suggestion.
const RESEMBLANCE_MIN: f64 = 0.8;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Default,
    File(PathBuf),
    Environment,
    Flag,
}

/// A value, or the values of a list; none where it is not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) text: Vec<String>,
    pub(super) source: Source,
}

/// All layers, one over the other.
#[derive(Debug)]
pub(super) struct Layers {
    values: BTreeMap<&'static str, Value>,
    /// Variables that look like settings and are none.
    pub(super) warnings: Vec<String>,
}

impl Layers {
    pub(super) fn defaults() -> Layers {
        let value = |text: &str| Value { text: non_empty(vec![text.to_owned()]), source: Source::Default };
        Layers { values: SETTINGS.iter().map(|(key, text)| (*key, value(text))).collect(), warnings: Vec::new() }
    }

    fn set(&mut self, key: &'static str, text: Vec<String>, source: Source) {
        self.values.insert(key, Value { text: non_empty(text), source });
    }

    /// # Errors
    /// No TOML; keys that are no settings; values that are no texts or numbers.
    pub(super) fn file(&mut self, path: &Path, content: &str) -> Result<(), Vec<String>> {
        let table: toml::Table = content.parse().map_err(|error| vec![format!("{}: {error}", path.display())])?;
        let mut errors = Vec::new();
        for (key, value) in &table {
            let Some(known) = known(key) else {
                errors.push(format!("{}: {key} is no setting{}", path.display(), suggestion(key, |k| k.to_owned())));
                continue;
            };
            match texts(known, value) {
                Some(text) => self.set(known, text, Source::File(path.into())),
                None => errors.push(format!("{}: {key} must be {}", path.display(), kind(known))),
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    pub(super) fn environment(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        for (name, value) in variables {
            let Some(rest) = name.strip_prefix(PREFIX) else { continue };
            match known(&rest.to_ascii_lowercase()).filter(|key| variable(key) == name) {
                // Empty: as good as not there, as in a template that was filled in with nothing.
                Some(_) if value.is_empty() => {}
                Some(LIST) => {
                    self.set(LIST, value.split(',').map(|v| v.trim().to_owned()).collect(), Source::Environment)
                }
                Some(key) => self.set(key, vec![value], Source::Environment),
                None if name == CONFIG || ELSEWHERE.contains(&&*name) || is_service_link(&name, &value) => {}
                None => {
                    let hint = suggestion(&rest.to_ascii_lowercase(), variable);
                    self.warnings.push(format!("the environment variable {name} is no setting{hint}"));
                }
            }
        }
    }

    pub(super) fn flags(&mut self, given: Vec<(&'static str, Vec<String>)>) {
        given.into_iter().for_each(|(key, text)| self.set(key, text, Source::Flag));
    }

    /// # Panics
    /// On a name that is no setting.
    pub(super) fn get(&self, key: &str) -> &Value {
        &self.values[key]
    }
}

/// As a person who has to mend it calls a setting.
pub(super) fn called(key: &str, source: &Source) -> String {
    match source {
        Source::Flag | Source::Default => flag(key),
        Source::Environment => variable(key),
        Source::File(path) => format!("{key} in {}", path.display()),
    }
}

pub(super) fn flag(key: &str) -> String {
    format!("--{}", key.replace('_', "-"))
}

fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_ascii_uppercase())
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::File(path) => path.display().fmt(f),
            Source::Environment => f.write_str("environment"),
            Source::Flag => f.write_str("flag"),
        }
    }
}

fn non_empty(mut text: Vec<String>) -> Vec<String> {
    text.retain(|t| !t.is_empty());
    text
}

fn known(key: &str) -> Option<&'static str> {
    SETTINGS.iter().map(|(known, _)| *known).find(|known| *known == key)
}

fn kind(key: &str) -> &'static str {
    if key == LIST { "a list of texts" } else { "a text or a number" }
}

fn texts(key: &str, value: &toml::Value) -> Option<Vec<String>> {
    let one = |value: &toml::Value| match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_)
        | toml::Value::Array(_)
        | toml::Value::Table(_) => None,
    };
    match value {
        toml::Value::Array(values) if key == LIST => values.iter().map(one).collect(),
        value => one(value).map(|text| vec![text]),
    }
}

/// `: did you mean listen?`, as `name` writes it.
fn suggestion(key: &str, name: impl Fn(&str) -> String) -> String {
    let resemblance = |known: &str| strsim::jaro_winkler(&key.replace('-', "_"), known);
    let best = SETTINGS.iter().map(|(known, _)| (resemblance(known), *known)).max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((resemblance, known)) if resemblance >= RESEMBLANCE_MIN => format!(": did you mean {}?", name(known)),
        Some(_) | None => String::new(),
    }
}

/// What Kubernetes puts into every container for a service called `unanim` or `unanim-…`.
fn is_service_link(name: &str, value: &str) -> bool {
    let protocol = |text: &str| {
        ["TCP", "UDP", "SCTP"]
            .iter()
            .any(|p| text.strip_prefix(p).is_some_and(|rest| rest.is_empty() || rest.starts_with('_')))
    };
    let port =
        |text: &str| text.split_once('_').is_some_and(|(port, rest)| port.parse::<u16>().is_ok() && protocol(rest));
    let rest = &name[PREFIX.len() - 1..];
    rest.ends_with("_SERVICE_HOST")
        || rest.ends_with("_SERVICE_PORT")
        || rest.contains("_SERVICE_PORT_")
        || (rest.ends_with("_PORT") && value.contains("://"))
        || rest.match_indices("_PORT_").any(|(at, found)| port(&rest[at + found.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Layers {
        let mut layers = Layers::defaults();
        layers.environment(variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        layers
    }

    #[test]
    fn the_later_layer_wins() {
        let mut layers = Layers::defaults();
        layers
            .file(
                Path::new("u.toml"),
                "listen = 'file:1'\ndrain = '1s'\nclassic = 'off'\nmax_open = 5\nallow = ['a', 'b']",
            )
            .expect("good");
        layers.environment([
            ("UNANIM_LISTEN".into(), "env:1".into()),
            ("UNANIM_DRAIN".into(), "2s".into()),
            ("UNANIM_ALLOW".into(), "c, d".into()),
        ]);
        layers.flags(vec![("drain", vec!["3s".into()])]);
        let get = |key| (layers.get(key).text.join("+"), layers.get(key).source.clone());
        assert_eq!(get("drain"), ("3s".into(), Source::Flag));
        assert_eq!(get("listen"), ("env:1".into(), Source::Environment));
        assert_eq!(get("allow"), ("c+d".into(), Source::Environment));
        assert_eq!(get("classic"), ("off".into(), Source::File("u.toml".into())));
        assert_eq!(get("max_open"), ("5".into(), Source::File("u.toml".into())));
        assert_eq!(get("retention"), ("7d".into(), Source::Default));
        assert_eq!(get("token_file"), (String::new(), Source::Default));
    }

    #[test]
    fn a_key_that_is_no_setting_is_an_error_with_a_suggestion() {
        let errors = |text: &str| Layers::defaults().file(Path::new("u.toml"), text).expect_err("wrong").join("\n");
        for (key, meant) in
            [("lisen", "listen"), ("data-dir", "data_dir"), ("classic_prepare_timout", "classic_prepare_timeout")]
        {
            let said = errors(&format!("{key} = '1'"));
            assert!(
                said.contains(key) && said.contains(&format!("did you mean {meant}?")) && said.contains("u.toml"),
                "{said}"
            );
        }
        assert!(!errors("zzz = 1").contains("did you mean"));
        assert!(errors("listen = true").contains("listen must be a text"));
        assert!(errors("allow = [[]]").contains("allow must be a list"));
        assert!(errors("listen = ").contains("u.toml"));
        assert_eq!(Layers::defaults().file(Path::new("u.toml"), "a = 1\nb = 2").expect_err("wrong").len(), 2);
    }

    #[test]
    fn unknown_variables_are_warned_about_without_their_values() {
        let layers = environment(&[
            ("UNANIM_FOO", "secret"),
            ("UNANIM_LISTN", "secret"),
            ("UNANIM_listen", "x"),
            ("PATH", "x"),
            ("UNANIM_CONFIG", "x"),
        ]);
        let text = layers.warnings.join("\n");
        assert_eq!(layers.warnings.len(), 3, "{text}");
        assert!(text.contains("UNANIM_FOO is no setting") && text.contains("did you mean UNANIM_LISTEN?"), "{text}");
        assert!(!text.contains("secret"));
        assert_eq!(layers.get("listen").source, Source::Default);
    }

    #[test]
    fn service_links_are_ignored() {
        let links = [
            ("UNANIM_PORT", "tcp://10.0.0.9:8080"),
            ("UNANIM_SERVICE_HOST", "10.0.0.9"),
            ("UNANIM_SERVICE_PORT", "8080"),
            ("UNANIM_SERVICE_PORT_HTTP", "8080"),
            ("UNANIM_PORT_8080_TCP", "tcp://10.0.0.9:8080"),
            ("UNANIM_PORT_8080_TCP_PROTO", "tcp"),
            ("UNANIM_PORT_8080_UDP_ADDR", "10.0.0.9"),
            ("UNANIM_CONSOLE_SERVICE_HOST", "10.0.0.9"),
            ("UNANIM_CONSOLE_PORT_80_TCP_PORT", "80"),
            ("UNANIM_CONSOLE_PORT", "tcp://10.0.0.9:80"),
        ];
        assert_eq!(environment(&links).warnings, Vec::<String>::new());
        assert_eq!(environment(&[("UNANIM_PORT", "8080")]).warnings.len(), 1);
        assert!(SETTINGS.iter().all(|(key, _)| *key != "port"));
    }

    #[test]
    fn an_empty_variable_is_none() {
        assert_eq!(environment(&[("UNANIM_LISTEN", "")]).get("listen").text, ["127.0.0.1:8080"]);
    }
}
