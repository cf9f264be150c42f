//! Settings: from where, what they mean, and whether they go together.
mod args;
mod layers;
mod values;

pub use args::ServeArgs;
pub(crate) use layers::PREFIX;
pub(crate) use values::{Classic, LogFormat, LogLevel, Switch};

use layers::{LIST, Layers, SETTINGS, Value, called, flag};
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use unanim_adapters::store::embedded::CommitMode;
use unanim_adapters::transport::AllowList;
use unanim_api::CALL_TIMEOUT_MS_MAX;

const MILLISECOND: Duration = Duration::from_millis(1);
/// Nobody means a longer time.
const TIME_MAX: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// What a coordinator is set to.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) public_url: Option<String>,
    /// Certificate chain and key.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) allow: AllowList,
    pub(crate) classic: Classic,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) data_dir: PathBuf,
    pub(crate) commit: CommitMode,
    pub(crate) retention: Duration,
    pub(crate) classic_prepare_timeout: Duration,
    pub(crate) stuck_after: Duration,
    pub(crate) drain: Duration,
    pub(crate) max_open: usize,
    pub(crate) max_open_bytes: u64,
    pub(crate) log: LogFormat,
    pub(crate) log_level: LogLevel,
    pub(crate) access_log: Switch,
    /// About the environment; for the log.
    pub(crate) warnings: Vec<String>,
    printed: String,
    sources: String,
}

impl Config {
    /// Reads file, environment and flags.
    ///
    /// # Errors
    /// What is wrong, a line each.
    pub(crate) fn load(
        args: &ServeArgs,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Config, Vec<String>> {
        let environment: Vec<_> = environment.into_iter().collect();
        let mut layers = Layers::defaults();
        let named = || {
            environment
                .iter()
                .find(|(name, value)| name == "UNANIM_CONFIG" && !value.is_empty())
                .map(|(_, v)| PathBuf::from(v))
        };
        if let Some(path) = args.config.clone().or_else(named) {
            let content = std::fs::read_to_string(&path)
                .map_err(|error| vec![format!("--config {}: {error}", path.display())])?;
            layers.file(&path, &content)?;
        }
        layers.environment(environment);
        layers.flags(args.given());
        Config::from(&layers)
    }

    fn from(layers: &Layers) -> Result<Config, Vec<String>> {
        let mut read = Reader { layers, errors: Vec::new(), printed: String::new(), sources: String::new() };
        let listen = read.needed("listen", values::address, |a| a.to_string());
        let public_url = read.optional("public_url", values::public_url);
        let tls_cert = read.optional("tls_cert", path);
        let tls_key = read.optional("tls_key", path);
        let token_file = read.optional("token_file", path);
        let allow = read.allow();
        let classic = read.word("classic");
        let ca_file = read.optional("ca_file", path);
        let data_dir = read.needed("data_dir", path, |p| p.display().to_string());
        let commit = read.word("commit");
        let retention = read.time("retention", Duration::from_secs(1), TIME_MAX);
        let classic_prepare_timeout =
            read.time("classic_prepare_timeout", MILLISECOND, Duration::from_millis(CALL_TIMEOUT_MS_MAX.into()));
        let stuck_after = read.time("stuck_after", MILLISECOND, TIME_MAX);
        let drain = read.time("drain", Duration::ZERO, TIME_MAX);
        let max_open = read.needed("max_open", values::count, |n| n.to_string());
        let max_open_bytes = read.needed("max_open_bytes", values::bytes, |n| values::bytes_text(*n));
        let log = read.word("log");
        let log_level = read.word("log_level");
        let access_log = read.word("access_log");
        let tls = read.pair(tls_cert, tls_key);
        if let Some(listen) = listen {
            read.check_reach(listen, token_file.is_some(), public_url.is_some());
        }
        let (printed, sources) = (std::mem::take(&mut read.printed), std::mem::take(&mut read.sources));
        let errors = std::mem::take(&mut read.errors);
        let config = || {
            Some(Config {
                listen: listen?,
                public_url,
                tls,
                token_file,
                allow: allow?,
                classic: classic?,
                ca_file,
                data_dir: data_dir?,
                commit: commit?,
                retention: retention?,
                classic_prepare_timeout: classic_prepare_timeout?,
                stuck_after: stuck_after?,
                drain: drain?,
                max_open: max_open?,
                max_open_bytes: max_open_bytes?,
                log: log?,
                log_level: log_level?,
                access_log: access_log?,
                warnings: layers.warnings.clone(),
                printed,
                sources,
            })
        };
        if errors.is_empty() { Ok(config().expect("what is missing was an error")) } else { Err(errors) }
    }

    /// The settings in effect as TOML: the same ones whatever layer each comes from. Files are named, never shown.
    pub(crate) fn printed(&self) -> &str {
        &self.printed
    }

    /// Where each setting comes from, a line each.
    pub(crate) fn sources(&self) -> &str {
        &self.sources
    }
}

fn path(text: &str) -> Result<PathBuf, String> {
    Ok(PathBuf::from(text))
}

/// Reads one setting after the other, in the order of [`SETTINGS`], and keeps what is wrong.
struct Reader<'a> {
    layers: &'a Layers,
    errors: Vec<String>,
    printed: String,
    sources: String,
}

