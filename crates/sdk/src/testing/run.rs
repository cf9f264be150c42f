//! One sequence of steps, checked after each.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use unanim_api::names::op_name;

use super::step::{Answer, Stands, Step, next, wrong};
use super::{NAMES, Subject};
use crate::participant::{Call, InDoubt, Mark, Op, ResourceManager};

/// How often *not now* is taken for an answer.
const AGAIN_MAX: usize = 500;
const AGAIN_AFTER: Duration = Duration::from_millis(10);
const INQUIRY: &str = "http://coordinator.invalid/v1/transactions/exercise/outcome?store=exercise&key=0";
const STORE: &str = "exercise";
const OTHER_INQUIRY: &str = "http://other.invalid/v1/transactions/exercise/outcome?store=other&key=0";
const OTHER_STORE: &str = "other";

/// What the subject shows when this many branches are prepared and this many committed, and which steps showed it.
pub(super) struct References<T>(BTreeMap<(usize, usize), (T, String)>);

impl<T> Default for References<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: PartialEq + std::fmt::Debug> References<T> {
    /// The usual ways first, so that what strays is compared with them.
    pub(super) async fn learn<S: Subject<State = T>>(&mut self, subject: &mut S) {
        let mut run = Run::start(subject, &NAMES[..1], "the usual way".into()).await;
        run.check(self).await;
        run.step(0, Step::Once(Op::Prepare), self).await;
        run.step(0, Step::Once(Op::Commit), self).await;
        let (nothing, committed) = (&self.0[&(0, 0)].0, &self.0[&(0, 1)].0);
        assert!(
            nothing != committed,
            "Subject::state shows {nothing:?} before and after a commit: then a second one would not show either"
        );
    }
}

/// A subject, its manager while it is open, and what was done so far.
pub(super) struct Run<'a, S: Subject> {
    subject: &'a mut S,
    manager: Option<S::Manager>,
    names: &'static [(&'static str, &'static str)],
    stands: Vec<Stands>,
    what: String,
    done: Vec<String>,
}

impl<'a, S: Subject> Run<'a, S> {
    pub(super) async fn start(
        subject: &'a mut S,
        names: &'static [(&'static str, &'static str)],
        what: String,
    ) -> Self {
        subject.fresh().await;
        let manager = Some(subject.open().await);
        Self { subject, manager, names, stands: vec![Stands::Unknown; names.len()], what, done: Vec::new() }
    }

    /// Does it, and looks at everything.
    pub(super) async fn step(&mut self, branch: usize, step: Step, references: &mut References<S::State>) {
        let of = if self.names.len() > 1 && step != Step::Restart {
            format!(" of {:?}", self.names[branch])
        } else {
            String::new()
        };
        self.done.push(format!("{step}{of}"));
        let before = self.stands[branch];
        match step {
            Step::Once(op) => {
                let answer = self.asked(&self.usual(op, branch)).await;
                self.judge(op, before, &answer);
                self.stands[branch] = next(op, before);
            }
            Step::Refused => self.refused(branch).await,
            Step::Told(op) => self.told(op, branch).await,
            Step::Foreign => self.foreign(branch).await,
            Step::Twice(op) => {
                let call = self.usual(op, branch);
                let (one, two) = tokio::join!(self.ask(&call), self.ask(&call));
                let heard: Vec<_> = [one, two].into_iter().filter(|answer| !answer.is_not_now()).collect();
                // Both may find the other in their way.
                let heard = if heard.is_empty() { vec![self.asked(&call).await] } else { heard };
                heard.iter().for_each(|answer| self.judge(op, before, answer));
                self.stands[branch] = next(op, before);
            }
            Step::Cut(op, after) => {
                cut(self.ask(&self.usual(op, branch)), after).await;
                self.restart().await;
                self.stands[branch] = self.found(branch, before, next(op, before)).await;
            }
            Step::Restart => self.restart().await,
        }
        self.check(references).await;
    }

    /// What is seen is what was answered, no more and no less.
    pub(super) async fn check(&mut self, references: &mut References<S::State>) {
        let held = self.held().await;
        for (at, (gid, branch)) in self.names.iter().enumerate() {
            let listed = held.iter().find(|doubt| doubt.gid == *gid && doubt.branch == *branch);
            match (self.stands[at], listed) {
                (Stands::Prepared, None) => {
                    self.fail(&format!("{gid:?}, branch {branch:?}, was promised, and in_doubt does not list it"))
                }
                (Stands::Prepared, Some(doubt)) if doubt.inquiry.as_deref() != Some(INQUIRY) => {
                    self.fail("the URL to ask in doubt was not kept with the prepared state")
                }
                (Stands::Prepared, Some(_)) => {}
                (Stands::Unknown | Stands::Committed | Stands::RolledBack, Some(_)) => {
                    self.fail(&format!("{gid:?}, branch {branch:?}, is not prepared, and in_doubt lists it"))
                }
                (Stands::Unknown | Stands::Committed | Stands::RolledBack, None) => {}
            }
        }
        let count = |wanted: Stands| self.stands.iter().filter(|stands| **stands == wanted).count();
        let key = (count(Stands::Prepared), count(Stands::Committed));
        let manager = self.manager.as_ref().expect("it is open");
        let state = self.subject.state(manager).await;
        match references.0.get(&key) {
            None => drop(references.0.insert(key, (state, self.story()))),
            Some((expected, _)) if state == *expected => {}
            Some((expected, first)) => self.fail(&format!(
                "with {} prepared and {} committed, it shows\n  {state:?}\nbut after [{first}] it showed\n  {expected:?}",
                key.0, key.1
            )),
        }
    }

