//! What every transport must do: [`suite`] runs against each adapter. Shows by panicking what one does not.
use crate::ports::{Replies, Transport};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use unanim_coordinator::{Call, CallId};
use unanim_engine::{BranchId, BranchSpec, Callee, Dialect, Failure, Gid, Mode, Op, Participant, Reply, Target};

/// How a participant behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Says yes.
    Yes,
    /// Says no.
    No,
    /// Answers what means nothing.
    Nonsense,
    /// Takes the call and never answers.
    Silent,
    /// Takes the call and is gone without an answer.
    HangsUp,
    /// Says yes, and closes what it was called over.
    YesAndGone,
    /// Nobody is there.
    Absent,
}

/// Everything that a participant can do.
const MANNERS: [Manner; 7] =
    [Manner::Yes, Manner::No, Manner::Nonsense, Manner::Silent, Manner::HangsUp, Manner::YesAndGone, Manner::Absent];

/// Makes the transports and the participants that the suite tries.
pub trait Reaches {
    /// The adapter.
    type Transport: Transport + 'static;

    /// One that has made no call yet.
    fn transport(&mut self) -> impl Future<Output = Self::Transport>;

    /// The URL of a participant of this manner, which lives as long as the suite.
    fn participant(&mut self, manner: Manner) -> impl Future<Output = String>;
}

/// Everything that the port promises. Runs where `spawn_local` may be called.
///
/// # Panics
/// Where the transport does not keep it.
pub async fn suite(mut reaches: impl Reaches) {
    says_what_was_said(&mut reaches).await;
    ends_in_time(&mut reaches).await;
    impossible_targets(&mut reaches).await;
    many_at_once(&mut reaches).await;
    one_after_the_other(&mut reaches).await;
    calls_from_replies(&mut reaches).await;
    a_silent_one_delays_nobody(&mut reaches).await;
}

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(30);
/// A call's timeout where none is expected.
const AMPLE_MS: u32 = 20_000;
/// A call's timeout where one is.
const SHORT_MS: u32 = 300;

/// Makes calls and keeps what comes back.
struct Desk<T> {
    transport: Rc<T>,
    replies: Replies,
    /// A call is being handed over.
    inside: Rc<Cell<bool>>,
    got: Rc<RefCell<Vec<(CallId, Reply)>>>,
    came: Rc<Notify>,
    made: Cell<u32>,
}

impl<T: Transport> Desk<T> {
    async fn new(reaches: &mut impl Reaches<Transport = T>) -> Desk<T> {
        let (inside, got, came) =
            (Rc::new(Cell::new(false)), Rc::new(RefCell::new(Vec::new())), Rc::new(Notify::new()));
        let replies = Replies::new({
            let (inside, got, came) = (inside.clone(), got.clone(), came.clone());
            move |id, reply| {
                assert!(!inside.get(), "a reply from within call(): {id:?} {reply:?}");
                got.borrow_mut().push((id, reply));
                came.notify_one();
            }
        });
        Desk { transport: Rc::new(reaches.transport().await), replies, inside, got, came, made: Cell::new(0) }
    }

    fn call(&self, url: &str, timeout_ms: u32) -> CallId {
        self.made.set(self.made.get() + 1);
        let call = call(Target::One(url.into()), self.made.get(), timeout_ms);
        self.hand_over(call)
    }

    fn hand_over(&self, call: Call) -> CallId {
        let id = call.id.clone();
        self.inside.set(true);
        self.transport.call(call, &self.replies);
        self.inside.set(false);
        id
    }

    /// Waits until so many replies have come, and takes them.
    async fn replies(&self, count: usize) -> Vec<(CallId, Reply)> {
        let all = async {
            while self.got.borrow().len() < count {
                self.came.notified().await;
            }
        };
        let waited = timeout(LIMIT, all).await;
        assert!(waited.is_ok(), "{} replies to {count} calls", self.got.borrow().len());
        self.got.take()
    }

    async fn reply(&self, url: &str, timeout_ms: u32) -> Reply {
        let id = self.call(url, timeout_ms);
        let mut replies = self.replies(1).await;
        let (to, reply) = replies.pop().expect("one");
        assert_eq!((to, replies.len()), (id, 0));
        reply
    }

    /// No reply comes twice: after the last call's time is up, nothing more has come.
    async fn quiet(&self, silent: &str) {
        assert_eq!(self.reply(silent, SHORT_MS).await, Reply::unknown(Failure::Timeout));
        assert_eq!(self.got.take(), [], "a second reply to one call");
    }
}

fn call(target: Target, attempt: u32, timeout_ms: u32) -> Call {
    let participant = Participant::new("test://participant:1").expect("a name");
    let spec = BranchSpec::new(
        BranchId::new("stock").expect("a branch id"),
        Callee {
            participant: participant.clone(),
            target,
            dialect: Dialect::V1,
            call_timeout_ms: timeout_ms,
            retry: None,
            refused_statuses: [409, 422].into(),
            one_phase: false,
        },
        Some((&b"{\"account\":\"widgets\",\"amount\":-2}"[..]).into()),
    );
    let gid = Gid::new("order-17").expect("a gid");
    let id = CallId { gid, branch: 0, op: Op::Prepare, attempt, participant };
    Call { id, spec: Arc::new(spec), mode: Mode::TwoPhase, fence: 1, deadline_ms: 60_000 }
}

