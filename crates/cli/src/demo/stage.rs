//! The stage: a folder, four processes, and the ways to talk to them.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use tempfile::TempDir;
use unanim::Client;
use unanim::http::Http;

use super::process::Process;
use super::shop::Role;
use crate::participant::Books;

/// Ports below those that the kernel gives to outgoing connections: a connection could else sit on the port of a
/// service that is down for a moment.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
const READ_MAX: Duration = Duration::from_secs(5);
/// Far longer than an order takes, whoever dies meanwhile.
const CLIENT_PATIENCE: Duration = Duration::from_secs(10);

/// Everything that runs. Processes go first when it is dropped, the folder last.
pub(super) struct Stage {
    pub(super) coordinator: Process,
    pub(super) services: [Process; 3],
    pub(super) ports: [u16; 3],
    pub(super) url: String,
    http: Http,
    folder: PathBuf,
    _removed_at_the_end: Option<TempDir>,
}

impl Stage {
    /// Sets everything up; nothing runs yet.
    pub(super) fn new(keep: bool) -> anyhow::Result<Self> {
        let temp =
            tempfile::Builder::new().prefix("unanim-demo-").tempdir().context("cannot make a temporary folder")?;
        let (folder, removed) = if keep { (temp.keep(), None) } else { (temp.path().to_owned(), Some(temp)) };
        let [port, ports @ ..] = free_ports()?;
        let url = format!("http://127.0.0.1:{port}");
        let path = |name: &str| folder.join(name).display().to_string();
        let listen = |port: u16| ["--listen".to_owned(), format!("127.0.0.1:{port}"), "--data-dir".to_owned()];
        let mut args = vec!["serve".to_owned()];
        args.extend(listen(port));
        args.push(path("coordinator"));
        let coordinator = Process::new("coordinator", args, format!("{url}/readyz"), folder.join("coordinator.log"));
        let services = [0, 1, 2].map(|at: usize| {
            let (role, port) = (Role::ALL[at], ports[at]);
            let mut args = vec!["demo-participant".to_owned()];
            args.extend(listen(port));
            args.push(path(role.name()));
            args.extend(["--name".to_owned(), role.name().to_owned()]);
            args.extend(["--account".to_owned(), format!("{}={}", role.account(), role.first())]);
            args.extend(["--inquire-after".to_owned(), "500ms".to_owned()]);
            let log = folder.join(format!("{}.log", role.name()));
            Process::new(role.name(), args, format!("http://127.0.0.1:{port}/livez"), log)
        });
        let http = Http::new(None)?;
        Ok(Self { coordinator, services, ports, url, http, folder, _removed_at_the_end: removed })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The coordinator's front door.
    pub(super) fn door(&self) -> anyhow::Result<Client> {
        Ok(Client::builder().http(self.http.clone()).build([&self.url])?.with_patience(CLIENT_PATIENCE))
    }

    pub(super) async fn start_coordinator(&mut self) -> anyhow::Result<()> {
        self.coordinator.start(&[], &self.http).await
    }

    pub(super) async fn start(&mut self, role: Role, more: &[&str]) -> anyhow::Result<()> {
        self.services[role as usize].start(more, &self.http).await
    }

    /// Stops a service as an operator would, and starts it again with these arguments as well.
    pub(super) async fn restart(&mut self, role: Role, more: &[&str]) -> anyhow::Result<()> {
        self.services[role as usize].stop().await?;
        self.start(role, more).await
    }

    pub(super) async fn books(&self, role: Role) -> anyhow::Result<Books> {
        let url = format!("http://127.0.0.1:{}/books", self.ports[role as usize]);
        let reply = self.http.get(&url, READ_MAX).await.map_err(anyhow::Error::from);
        let reply = reply.with_context(|| format!("cannot read the books of {}", role.name()))?;
        serde_json::from_slice(&reply.body).with_context(|| format!("the books of {} cannot be read", role.name()))
    }

    /// The ends of all logs.
    pub(super) fn logs(&self) -> impl Iterator<Item = (&'static str, String)> {
        std::iter::once(&self.coordinator).chain(&self.services).map(|process| (process.name, process.last_words()))
    }
}

/// Four ports on which nobody listens.
fn free_ports() -> anyhow::Result<[u16; 4]> {
    let span = PORTS.end - PORTS.start;
    let random = uuid::Uuid::new_v4().as_u128();
    let first = (random % u128::from(span)) as u16;
    // Held together until all are found, so that they differ.
    let mut found = Vec::new();
    for step in 0..span {
        let port = PORTS.start + (first + step) % span;
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            found.push((port, listener));
        }
        if let [(a, _), (b, _), (c, _), (d, _)] = found[..] {
            return Ok([a, b, c, d]);
        }
    }
    bail!("there are no four free ports from {} to {}", PORTS.start, PORTS.end)
}
