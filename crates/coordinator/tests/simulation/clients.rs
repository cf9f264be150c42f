//! Those who ask: each client goes through its script, the same request again until it is answered; others look around.
use crate::agenda::{Event, Place};
use crate::participants::{READ_ONLY, REFUSES, V1, participant};
use crate::world::{FAULTS_END, NODES, Small, World, fnv};
use std::sync::Arc;
use unanim_coordinator::{Answer, Begin, Refusal, Request, Ticket, Wait};
use unanim_engine::{
    BranchId, BranchSpec, Callee, Decision, Dialect, Gid, Mode, Outcome, Phase, Resolution, RetryOverride, RetryPolicy,
    Target,
};

/// A client waits so long for one answer.
const CLIENT_TIMEOUT: u64 = 2_000;

pub(crate) struct Client {
    pub(crate) gid: Gid,
    script: Vec<Request>,
    at: usize,
    /// Answers since it knows the end.
    later: u32,
    pub(crate) gone: bool,
    pub(crate) ended: bool,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) enum By {
    Client(usize),
    Branch(BranchId),
    Nobody,
}

pub(crate) struct Asked {
    by: By,
    pub(crate) gid: Gid,
    pub(crate) request: Request,
    /// The tick at which it was sent.
    pub(crate) invoked: u64,
    answered: bool,
    pub(crate) delivered: bool,
    /// In a lane's hands, under this ticket.
    pub(crate) inside: Option<(Place, Ticket)>,
}

pub(crate) fn gid(name: &str) -> Gid {
    Gid::new(name).expect("a name")
}

fn branch_id(name: &str) -> BranchId {
    BranchId::new(name).expect("a name")
}

/// A branch that a participant is asked for; where more may join, its digest tells it from others.
pub(crate) fn branch(name: &str, number: u64, payload: Option<&'static [u8]>, call_timeout_ms: u32) -> BranchSpec {
    let classic = number >= V1;
    BranchSpec::new(
        branch_id(name),
        Callee {
            participant: participant(number),
            target: Target::One(format!("http://p{number}:5000/tx").into()),
            dialect: if classic { Dialect::Classic } else { Dialect::V1 },
            call_timeout_ms,
            retry: None,
            refused_statuses: [409, 422].into(),
            one_phase: false,
        },
        payload.map(Box::from),
    )
}

/// The same, called in another way.
fn called(mut spec: BranchSpec, change: impl FnOnce(&mut Callee)) -> BranchSpec {
    change(Arc::make_mut(&mut spec.callee));
    spec
}

fn begin(name: &Gid, branches: &[Arc<BranchSpec>], start: bool, timeout_ms: u64, wait: Option<Wait>) -> Begin {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&fnv(0, name.as_str().as_bytes()).to_le_bytes());
    let retry = RetryPolicy { first_ms: 100, max_ms: 2_000 };
    let branches = branches.to_vec();
    Begin { mode: Mode::TwoPhase, digest, timeout_ms, retry, branches, start, fresh: false, wait }
}

impl World {
    pub(crate) fn populate(&mut self) {
        self.populate_participants();
        for number in 0..self.scenario.transactions {
            let client = self.client(gid(&format!("g{number}")));
            self.clients.push(client);
            let at = self.choices.below(FAULTS_END * 3 / 4);
            self.at(at, Event::ClientStep(number));
            let at = self.choices.below(FAULTS_END * 2);
            self.at(at, Event::Probe);
        }
    }

    /// One small transaction and its client.
    pub(crate) fn populate_script(&mut self) {
        let (name, small) = (gid("g"), self.scenario.small);
        let refuses = matches!(small, Small::No | Small::Classic).then_some(REFUSES);
        let (first, second) = if small == Small::Classic { (V1, V1 + 1) } else { (0, 1) };
        let one_phase = small == Small::OnePhase;
        let b0 = Arc::new(called(branch("b0", first, None, 400), |callee| callee.one_phase = one_phase));
        let b1 = Arc::new(branch("b1", second, refuses, 400));
        // A vote that is lost is asked for again once before the deadline has passed.
        let begin = |branches: &[_], start| {
            Request::Begin(Box::new(begin(&name, branches, start, 520, start.then_some(Wait::Finished))))
        };
        let commit = Request::Decide {
            decision: Decision::Commit,
            branches: vec![],
            timeout_ms: None,
            wait: Some(Wait::Finished),
        };
        let script = match small {
            Small::Yes | Small::No | Small::Rollback | Small::Classic => vec![begin(&[b0, b1], true)],
            Small::OnePhase => vec![begin(&[b0], true)],
            Small::Steps => vec![begin(&[b0], false), Request::Join(vec![b1], None), commit],
        };
        self.clients.push(Client { gid: name, script, at: 0, later: 0, gone: false, ended: false });
        self.at(200, Event::ClientStep(0));
        if small == Small::Rollback {
            self.at(210, Event::Probe);
        }
    }

