//! A lane that is handed one input after the other, and the words for its outputs.
use std::sync::Arc;
use unanim_coordinator::{
    Answer, Batch, Begin, Call, Input, Lane, Loading, Output, Refusal, Request, Saved, Settings, Stored, Ticket, View,
    Wait,
};
use unanim_engine::{
    BranchId, BranchSpec, Callee, Dialect, Gid, Mode, Op, Participant, Reply, RetryPolicy, Target, Timestamp,
};

pub(crate) const FENCE: u64 = 7;

pub(crate) struct Bench {
    pub(crate) lane: Lane,
    pub(crate) now: Timestamp,
}

pub(crate) fn gid(name: &str) -> Gid {
    Gid::new(name).expect("a name")
}

pub(crate) fn spec(id: &str) -> Arc<BranchSpec> {
    Arc::new(BranchSpec::new(
        BranchId::new(id).expect("a name"),
        Callee {
            participant: Participant::new("http://p:1").expect("a name"),
            target: Target::One("http://p:1/tx".into()),
            dialect: Dialect::V1,
            call_timeout_ms: 10_000,
            retry: None,
            refused_statuses: Box::new([409, 422]),
            one_phase: false,
        },
        None,
    ))
}

pub(crate) fn begin(digest: u8, branches: &[&str], start: bool, wait: Option<Wait>) -> Request {
    Request::Begin(Box::new(Begin {
        mode: Mode::TwoPhase,
        digest: [digest; 32],
        timeout_ms: 60_000,
        retry: RetryPolicy::default(),
        branches: branches.iter().map(|id| spec(id)).collect(),
        start,
        fresh: true,
        wait,
    }))
}

/// The same with a gid that a client has chosen.
pub(crate) fn begin_known(digest: u8, wait: Option<Wait>) -> Request {
    match begin(digest, &["a"], true, wait) {
        Request::Begin(begin) => Request::Begin(Box::new(Begin { fresh: false, ..*begin })),
        other => other,
    }
}

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Bench {
        let mut bench = Bench { lane: Lane::new(settings, [1, 2], FENCE), now: Timestamp(1_000) };
        assert_eq!(bench.handle(Input::Loaded(Vec::new(), Loading::Over)), []);
        bench
    }

    pub(crate) fn handle(&mut self, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.lane.handle(input, self.now, &mut out);
        out
    }

    pub(crate) fn request(&mut self, ticket: u64, name: &str, request: Request) -> Vec<Output> {
        self.handle(Input::Request(Ticket(ticket), gid(name), request))
    }

    /// The batch that is cut now.
    pub(crate) fn cut(&mut self) -> Option<Batch> {
        let mut out = Vec::new();
        self.lane.flush(self.now, &mut out);
        match out.pop() {
            Some(Output::Save(batch)) if out.is_empty() => Some(batch),
            None => None,
            other => panic!("a cut gives one batch, not {other:?}"),
        }
    }

    pub(crate) fn applied(&mut self) -> Vec<Output> {
        self.handle(Input::Saved(Saved::Applied))
    }

    /// Begun, and every branch has said yes; the commit calls.
    pub(crate) fn decided(&mut self, name: &str, branches: &[&str], wait: Option<Wait>) -> Vec<Call> {
        self.request(1, name, begin(1, branches, true, wait));
        self.cut().expect("begun");
        for prepare in split(self.applied()).0 {
            self.reply(&prepare, Reply::Ok);
        }
        self.cut().expect("decided");
        split(self.applied()).0
    }

    pub(crate) fn reply(&mut self, call: &Call, reply: Reply) -> Vec<Output> {
        self.handle(Input::Replied(call.id.clone(), reply))
    }
}

pub(crate) fn calls(outputs: Vec<Output>) -> Vec<Call> {
    outputs
        .into_iter()
        .map(|output| match output {
            Output::Call(call) => call,
            other => panic!("expected calls only, not {other:?}"),
        })
        .collect()
}

/// Calls and the rest.
pub(crate) fn split(outputs: Vec<Output>) -> (Vec<Call>, Vec<Output>) {
    let (calls_only, rest) = outputs.into_iter().partition(|o| matches!(o, Output::Call(_)));
    (calls(calls_only), rest)
}

pub(crate) fn asked(calls: &[Call]) -> Vec<(u32, Op, u32)> {
    calls.iter().map(|c| (c.id.branch, c.id.op, c.id.attempt)).collect()
}

pub(crate) fn told(outputs: &[Output]) -> (Ticket, &View) {
    match outputs {
        [Output::Answer(ticket, Answer::Transaction(view))] => (*ticket, view),
        other => panic!("expected one answer, not {other:?}"),
    }
}

pub(crate) fn refused(ticket: u64, refusal: Refusal) -> Vec<Output> {
    vec![Output::Answer(Ticket(ticket), Answer::Refused(refusal))]
}

/// What a store would hand in after these batches.
pub(crate) fn stored(batches: &[&Batch], name: &str) -> Stored {
    let records: Vec<_> = batches.iter().flat_map(|b| &b.records).filter(|r| r.gid == gid(name)).collect();
    let body = records.iter().find_map(|r| r.body.as_deref()).expect("the first record has the body");
    Stored::decode(body, records.iter().map(|r| &r.change[..]).filter(|c| !c.is_empty())).expect("our own records")
}
