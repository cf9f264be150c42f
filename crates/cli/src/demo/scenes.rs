//! The scenes, one function each, in the order in which they are played.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio::task::{JoinHandle, JoinSet};
use unanim::{Client, Outcome, Submission, Transaction, Wait};

use super::books::{Outcomes, audit};
use super::narrator::Narrator;
use super::process::until;
use super::shop::{PER_ORDER, PRICE, Role, order};
use super::stage::Stage;

/// How long anything may take: far longer than it does.
const LIMIT: Duration = Duration::from_secs(10);
const TOO_DEAR: i64 = 1_000_000;
const AT_ONCE: usize = 100;

/// The play: a stage, and what happened on it so far.
pub(super) struct Play<'a> {
    stage: &'a mut Stage,
    narrator: &'a Narrator,
    outcomes: Outcomes,
    began: Instant,
}

impl<'a> Play<'a> {
    pub(super) fn new(stage: &'a mut Stage, narrator: &'a Narrator) -> Self {
        Self { stage, narrator, outcomes: Outcomes::new(), began: Instant::now() }
    }

    /// All of it; an error says what was not as it has to be.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        self.raise_the_curtain().await?;
        self.narrator.scene(1, "An order that commits");
        self.commits().await?;
        self.narrator.scene(2, "An order that payment refuses");
        self.refused().await?;
        self.narrator.scene(3, "Stock is killed right after its vote, and comes back");
        self.participant_killed().await?;
        self.narrator.scene(4, "The coordinator is killed when it has decided and nobody knows yet");
        self.coordinator_killed().await?;
        self.narrator.scene(5, "A hundred orders at once");
        self.hundred().await?;
        self.narrator.scene(6, "The books");
        self.books().await
    }

    async fn raise_the_curtain(&mut self) -> anyhow::Result<()> {
        self.narrator.title(
            "Unanim: either every service commits, or none does, whatever crashes in between.",
            &["A shop of three services, each with its own database, and one coordinator; all are processes of their own."],
        );
        self.stage.start_coordinator().await?;
        for role in Role::ALL {
            self.stage.start(role, &[]).await?;
        }
        let pid = |process: &super::process::Process| process.pid().map_or(0, |pid| pid.as_raw_nonzero().get());
        self.narrator.say(&format!("coordinator  {}  process {}", self.stage.url, pid(&self.stage.coordinator)));
        for (role, port) in Role::ALL.into_iter().zip(self.stage.ports) {
            let (service, first) = (&self.stage.services[role as usize], role.first());
            let (name, account) = (role.name(), role.account());
            self.narrator
                .say(&format!("{name:<11}  http://127.0.0.1:{port}  process {}, {account}: {first}", pid(service)));
        }
        self.narrator.say(&format!("an order is {PER_ORDER} widgets for {PRICE} of Alice's money"));
        Ok(())
    }

    async fn commits(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        let ended = submit(self.stage.door()?, order("order-1", PRICE, self.stage.ports)).await?;
        self.expect(&ended, Outcome::Committed)?;
        self.narrator.tick(&format!("prepared by all three, decided, committed by all three, in {}", millis(began)));
        self.tick_states("order-1", "committed").await
    }

    async fn refused(&mut self) -> anyhow::Result<()> {
        let ended = submit(self.stage.door()?, order("order-2", TOO_DEAR, self.stage.ports)).await?;
        self.expect(&ended, Outcome::Aborted)?;
        let reason = ended.reason.context("an aborted order has no reason")?;
        let who = reason.branch.unwrap_or_default();
        ensure!(who == Role::Payment.name(), "{who:?} is told to have refused, and it was payment");
        self.narrator.tick(&format!("aborted: {who} refused, {}", reason.detail.unwrap_or(reason.code)));
        let books = self.stage.books(Role::Stock).await?;
        ensure!(books.held == 0, "stock still holds {}", books.held);
        self.narrator.tick("what stock and order had reserved is free again");
        Ok(())
    }

    async fn participant_killed(&mut self) -> anyhow::Result<()> {
        self.stage.restart(Role::Stock, &["--crash-after", "vote"]).await?;
        let waiting = self.submit_in_the_background("order-3")?;
        self.stage.services[Role::Stock as usize].died().await?;
        self.narrator.say("stock voted yes, and is dead (SIGKILL)");
        self.decided("order-3").await?;
        self.narrator.tick("all had voted yes, so it is committed, without stock");
        let door = self.stage.door()?;
        let tries = until("the coordinator to call stock in vain", LIMIT, async || {
            let view = door.get("order-3").await?;
            let stock = view.branches.into_iter().find(|branch| branch.id == Role::Stock.name());
            let stock = stock.context("order-3 has no branch stock")?;
            let code = stock.last.and_then(|last| last.code).filter(|code| code != "ok");
            Ok(code.filter(|_| stock.op.as_deref() == Some("commit")))
        });
        let code = tries.await?;
        self.narrator.say(&format!("the coordinator goes on calling it ({code})"));
        self.stage.start(Role::Stock, &[]).await?;
        let ended = finished(waiting).await?;
        self.expect(&ended, Outcome::Committed)?;
        self.tick_states("order-3", "committed").await
    }

    async fn coordinator_killed(&mut self) -> anyhow::Result<()> {
        for role in Role::ALL {
            self.stage.restart(role, &["--crash-after", "vote"]).await?;
        }
        let waiting = self.submit_in_the_background("order-4")?;
        for role in Role::ALL {
            self.stage.services[role as usize].died().await?;
        }
        self.narrator.say("order, stock and payment voted yes, and are dead: nobody is there to be told");
        self.decided("order-4").await?;
        self.stage.coordinator.kill9()?;
        self.narrator.say("the decision to commit is on the coordinator's disk; now it is dead too (SIGKILL)");
        for role in Role::ALL {
            self.stage.start(role, &[]).await?;
            let books = self.stage.books(role).await?;
            let state = books.transactions.get("order-4").map_or("nothing", String::as_str);
            ensure!(state == "prepared", "{} came back and says {state} of order-4", role.name());
        }
        let held = self.stage.books(Role::Stock).await?.held;
        self.narrator.tick(&format!("the services are back and still hold what they promised (stock: {held} widgets)"));
        self.stage.start_coordinator().await?;
        self.narrator.say("the coordinator is back");
        let ended = finished(waiting).await?;
        self.expect(&ended, Outcome::Committed)?;
        self.narrator.tick("the client, which had been asking all the time, is told: committed");
        self.tick_states("order-4", "committed").await
    }

    async fn hundred(&mut self) -> anyhow::Result<()> {
        let enough_for = self.stage.books(Role::Stock).await?.accounts[Role::Stock.account()] / PER_ORDER;
        self.narrator.say(&format!("{AT_ONCE} clients, and widgets for {enough_for} of them"));
        let began = Instant::now();
        let mut clients = JoinSet::new();
        let door = self.stage.door()?;
        for number in 0..AT_ONCE {
            let (door, ports) = (door.clone(), self.stage.ports);
            clients.spawn(async move { submit(door, order(&format!("rush-{number}"), PRICE, ports)).await });
        }
        let mut committed = 0;
        for ended in clients.join_all().await {
            let ended = ended?;
            ensure!(ended.finished_at.is_some(), "{} is {} after {LIMIT:?}", ended.gid, ended.phase);
            committed += i64::from(ended.outcome == Outcome::Committed);
            self.outcomes.insert(ended.gid, ended.outcome.to_string());
        }
        let took = millis(began);
        ensure!(committed == enough_for, "{committed} committed, and there were widgets for {enough_for}");
        let refused = AT_ONCE as i64 - committed;
        self.narrator.tick(&format!("{committed} committed and {refused} refused, none in between, in {took}"));
        Ok(())
    }

    async fn books(mut self) -> anyhow::Result<()> {
        let books = [
            self.stage.books(Role::Order).await?,
            self.stage.books(Role::Stock).await?,
            self.stage.books(Role::Payment).await?,
        ];
        let committed = self.outcomes.values().filter(|outcome| *outcome == "committed").count();
        self.narrator.row([&"", &"at first", &"now", &""]);
        for (role, books) in Role::ALL.into_iter().zip(&books) {
            let now = books.accounts.get(role.account()).copied().unwrap_or_default();
            let why = format!("{committed} orders of {:+}", role.change());
            self.narrator.row([&role.account(), &role.first(), &now, &why]);
        }
        let wrong = audit(&self.outcomes, &books);
        if !wrong.is_empty() {
            bail!("the books do not add up:\n     {}", wrong.join("\n     "));
        }
        self.narrator.tick(&format!("stock, money and orders agree on all {} orders", self.outcomes.len()));
        self.narrator.tick("nothing is held");
        self.lower_the_curtain().await
    }

    async fn lower_the_curtain(&mut self) -> anyhow::Result<()> {
        for process in std::iter::once(&mut self.stage.coordinator).chain(&mut self.stage.services) {
            let status = process.stop().await?;
            ensure!(status.success(), "{} was asked to end, and: {status}", process.name);
        }
        self.narrator.tick(&format!("everything ended cleanly; all of this took {}", millis(self.began)));
        Ok(())
    }

    /// The client of an order that takes longer: it goes on asking, whoever dies meanwhile.
    fn submit_in_the_background(&self, gid: &'static str) -> anyhow::Result<Waiting> {
        let body = order(gid, PRICE, self.stage.ports);
        Ok(Waiting(tokio::spawn(submit(self.stage.door()?, body))))
    }

    /// Polls the outcome until it is committed.
    async fn decided(&self, gid: &str) -> anyhow::Result<()> {
        let door = self.stage.door()?;
        let what = format!("{gid} to be decided");
        let outcome = until(&what, LIMIT, async || {
            let outcome = door.outcome(gid).await?;
            Ok((outcome != Outcome::Undecided).then_some(outcome))
        });
        let outcome = outcome.await?;
        ensure!(outcome == Outcome::Committed, "{gid} is {outcome}, and all had voted yes");
        Ok(())
    }

    fn expect(&mut self, ended: &Transaction, outcome: Outcome) -> anyhow::Result<()> {
        ensure!(ended.outcome == outcome, "{} is {}, and should be {outcome}", ended.gid, ended.outcome);
        ensure!(ended.finished_at.is_some(), "{} is {outcome}, and did not end in time", ended.gid);
        self.outcomes.insert(ended.gid.clone(), ended.outcome.to_string());
        Ok(())
    }

    async fn tick_states(&self, gid: &str, expected: &str) -> anyhow::Result<()> {
        for role in Role::ALL {
            let books = self.stage.books(role).await?;
            let state = books.transactions.get(gid).map_or("nothing", String::as_str);
            ensure!(state == expected, "{} says {state} of {gid}, and should say {expected}", role.name());
        }
        self.narrator.tick(&format!("the books of order, stock and payment say: {expected}"));
        Ok(())
    }
}

/// A client in the background; it ends with its handle.
struct Waiting(JoinHandle<anyhow::Result<Transaction>>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn submit(door: Client, order: Submission) -> anyhow::Result<Transaction> {
    Ok(door.submit(&order, Wait::Finished).await?)
}

async fn finished(mut waiting: Waiting) -> anyhow::Result<Transaction> {
    (&mut waiting.0).await?
}

fn millis(since: Instant) -> String {
    humantime::format_duration(Duration::from_millis(since.elapsed().as_millis() as u64)).to_string()
}