    fn branches(&mut self, one_phase: bool, classic: bool) -> Vec<Arc<BranchSpec>> {
        let count = if one_phase { 1 } else { 1 + self.choices.below(4) };
        let new = |number: u64, world: &mut World| {
            let who = match classic {
                true => V1,
                false if one_phase => world.choices.below(V1),
                false if world.choices.permille(world.mood.classic) => V1,
                false => world.choices.below(V1),
            };
            let payload = (who < V1 && !one_phase && world.choices.permille(120)).then_some(READ_ONLY);
            let timeout = 300 + world.choices.below(1_200) as u32;
            let retry =
                world.choices.permille(300).then(|| Box::new(RetryOverride { first_ms: Some(50), max_ms: Some(500) }));
            let spec = branch(&format!("b{number}"), who, payload, timeout);
            let digest = (!world.choices.permille(500)).then_some([number as u8; 32]);
            // With several branches the wish is ignored.
            let one_phase = one_phase || (who < V1 && world.choices.permille(100));
            let spec = called(spec, |callee| (callee.retry, callee.one_phase) = (retry, one_phase));
            Arc::new(match digest {
                Some(digest) => spec.with_digest(digest),
                None => spec,
            })
        };
        (0..count).map(|number| new(number, self)).collect()
    }

    fn client(&mut self, gid: Gid) -> Client {
        let wish = if self.choices.permille(880) { Decision::Commit } else { Decision::Rollback };
        let wait = self.choices.pick(&[None, Some(Wait::Decided), Some(Wait::Finished), Some(Wait::Heard)]);
        let timeout = 800 + self.choices.below(8_000);
        let votes = self.choices.permille(300).then(|| 500 + self.choices.below(3_000));
        let kind = self.choices.below(10);
        let branches = self.branches(kind == 0, kind == 9);
        let decide = |branches: &[Arc<BranchSpec>]| Request::Decide {
            decision: wish,
            branches: branches.to_vec(),
            timeout_ms: votes,
            wait,
        };
        let begun = |branches: &[Arc<BranchSpec>], start| begin(&gid, branches, start, timeout, wait.filter(|_| start));
        let script = match kind {
            0..5 => vec![Request::Begin(Box::new(begun(&branches, true)))],
            // In steps: begin with some, add the others one by one, decide.
            5..8 => {
                let first = self.choices.below(branches.len() as u64 + 1) as usize;
                let joined = self.choices.below((branches.len() - first) as u64 + 1) as usize;
                let (first, rest) = branches.split_at(first);
                let begin = Request::Begin(Box::new(begun(first, false)));
                let joins = rest[..joined].iter().map(|spec| Request::Join(vec![spec.clone()], None));
                [begin].into_iter().chain(joins).chain([decide(&rest[joined..])]).collect()
            }
            // As the classic door does: a gid of its own, everything else with the wish.
            8 | 9 => {
                let begin = Begin { fresh: true, ..begun(&[], false) };
                vec![Request::Begin(Box::new(begin)), decide(&branches)]
            }
            _ => unreachable!("ten kinds"),
        };
        Client { gid, script, at: 0, later: 0, gone: false, ended: false }
    }

    pub(crate) fn ask(&mut self, by: By, gid: Gid, request: Request) {
        self.choices.begin();
        let asked = self.asked.len();
        let patient = matches!(by, By::Client(_)) || matches!(request, Request::Follow { .. });
        self.asked.push(Asked {
            by,
            gid,
            request,
            invoked: self.tick,
            answered: false,
            delivered: false,
            inside: None,
        });
        let node = self.some_node();
        for _ in 0..1 + u64::from(self.choices.permille(50)) {
            self.send(Event::Request { asked, node });
        }
        if patient {
            self.after(CLIENT_TIMEOUT, Event::ClientTimeout(asked));
        }
    }

