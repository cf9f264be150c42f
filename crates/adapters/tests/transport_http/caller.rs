//! Makes calls as a lane does, and waits for their replies.
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;
use unanim_adapters::transport::AllowList;
use unanim_adapters::transport::http::{HttpOptions, HttpTransport};
use unanim_coordinator::{Call, CallId};
use unanim_engine::{BranchId, BranchSpec, Callee, Dialect, Gid, Mode, Op, Participant, Reply, Target};
use unanim_node::ports::{Replies, Transport};
use uuid::Uuid;

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(30);

/// The usual options, with this list of whom calls may reach.
pub(crate) fn options(allow: &[&str]) -> HttpOptions {
    let allow: Vec<String> = allow.iter().map(|entry| (*entry).to_owned()).collect();
    let mut options = HttpOptions::new("http://127.0.0.1:8080", Uuid::nil(), [7; 32]);
    options.allow = AllowList::parse(&allow).expect("a list");
    options
}

/// What one call is to be.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) url: String,
    pub(crate) op: Op,
    pub(crate) dialect: Dialect,
    pub(crate) timeout_ms: u32,
    pub(crate) payload: Option<&'static str>,
}

impl Ask {
    /// A vote of a branch with a payload.
    pub(crate) fn prepare(url: impl Into<String>) -> Ask {
        Ask { url: url.into(), op: Op::Prepare, dialect: Dialect::V1, timeout_ms: 10_000, payload: Some("{\"n\":2}") }
    }

    pub(crate) fn within(self, timeout_ms: u32) -> Ask {
        Ask { timeout_ms, ..self }
    }

    pub(crate) fn classic(self, op: Op) -> Ask {
        Ask { dialect: Dialect::Classic, op, payload: None, ..self }
    }
}

/// A transport and what it replied.
pub(crate) struct Caller {
    pub(crate) transport: HttpTransport,
    replies: Replies,
    got: Rc<RefCell<HashMap<u32, Reply>>>,
    came: Rc<Notify>,
    made: u32,
}

impl Caller {
    pub(crate) fn new() -> Caller {
        Caller::with(options(&["loopback"]))
    }

    pub(crate) fn with(options: HttpOptions) -> Caller {
        let (got, came) = (Rc::new(RefCell::new(HashMap::new())), Rc::new(Notify::new()));
        let replies = Replies::new({
            let (got, came) = (got.clone(), came.clone());
            move |id: CallId, reply| {
                assert_eq!(got.borrow_mut().insert(id.attempt, reply), None, "a second reply");
                came.notify_one();
            }
        });
        Caller { transport: HttpTransport::new(options).expect("a transport"), replies, got, came, made: 0 }
    }

    /// Makes a call; its number.
    pub(crate) fn call(&mut self, ask: &Ask) -> u32 {
        self.made += 1;
        let participant = Participant::new("http://participant:1").expect("a name");
        let spec = BranchSpec::new(
            BranchId::new("stock").expect("a branch id"),
            Callee {
                participant: participant.clone(),
                target: Target::One(ask.url.as_str().into()),
                dialect: ask.dialect,
                call_timeout_ms: ask.timeout_ms,
                retry: None,
                refused_statuses: [409, 422].into(),
                one_phase: false,
            },
            ask.payload.map(|text| text.as_bytes().into()),
        );
        let gid = Gid::new("order-17").expect("a gid");
        let id = CallId { gid, branch: 0, op: ask.op, attempt: self.made, participant };
        let call = Call { id, spec: Arc::new(spec), mode: Mode::TwoPhase, fence: 1, deadline_ms: 60_000 };
        self.transport.call(call, &self.replies);
        self.made
    }

    /// The reply to a call.
    pub(crate) async fn reply(&self, number: u32) -> Reply {
        let reply = async {
            loop {
                if let Some(reply) = self.got.borrow_mut().remove(&number) {
                    return reply;
                }
                self.came.notified().await;
            }
        };
        timeout(LIMIT, reply).await.expect("a reply in time")
    }

    /// A call and its reply.
    pub(crate) async fn ask(&mut self, ask: &Ask) -> Reply {
        let number = self.call(ask);
        self.reply(number).await
    }
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, so: impl Fn() -> bool) {
    let wait = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(timeout(LIMIT, wait).await.is_ok(), "never: {what}");
}

/// Runs a test where `spawn_local` may be called.
pub(crate) fn local(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, test);
}