    fn call(&self, op: Op, branch: usize, payload: Bytes) -> Call {
        let (gid, branch) = self.names[branch];
        let mut call = Call::new(op, gid, branch).with_payload(payload).with_inquiry(Some(INQUIRY.to_owned()));
        // Each step is a later call than the one before.
        call.mark = Some(Mark { store: STORE.to_owned(), fence: 1, attempt: self.done.len() as u64 });
        call
    }

    /// Refused for good: no rollback follows. A call that comes late finds a world in which it could be done, which is
    /// played by the payload that can. Of a branch that is held or committed this would be no call of a coordinator.
    async fn refused(&mut self, branch: usize) {
        let stands = self.stands[branch];
        let Some(payload) = self.subject.refused().filter(|_| matches!(stands, Stands::Unknown | Stands::RolledBack))
        else {
            return;
        };
        let answer = self.asked(&self.call(Op::CommitOnePhase, branch, payload)).await;
        if !answer.is_no() {
            self.fail(&format!("the answer is {}, but: the payload must be refused", answer.told()));
        }
        self.stands[branch] = Stands::RolledBack;
    }

    /// Of a branch that is not held nobody would ask.
    async fn told(&mut self, op: Op, branch: usize) {
        let stands = self.stands[branch];
        if stands != Stands::Prepared {
            return;
        }
        let (gid, id) = self.names[branch];
        let answer = self.asked(&Call::new(op, gid, id)).await;
        if !answer.is_yes() {
            self.fail(&format!(
                "the answer is {}, but: what asking in doubt brought has no payload, URL or mark, and must do all the same: \
                 keep what you need with what is prepared",
                answer.told()
            ));
        }
        self.stands[branch] = next(op, stands);
    }

    /// Two coordinators were given the same gid. What was promised to one is not for the other to end, nor to be told yes
    /// about; that it stays as it is, is seen by the check after the step.
    async fn foreign(&mut self, branch: usize) {
        if self.stands[branch] != Stands::Prepared {
            return;
        }
        for op in [Op::Prepare, Op::Commit, Op::Rollback, Op::CommitOnePhase] {
            let mut call = self.usual(op, branch).with_inquiry(Some(OTHER_INQUIRY.to_owned()));
            call.mark = Some(Mark { store: OTHER_STORE.to_owned(), ..call.mark.expect("each has one") });
            let answer = self.asked(&call).await;
            if !answer.is_no() {
                self.fail(&format!(
                    "the answer to {} is {}, but: the branch is held for a coordinator with another store: a conflict",
                    op_name(op),
                    answer.told()
                ));
            }
        }
    }

    /// With the payload that can be done.
    fn usual(&self, op: Op, branch: usize) -> Call {
        self.call(op, branch, self.subject.payload())
    }

    async fn ask(&self, call: &Call) -> Answer {
        let manager = self.manager.as_ref().expect("it is open");
        match call.op {
            Op::Prepare => Answer::Vote(manager.prepare(call).await),
            Op::CommitOnePhase => Answer::Vote(manager.commit_one_phase(call).await),
            Op::Commit => Answer::Ack(manager.commit(call).await),
            Op::Rollback => Answer::Ack(manager.rollback(call).await),
        }
    }

    /// As a coordinator asks: again, after *not now*.
    async fn asked(&self, call: &Call) -> Answer {
        for _ in 0..AGAIN_MAX {
            let answer = self.ask(call).await;
            if !answer.is_not_now() {
                return answer;
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
        self.fail("it says 'not now' for ever")
    }

    async fn restart(&mut self) {
        self.manager = None;
        self.manager = Some(self.subject.open().await);
    }

    async fn held(&self) -> Vec<InDoubt> {
        let manager = self.manager.as_ref().expect("it is open");
        match manager.in_doubt(Duration::ZERO, usize::MAX).await {
            Ok(held) => held,
            Err(error) => self.fail(&format!("in_doubt: {error}")),
        }
    }

    /// Which of the two it is: nobody heard the answer. A prepared one is listed; else repeating what was cut off tells.
    async fn found(&self, branch: usize, before: Stands, after: Stands) -> Stands {
        let (gid, id) = self.names[branch];
        let listed = self.held().await.iter().any(|doubt| doubt.gid == gid && doubt.branch == id);
        match (before, after) {
            (before, after) if before == after => before,
            (Stands::Prepared, after) => {
                if listed {
                    Stands::Prepared
                } else {
                    after
                }
            }
            (before, Stands::Prepared) => {
                if listed {
                    Stands::Prepared
                } else {
                    before
                }
            }
            // A rollback of what was never seen: done or not, it shows nothing, so it is asked for again.
            (before, after) => {
                let answer = self.asked(&self.usual(Op::Rollback, branch)).await;
                self.judge(Op::Rollback, before, &answer);
                after
            }
        }
    }

    fn judge(&self, op: Op, stands: Stands, answer: &Answer) {
        if let Some(why) = wrong(op, stands, answer) {
            self.fail(&format!("the answer is {}, but: {why}", answer.told()));
        }
    }

    fn story(&self) -> String {
        self.done.join(", ")
    }

    fn fail(&self, why: &str) -> ! {
        panic!("after [{}] ({}): {why}", self.story(), self.what)
    }
}

/// Drops it once it has waited this many times, or when it is through.
async fn cut<F: Future>(work: F, after: u32) {
    let mut work = pin!(work);
    let mut waited = 0;
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(_) => Poll::Ready(()),
        Poll::Pending => {
            waited += 1;
            if waited >= after { Poll::Ready(()) } else { Poll::Pending }
        }
    })
    .await;
}