    /// In a script the owner first.
    fn some_node(&mut self) -> usize {
        if !self.scripted() {
            return self.choices.below(NODES as u64) as usize;
        }
        let owner = self.nodes.iter().position(|n| n.up && Some(n.serial) == self.store.owner());
        (owner.unwrap_or(0) + self.choices.order(NODES)) % NODES
    }

    pub(crate) fn client_step(&mut self, client: usize) {
        let Client { gone, ended, at, later, .. } = self.clients[client];
        if gone || ended {
            return;
        }
        if self.faulty() && at > 0 && self.choices.permille(15) {
            self.clients[client].gone = true;
            return;
        }
        let gid = self.clients[client].gid.clone();
        let first = self.clients[client].script[0].clone();
        let request = match self.clients[client].script.get(at) {
            Some(request) => request.clone(),
            None if later == 0 => Request::Read,
            None => match (self.choices.below(4), first) {
                // The same again, for as long as it is kept: the same answer.
                (0, Request::Begin(begin)) => Request::Begin(Box::new(Begin { fresh: false, ..*begin })),
                (1, Request::Begin(begin)) => {
                    Request::Begin(Box::new(Begin { fresh: false, digest: [9; 32], ..*begin }))
                }
                (2, _) => Request::Inquire(None),
                _ => Request::Read,
            },
        };
        self.ask(By::Client(client), gid, request);
    }

    pub(crate) fn client_timeout(&mut self, asked: usize) {
        if std::mem::replace(&mut self.asked[asked].answered, true) {
            return;
        }
        // It hangs up, and its node may notice; or the front door has waited long enough for it.
        if let Some((place, ticket)) = self.asked[asked].inside {
            let gid = self.asked[asked].gid.clone();
            if self.choices.permille(500) {
                self.send(Event::Gone { place, ticket, gid });
            } else if self.choices.permille(700) {
                self.send(Event::Hurry { place, ticket, gid });
            }
        }
        let By::Client(client) = self.asked[asked].by else { return };
        if matches!(&self.asked[asked].request, Request::Begin(begin) if begin.fresh) {
            // It never learned the gid.
            self.clients[client].gone = true;
        }
        self.client_step(client);
    }

    pub(crate) fn answer_arrives(&mut self, asked: usize, answer: Answer) {
        self.learned(asked, &answer);
        if std::mem::replace(&mut self.asked[asked].answered, true) {
            return;
        }
        match self.asked[asked].by.clone() {
            By::Client(client) => self.client_answered(client, &answer),
            By::Branch(branch) => {
                let gid = self.asked[asked].gid.clone();
                self.inquiry_answered(&gid, &branch, &answer);
            }
            By::Nobody => {}
        }
    }

    fn client_answered(&mut self, index: usize, answer: &Answer) {
        let (calm, script) = (self.now > FAULTS_END, self.clients[index].script.len());
        let client = &mut self.clients[index];
        // A refused one has no gid to ask again with.
        client.gone |= matches!((client.script.get(client.at), answer), (Some(Request::Begin(begin)), Answer::Refused(_)) if begin.fresh);
        let over = |client: &mut Client| client.at = client.at.max(script);
        match answer {
            Answer::Transaction(view) if matches!(view.phase, Phase::Committed | Phase::Aborted) => {
                over(client);
                client.later += 1;
            }
            Answer::Transaction(_) | Answer::Outcome(_) if client.later > 0 => client.later += 1,
            Answer::Transaction(_) | Answer::Outcome(_) | Answer::History { .. } => {
                client.at = (client.at + 1).min(script)
            }
            Answer::Refused(Refusal::GidConflict) if client.later > 0 => client.later += 1,
            Answer::Refused(refusal) if may_ask_again(refusal) => {}
            Answer::Refused(_) => over(client),
        }
        client.ended = client.later >= 4 || (client.later > 0 && (calm || self.choices.script().is_some()));
        let wait = 20 + self.choices.below(200) + if self.clients[index].at >= script { 500 } else { 0 };
        self.after(wait, Event::ClientStep(index));
    }