impl Reader<'_> {
    fn wrong<T>(&mut self, error: String) -> Option<T> {
        self.errors.push(error);
        None
    }

    /// Certificate and key.
    fn pair(&mut self, cert: Option<PathBuf>, key: Option<PathBuf>) -> Option<(PathBuf, PathBuf)> {
        match (cert, key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => self.wrong("--tls-cert and --tls-key go together".into()),
        }
    }

    /// Whoever can be reached by others has a token, and knows its own name.
    fn check_reach(&mut self, listen: SocketAddr, has_token: bool, has_url: bool) {
        if !listen.ip().is_loopback() && !has_token {
            self.errors.push(format!(
                "{listen} can be reached by others: give a --token-file, or a loopback address to --listen"
            ));
        }
        if listen.ip().is_unspecified() && !has_url {
            self.errors.push(format!(
                "participants cannot call {listen}: give the --public-url under which they reach this coordinator"
            ));
        }
    }

    fn value(&mut self, key: &'static str) -> Value {
        debug_assert!(SETTINGS.iter().any(|(known, _)| *known == key));
        let value = self.layers.get(key).clone();
        let _ = writeln!(self.sources, "{key}: {}", value.source);
        value
    }

    fn single<T>(&mut self, key: &'static str, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let value = self.value(key);
        let text = value.text.first()?;
        read(text).map_err(|why| self.errors.push(format!("{}: {why}", called(key, &value.source)))).ok()
    }

    fn needed<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, String>,
        text: impl Fn(&T) -> String,
    ) -> Option<T> {
        let before = self.errors.len();
        match self.single(key, read) {
            Some(value) => {
                let shown = toml::Value::String(text(&value));
                let _ = writeln!(self.printed, "{key} = {shown}");
                Some(value)
            }
            None if self.errors.len() == before => self.wrong(format!("{} must not be empty", flag(key))),
            None => None,
        }
    }

    fn optional<T>(&mut self, key: &'static str, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let text = self.layers.get(key).text.first().cloned();
        let value = self.single(key, read);
        let _ = match text {
            Some(text) => writeln!(self.printed, "{key} = {}", toml::Value::String(text)),
            None => writeln!(self.printed, "# {key} is not set"),
        };
        value
    }

    fn word<T: FromStr<Err = String> + ToString>(&mut self, key: &'static str) -> Option<T> {
        self.needed(key, T::from_str, T::to_string)
    }

    fn time(&mut self, key: &'static str, min: Duration, max: Duration) -> Option<Duration> {
        self.needed(key, |text| values::duration(text, min, max), |time| values::duration_text(*time))
    }

    fn allow(&mut self) -> Option<AllowList> {
        let value = self.value(LIST);
        let shown = toml::Value::Array(value.text.iter().cloned().map(toml::Value::String).collect());
        let _ = writeln!(self.printed, "{LIST} = {shown}");
        AllowList::parse(&value.text)
            .map_err(|why| self.errors.push(format!("{}: {why}", called(LIST, &value.source))))
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(args: &ServeArgs) -> Result<Config, String> {
        Config::load(args, []).map_err(|errors| errors.join("\n"))
    }

    #[test]
    fn what_is_printed_is_read_back_as_the_same() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("printed.toml");
        let args = ServeArgs {
            allow: vec!["a.example".into(), "10.0.0.0/8:80".into()],
            drain: Some("90s".into()),
            ..ServeArgs::default()
        };
        let first = load(&args).expect("good");
        std::fs::write(&file, first.printed()).expect("written");
        let second = load(&ServeArgs { config: Some(file), ..ServeArgs::default() }).expect("good");
        assert_eq!(first.printed(), second.printed());
        assert!(
            first.printed().contains("drain = \"1m 30s\"") && first.printed().contains("# token_file is not set"),
            "{}",
            first.printed()
        );
        assert!(
            first.sources().contains("drain: flag") && second.sources().contains("drain: /"),
            "{}",
            second.sources()
        );
    }

    #[test]
    fn a_wrong_value_names_its_setting_where_it_was_given() {
        let errors =
            load(&ServeArgs { classic: Some("maybe".into()), drain: Some("soon".into()), ..ServeArgs::default() })
                .expect_err("wrong");
        assert!(errors.contains("--classic: \"maybe\"") && errors.contains("--drain: \"soon\""), "{errors}");
        let errors = Config::load(&ServeArgs::default(), [("UNANIM_MAX_OPEN".into(), "-1".into())])
            .expect_err("wrong")
            .join("\n");
        assert!(errors.starts_with("UNANIM_MAX_OPEN: "), "{errors}");
        assert!(
            load(&ServeArgs { config: Some("/nowhere.toml".into()), ..ServeArgs::default() })
                .expect_err("wrong")
                .contains("--config /nowhere.toml")
        );
        assert!(
            load(&ServeArgs { listen: Some(String::new()), ..ServeArgs::default() })
                .expect_err("wrong")
                .contains("--listen must not be empty")
        );
    }

    #[test]
    fn calls_go_to_loopback_unless_a_list_says_otherwise_even_an_empty_one() {
        let permits = |config: Config| config.allow.permits_endpoint("127.0.0.1", 80).is_ok();
        assert!(permits(load(&ServeArgs::default()).expect("good")));
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("u.toml");
        std::fs::write(&file, "allow = []").expect("written");
        let config = load(&ServeArgs { config: Some(file), ..ServeArgs::default() }).expect("good");
        assert!(config.printed().contains("allow = []"), "{}", config.printed());
        assert!(!permits(config));
    }

    #[test]
    fn other_addresses_than_loopback_ask_for_more() {
        let on = |listen: &str, token: bool, url: bool| {
            let token_file = token.then(|| "t".to_owned());
            let public_url = url.then(|| "http://c.example".to_owned());
            load(&ServeArgs { listen: Some(listen.into()), token_file, public_url, ..ServeArgs::default() }).map(|_| ())
        };
        assert_eq!((on("127.0.0.9:1", false, false), on("[::1]:1", false, false)), (Ok(()), Ok(())));
        assert!(on("10.0.0.1:1", false, true).expect_err("no token").contains("--token-file"));
        assert_eq!(on("10.0.0.1:1", true, false), Ok(()));
        for all in ["0.0.0.0:1", "[::]:1"] {
            assert!(on(all, true, false).expect_err("no URL").contains("--public-url"));
            assert!(on(all, false, true).expect_err("no token").contains("--token-file"));
            assert_eq!(on(all, true, true), Ok(()));
        }
    }

    #[test]
    fn certificate_and_key_go_together() {
        let args = ServeArgs { tls_cert: Some("/c".into()), ..ServeArgs::default() };
        assert!(load(&args).expect_err("no key").contains("--tls-cert and --tls-key"));
    }

    #[test]
    fn the_order_of_reading_is_the_order_of_the_list() {
        let config = load(&ServeArgs::default()).expect("good");
        let read: Vec<_> = config.sources().lines().map(|line| line.split(':').next().unwrap_or_default()).collect();
        assert_eq!(read, SETTINGS.map(|(key, _)| key));
    }
}
