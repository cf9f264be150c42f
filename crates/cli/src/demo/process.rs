//! A child process that is killed when its handle goes, or the whole demo, whatever the reason.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use unanim::http::Http;

use super::tether;

const POLL: Duration = Duration::from_millis(5);
const START_MAX: Duration = Duration::from_secs(10);
const END_MAX: Duration = Duration::from_secs(10);
const LAST_WORDS_MAX: usize = 2000;

/// Asks again and again until there is something; an error, naming what it waited for, after `limit`.
pub(super) async fn until<T>(
    what: &str,
    limit: Duration,
    mut poll: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = poll().await? {
            return Ok(value);
        }
        if Instant::now() > deadline {
            bail!("waited {} for {what}, in vain", humantime::format_duration(limit));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// This very program, with a subcommand that listens, started any number of times.
pub(super) struct Process {
    pub(super) name: &'static str,
    args: Vec<String>,
    /// Answers 200 once it serves.
    ready: String,
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    pub(super) fn new(name: &'static str, args: Vec<String>, ready: String, log: PathBuf) -> Self {
        Self { name, args, ready, log, child: None }
    }

    /// Starts it, with these arguments as well, and waits until it serves.
    pub(super) async fn start(&mut self, more: &[&str], http: &Http) -> anyhow::Result<()> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(program);
        command.args(&self.args).args(more).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // Settings of the caller's shell are not meant for these.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("UNANIM_") {
                command.env_remove(name);
            }
        }
        tether::tie(&mut command);
        self.child = Some(command.spawn().with_context(|| format!("cannot start {}", self.name))?);
        let what = format!("{} to serve", self.name);
        until(&what, START_MAX, async || {
            if let Some(status) = self.ended()? {
                bail!("{} ended at its start: {status}", self.name);
            }
            let answer = http.get(&self.ready, START_MAX).await;
            Ok(answer.ok().filter(|reply| reply.status.is_success()).map(drop))
        })
        .await
    }

    /// SIGKILL: it is gone when this returns.
    pub(super) fn kill9(&mut self) -> anyhow::Result<()> {
        let child = self.child.as_mut().with_context(|| format!("{} does not run", self.name))?;
        child.kill()?;
        child.wait()?;
        self.child = None;
        Ok(())
    }

    /// Waits until it has died by itself.
    pub(super) async fn died(&mut self) -> anyhow::Result<ExitStatus> {
        let what = format!("{} to end", self.name);
        let status = until(&what, END_MAX, async || self.ended()).await?;
        self.child = None;
        Ok(status)
    }

    /// SIGTERM, and how it ended.
    pub(super) async fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        kill_process(self.pid().with_context(|| format!("{} does not run", self.name))?, Signal::TERM)?;
        self.died().await
    }

    /// The process id, while it runs.
    pub(super) fn pid(&self) -> Option<Pid> {
        self.child.as_ref().map(Pid::from_child)
    }

    /// The end of its log.
    pub(super) fn last_words(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(LAST_WORDS_MAX)..]).into_owned()
    }

    fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.child.as_mut().map_or(Ok(None), |child| Ok(child.try_wait()?))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended meanwhile.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