    /// Somebody asks something, right or wrong, about a transaction that is known by now, or about none.
    pub(crate) fn probe(&mut self) {
        if self.scripted() {
            let request =
                Request::Decide { decision: Decision::Rollback, branches: vec![], timeout_ms: None, wait: None };
            return self.ask(By::Nobody, gid("g"), request);
        }
        let many: Vec<_> = (0..9).map(|n| Arc::new(branch(&format!("m{n}"), 0, None, 500))).collect();
        let large = Arc::new(branch("large", 0, Some(&[b'x'; 65]), 500));
        let other = Arc::new(branch("b0", 2, Some(b"other"), 500).with_digest([77; 32]));
        let unknown = gid(&format!("x{}", self.asked.len()));
        let known = self.clients[self.choices.below(self.clients.len() as u64) as usize].gid.clone();
        let name = if self.store.kept.contains_key(&known) { known } else { unknown.clone() };
        let rollback = Request::Decide {
            decision: Decision::Rollback,
            branches: vec![],
            timeout_ms: None,
            wait: Some(Wait::Decided),
        };
        let commit = |branches| Request::Decide { decision: Decision::Commit, branches, timeout_ms: None, wait: None };
        let refused = |branches: &[_]| Request::Begin(Box::new(begin(&unknown, branches, true, 1_000, None)));
        let (name, request) = match self.choices.below(34) {
            0..4 => (name, Request::Read),
            20..22 => (name, Request::Retry),
            26..34 => {
                let outcome = self.choices.pick(&[Outcome::Committed, Outcome::Aborted]);
                let said = Resolution::new(outcome, None, Some("ops")).expect("short enough");
                // In one phase a person's word may be the decision; few are open at a time.
                let mut kept = self.store.kept.iter();
                let one_phase = kept.find(|(_, kept)| kept.txn.one_phase() && kept.txn.phase == Phase::Preparing);
                match one_phase.map(|(gid, _)| gid.clone()).filter(|_| self.choices.permille(500)) {
                    Some(gid) => (gid, Request::Resolve(branch_id("b0"), said)),
                    None => (name, Request::Resolve(branch_id(&format!("b{}", self.choices.below(5))), said)),
                }
            }
            22..26 => {
                let after = self.choices.pick(&[0, 1, 3, 6, 1_000]);
                (name, Request::Follow { after, wait: self.choices.permille(800) })
            }
            4..6 => (name, Request::Inquire(None)),
            6..8 => (name, Request::Inquire(Some(branch_id("b0")))),
            8 => (name, Request::Inquire(Some(branch_id("never joined")))),
            9..11 => (name, Request::Join(vec![other], None)),
            11 => (name, Request::Join(many, None)),
            12 => (name, Request::Join(vec![large], None)),
            13 => (name, commit(vec![])),
            14 => (name, rollback),
            15 => (
                name.clone(),
                Request::Begin(Box::new(Begin { digest: [8; 32], ..begin(&name, &many[..1], true, 1_000, None) })),
            ),
            16 => (unknown.clone(), refused(&many)),
            17 => (unknown.clone(), refused(&[large])),
            18 => (unknown.clone(), refused(&[])),
            _ => (unknown, Request::Read),
        };
        self.ask(By::Nobody, name, request);
    }

    /// Any node may answer an inquiry from one linearizable read, owner or not.
    pub(crate) fn read_arrives(&mut self, asked: usize) {
        let Request::Inquire(branch) = &self.asked[asked].request else { return };
        let answer = match (self.store.txn(&self.asked[asked].gid), branch) {
            (None, None) => Answer::Refused(Refusal::NotFound),
            (None, Some(_)) => Answer::Outcome(Some(Outcome::Aborted)),
            (Some(txn), Some(id)) if txn.phase != Phase::Active && txn.find(id).is_none() => {
                Answer::Outcome(Some(Outcome::Aborted))
            }
            (Some(txn), _) => Answer::Outcome(txn.outcome()),
        };
        self.send(Event::Answer { asked, answer });
    }
}

fn may_ask_again(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::Unavailable
        | Refusal::Loading
        | Refusal::TooManyOpen
        | Refusal::NotAdmitted(_)
        | Refusal::NotFound => true,
        Refusal::GidConflict | Refusal::BranchConflict(_) | Refusal::Closed(_) | Refusal::AlreadyDecided(_) => false,
        Refusal::OnePhase | Refusal::NotDecided(_) | Refusal::NoSuchBranch(_) | Refusal::BranchEnded(..) => false,
        Refusal::NoBranches | Refusal::TooManyBranches(_) | Refusal::PayloadTooLarge(..) => false,
    }
}