/// Whether a reply is what a participant of this manner meant.
fn fits(manner: Manner, reply: &Reply) -> bool {
    match (manner, reply) {
        (Manner::Yes | Manner::YesAndGone, reply) => *reply == Reply::Ok,
        (Manner::No, reply) => matches!(reply, Reply::Refused(_)),
        (Manner::Silent, reply) => *reply == Reply::unknown(Failure::Timeout),
        (Manner::Absent, reply) => *reply == Reply::unknown(Failure::Connect),
        (Manner::Nonsense | Manner::HangsUp, reply) => matches!(reply, Reply::Unknown { .. }),
    }
}

fn time_for(manner: Manner) -> u32 {
    if manner == Manner::Silent { SHORT_MS } else { AMPLE_MS }
}

async fn says_what_was_said(reaches: &mut impl Reaches) {
    let desk = Desk::new(reaches).await;
    for manner in MANNERS {
        let url = reaches.participant(manner).await;
        for _ in 0..3 {
            let reply = desk.reply(&url, time_for(manner)).await;
            assert!(fits(manner, &reply), "{manner:?}: {reply:?}");
        }
    }
    desk.quiet(&reaches.participant(Manner::Silent).await).await;
}

async fn ends_in_time(reaches: &mut impl Reaches) {
    let desk = Desk::new(reaches).await;
    let silent = reaches.participant(Manner::Silent).await;
    let begun = Instant::now();
    assert_eq!(desk.reply(&silent, SHORT_MS).await, Reply::unknown(Failure::Timeout));
    let took = begun.elapsed();
    let own = Duration::from_millis(SHORT_MS.into());
    assert!(took >= own.mul_f32(0.9) && took < own * 4, "{took:?} for a call that may take {own:?}");
    // No time at all is a time too.
    assert_eq!(desk.reply(&silent, 0).await, Reply::unknown(Failure::Timeout));
    desk.quiet(&silent).await;
}

async fn impossible_targets(reaches: &mut impl Reaches) {
    let desk = Desk::new(reaches).await;
    for url in ["", "nonsense", "no-such-scheme://host:1/", "http://", "http://user@host/", "http://[::1"] {
        let reply = desk.reply(url, AMPLE_MS).await;
        assert!(matches!(reply, Reply::Unknown { .. }), "{url}: {reply:?}");
    }
    let id = desk.hand_over(call(Target::Each([].into()), 99, AMPLE_MS));
    let replies = desk.replies(1).await;
    assert!(matches!(&*replies, [(to, Reply::Unknown { .. })] if *to == id), "no URL for the operation: {replies:?}");
    desk.quiet(&reaches.participant(Manner::Silent).await).await;
}

async fn many_at_once(reaches: &mut impl Reaches) {
    const EACH: usize = 60;
    let desk = Desk::new(reaches).await;
    let mut participants = Vec::new();
    for manner in MANNERS {
        participants.push((manner, reaches.participant(manner).await));
    }
    let mut owed = Vec::new();
    for _ in 0..EACH {
        for (manner, url) in &participants {
            owed.push((desk.call(url, time_for(*manner)), *manner));
        }
    }
    let mut replies = desk.replies(owed.len()).await;
    assert_eq!(replies.len(), owed.len());
    replies.sort_by(|(a, _), (b, _)| a.cmp(b));
    for ((id, manner), (to, reply)) in owed.iter().zip(&replies) {
        assert_eq!(id, to, "one reply to each call");
        assert!(fits(*manner, reply), "{manner:?}: {reply:?}");
    }
    desk.quiet(&reaches.participant(Manner::Silent).await).await;
}

async fn one_after_the_other(reaches: &mut impl Reaches) {
    let desk = Desk::new(reaches).await;
    for manner in [Manner::Yes, Manner::YesAndGone] {
        let url = reaches.participant(manner).await;
        for n in 0..100 {
            assert_eq!(desk.reply(&url, AMPLE_MS).await, Reply::Ok, "call {n} to one that says {manner:?}");
        }
    }
}

async fn calls_from_replies(reaches: &mut impl Reaches) {
    const CHAIN: u32 = 100;
    let (url, transport) = (reaches.participant(Manner::Yes).await, Rc::new(reaches.transport().await));
    let (left, came) = (Rc::new(Cell::new(CHAIN)), Rc::new(Notify::new()));
    // Knows itself, as a node's does.
    let itself: Rc<RefCell<Option<Replies>>> = Rc::default();
    let replies = Replies::new({
        let (left, came, itself, transport, url) =
            (left.clone(), came.clone(), itself.clone(), transport.clone(), url.clone());
        move |_, reply| {
            assert_eq!(reply, Reply::Ok);
            left.set(left.get() - 1);
            match itself.borrow().as_ref() {
                Some(replies) if left.get() > 0 => {
                    transport.call(call(Target::One(url.as_str().into()), left.get(), AMPLE_MS), replies);
                }
                Some(_) | None => came.notify_one(),
            }
        }
    });
    *itself.borrow_mut() = Some(replies.clone());
    transport.call(call(Target::One(url.as_str().into()), CHAIN, AMPLE_MS), &replies);
    assert!(timeout(LIMIT, came.notified()).await.is_ok(), "{} calls left", left.get());
    itself.borrow_mut().take();
}

async fn a_silent_one_delays_nobody(reaches: &mut impl Reaches) {
    const SILENT: usize = 64;
    let desk = Desk::new(reaches).await;
    let (silent, yes) = (reaches.participant(Manner::Silent).await, reaches.participant(Manner::Yes).await);
    for _ in 0..SILENT {
        desk.call(&silent, 5_000);
    }
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(desk.reply(&yes, AMPLE_MS).await, Reply::Ok);
    }
    assert!(begun.elapsed() < Duration::from_secs(4), "twenty calls took {:?} beside a silent one", begun.elapsed());
    assert_eq!(desk.replies(SILENT).await.len(), SILENT);
}
