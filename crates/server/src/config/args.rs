//! The flags of `unanim serve`. What they say, the file and the environment say too, under the same names.
use clap::Args;
use std::path::PathBuf;

/// Settings of `unanim serve`; what is not given here comes from the environment, the file, or its default.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = AFTER_HELP)]
pub struct ServeArgs {
    /// TOML file with settings, named as the flags with _ for - [env: UNANIM_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print the settings in effect as TOML (where each comes from goes to stderr), and end. Files that they name are
    /// not read
    #[arg(long)]
    pub print_config: bool,

    /// Address to listen on [default: 127.0.0.1:8080]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Network")]
    pub listen: Option<String>,
    /// URL under which participants and clients reach this coordinator [default: http:// and --listen]
    #[arg(long, value_name = "URL", help_heading = "Network")]
    pub public_url: Option<String>,
    /// Certificate chain, PEM: serve HTTPS
    #[arg(long, value_name = "FILE", help_heading = "Network")]
    pub tls_cert: Option<String>,
    /// Private key of --tls-cert, PEM
    #[arg(long, value_name = "FILE", help_heading = "Network")]
    pub tls_key: Option<String>,

    /// File with the token that clients must send as `Authorization: Bearer …`
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    pub token_file: Option<String>,
    /// Whom participants' endpoints may name, repeatable: a host, *.suffix, CIDR or `loopback`, each with an optional
    /// :port [default: loopback]
    #[arg(long, value_name = "WHOM", help_heading = "Access")]
    pub allow: Vec<String>,
    /// The classic protocol at /transaction: on, open (needs no token) or off [default: on]
    #[arg(long, value_name = "WHEN", help_heading = "Access")]
    pub classic: Option<String>,
    /// Certificates that vouch for https participants, PEM [default: the system's]
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    pub ca_file: Option<String>,

    /// Folder of the store [default: ./unanim-data]
    #[arg(long, value_name = "DIR", help_heading = "Store")]
    pub data_dir: Option<String>,
    /// Where commits to disk are made: auto, inline or thread [default: auto]
    #[arg(long, value_name = "WHERE", help_heading = "Store")]
    pub commit: Option<String>,
    /// How long a finished transaction stays readable [default: 7d]
    #[arg(long, value_name = "TIME", help_heading = "Store", allow_hyphen_values = true)]
    pub retention: Option<String>,

    /// How long participants of a classic transaction have for their votes, and for each call [default: 10s]
    #[arg(long, value_name = "TIME", help_heading = "Transactions", allow_hyphen_values = true)]
    pub classic_prepare_timeout: Option<String>,
    /// How long in one phase until a transaction is marked stuck [default: 60s]
    #[arg(long, value_name = "TIME", help_heading = "Transactions", allow_hyphen_values = true)]
    pub stuck_after: Option<String>,
    /// How long work in flight may take to end after SIGTERM [default: 30s]
    #[arg(long, value_name = "TIME", help_heading = "Transactions", allow_hyphen_values = true)]
    pub drain: Option<String>,
    /// Open transactions at most [default: 1000000]
    #[arg(long, value_name = "NUMBER", help_heading = "Transactions", allow_hyphen_values = true)]
    pub max_open: Option<String>,
    /// Memory of open transactions at most, roughly [default: 1GiB]
    #[arg(long, value_name = "SIZE", help_heading = "Transactions", allow_hyphen_values = true)]
    pub max_open_bytes: Option<String>,

    /// Logs on stderr for people or for programs: human or json [default: human]
    #[arg(long, value_name = "FORMAT", help_heading = "Logs")]
    pub log: Option<String>,
    /// trace, debug (every request), info, warn or error [default: info]
    #[arg(long, value_name = "LEVEL", help_heading = "Logs")]
    pub log_level: Option<String>,
    /// Log every request with its gid, status and time, at info: on or off [default: off]
    #[arg(long, value_name = "MODE", help_heading = "Logs")]
    pub access_log: Option<String>,
}

const AFTER_HELP: &str = "\
Every setting may also be a key of the --config file, such as
data_dir = \"/var/lib/unanim\", or a variable of the environment, such as
UNANIM_DATA_DIR=/var/lib/unanim (UNANIM_ALLOW separates with commas). The later
wins: file, environment, flags.

Not settings, the same everywhere: call 10 s unless the branch says otherwise,
connect 3 s, backoff 100 ms to 30 s, transaction deadline 60 s, a client's wait
at most 60 s, in flight per participant 64, request body 16 MiB, payload 1 MiB,
reply 64 KiB, branches 10,000, headers within 30 s, a body within 60 s.

Example:
  unanim serve --data-dir /var/lib/unanim --listen 10.1.2.3:8080 \\
               --token-file /etc/unanim/token \\
               --allow '*.shop.internal' --allow 10.0.0.0/8";

impl ServeArgs {
    /// What was given, by the names of the settings.
    pub(super) fn given(&self) -> Vec<(&'static str, Vec<String>)> {
        let singles = [
            ("listen", &self.listen),
            ("public_url", &self.public_url),
            ("tls_cert", &self.tls_cert),
            ("tls_key", &self.tls_key),
            ("token_file", &self.token_file),
            ("classic", &self.classic),
            ("ca_file", &self.ca_file),
            ("data_dir", &self.data_dir),
            ("commit", &self.commit),
            ("retention", &self.retention),
            ("classic_prepare_timeout", &self.classic_prepare_timeout),
            ("stuck_after", &self.stuck_after),
            ("drain", &self.drain),
            ("max_open", &self.max_open),
            ("max_open_bytes", &self.max_open_bytes),
            ("log", &self.log),
            ("log_level", &self.log_level),
            ("access_log", &self.access_log),
        ];
        let mut given: Vec<_> =
            singles.into_iter().filter_map(|(key, value)| Some((key, vec![value.clone()?]))).collect();
        if !self.allow.is_empty() {
            given.push(("allow", self.allow.clone()));
        }
        given
    }
}
