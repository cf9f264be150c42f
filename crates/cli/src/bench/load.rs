//! The closed loop: connections, transactions, and what they took.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use hdrhistogram::Histogram;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

use super::participants::Participants;
use super::{Door, cpu};

/// The longest latency that is told apart; a transaction that takes longer counts as this.
const LATENCY_MAX_US: u64 = 600_000_000;
/// After an error a client waits this long, so that a server which is gone is not hammered.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(20);
/// How long the last transactions may take to be answered, and their second phase to be over.
const DRAIN_MAX: Duration = Duration::from_secs(15);

/// What to run.
pub(super) struct Plan {
    pub(super) url: Uri,
    pub(super) token: Option<String>,
    pub(super) door: Door,
    pub(super) clients: u32,
    pub(super) warmup: Duration,
    pub(super) measure: Duration,
    pub(super) pid: Option<u32>,
}

/// What came out.
pub(super) struct Outcome {
    /// Latencies of committed transactions in microseconds.
    pub(super) latency: Histogram<u64>,
    /// How long was really measured.
    pub(super) window: Duration,
    /// How often each error was seen.
    pub(super) errors: BTreeMap<String, u64>,
    /// CPU time of `Plan::pid` in the window.
    pub(super) cpu: Option<Duration>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    WarmUp,
    Measure,
    Over,
}

struct Tally {
    stage: Cell<Stage>,
    latency: RefCell<Histogram<u64>>,
    errors: RefCell<BTreeMap<String, u64>>,
}

/// Runs the plan. An error when the coordinator cannot be reached at all, or its CPU time cannot be read.
pub(super) async fn run(plan: &Plan, participants: &Participants) -> anyhow::Result<Outcome> {
    let door = Rc::new(Client::new(plan, participants)?);
    door.connect().await.with_context(|| format!("cannot reach {}", plan.url))?;
    let tally = Rc::new(Tally {
        stage: Cell::new(Stage::WarmUp),
        latency: RefCell::new(Histogram::new_with_max(LATENCY_MAX_US, 3)?),
        errors: RefCell::default(),
    });
    let local = LocalSet::new();
    let mut clients = JoinSet::new();
    for _ in 0..plan.clients {
        clients.spawn_local_on(closed_loop(door.clone(), tally.clone()), &local);
    }
    let outcome = local.run_until(measure(plan, &tally)).await?;
    let drained = local.run_until(async {
        let answered = tokio::time::timeout(DRAIN_MAX, async { while clients.join_next().await.is_some() {} }).await;
        // Without participants the coordinator would call for ever to end what is left.
        participants.quiet(DRAIN_MAX).await;
        answered
    });
    if drained.await.is_err() {
        bail!("some transactions were not answered within {DRAIN_MAX:?} after the end");
    }
    Ok(outcome)
}

async fn measure(plan: &Plan, tally: &Tally) -> anyhow::Result<Outcome> {
    let cpu = || plan.pid.map(cpu::spent).transpose();
    tokio::time::sleep(plan.warmup).await;
    let (began, cpu_before) = (Instant::now(), cpu()?);
    tally.stage.set(Stage::Measure);
    tokio::time::sleep(plan.measure).await;
    tally.stage.set(Stage::Over);
    let (window, cpu_after) = (began.elapsed(), cpu()?);
    Ok(Outcome {
        latency: tally.latency.borrow().clone(),
        window,
        errors: tally.errors.borrow().clone(),
        cpu: cpu_after.zip(cpu_before).map(|(after, before)| after.saturating_sub(before)),
    })
}

async fn closed_loop(client: Rc<Client>, tally: Rc<Tally>) {
    let mut connection = None;
    while tally.stage.get() != Stage::Over {
        let began = Instant::now();
        let result = client.transact(&mut connection).await;
        match result {
            Ok(()) if tally.stage.get() == Stage::Measure => {
                tally.latency.borrow_mut().saturating_record(began.elapsed().as_micros() as u64);
            }
            Ok(()) => {}
            // An error counts whenever it comes: a warm-up that fails is no warm-up.
            Err(error) => {
                *tally.errors.borrow_mut().entry(format!("{error:#}")).or_default() += 1;
                connection = None;
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
}

/// What a client sends, made once.
struct Client {
    door: Door,
    authority: String,
    authorization: Option<HeaderValue>,
    body: Bytes,
}

#[derive(Deserialize)]
struct Decided {
    outcome: String,
}

#[derive(Deserialize)]
struct Begun {
    transaction_id: String,
}

#[derive(Deserialize)]
struct Prepared {
    result: String,
}

impl Client {
    fn new(plan: &Plan, participants: &Participants) -> anyhow::Result<Self> {
        let authority = plan.url.authority().context("--url has no host")?.to_string();
        let note = "a payload of about a hundred bytes, as small orders are";
        let body = match plan.door {
            Door::V1 => {
                let branch = |(id, address)| {
                    let payload = json!({"account": "widgets", "amount": -1, "note": note});
                    json!({"id": id, "endpoint": format!("http://{address}/tx"), "payload": payload})
                };
                let branches: Vec<_> = ["stock", "pay"].iter().zip(participants.addresses).map(branch).collect();
                json!({"mode": "two_phase", "branches": branches})
            }
            Door::Classic => json!({"participants": participants.addresses}),
        };
        let authorization = plan.token.as_ref().map(|token| format!("Bearer {token}").parse()).transpose();
        let authorization = authorization.context("the token has characters that no header can carry")?;
        Ok(Self { door: plan.door, authority, authorization, body: Bytes::from(body.to_string()) })
    }

    async fn connect(&self) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        let address =
            if self.authority.contains(':') { self.authority.clone() } else { format!("{}:80", self.authority) };
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// One transaction, from its first byte to the answer that says it committed.
    async fn transact(&self, connection: &mut Option<SendRequest<Full<Bytes>>>) -> anyhow::Result<()> {
        let sender = match connection {
            Some(sender) => sender,
            None => connection.insert(self.connect().await.context("connecting")?),
        };
        match self.door {
            Door::V1 => {
                let answer = self.post(sender, "/v1/transactions?wait=decided", self.body.clone()).await?;
                expect("committed", &serde_json::from_slice::<Decided>(&answer)?.outcome)
            }
            Door::Classic => {
                let begun = self.post(sender, "/transaction", Bytes::new()).await?;
                let gid = serde_json::from_slice::<Begun>(&begun)?.transaction_id;
                let answer = self.post(sender, &format!("/transaction/{gid}/prepare"), self.body.clone()).await?;
                expect("success", &serde_json::from_slice::<Prepared>(&answer)?.result)
            }
        }
    }

    async fn post(&self, sender: &mut SendRequest<Full<Bytes>>, path: &str, body: Bytes) -> anyhow::Result<Bytes> {
        let mut request = Request::post(path)
            .header(HOST, &self.authority)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        sender.ready().await?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        match status {
            StatusCode::OK | StatusCode::CREATED => Ok(body),
            other => Err(anyhow!("{other}: {}", String::from_utf8_lossy(&body[..body.len().min(200)]))),
        }
    }
}

fn expect(wanted: &str, got: &str) -> anyhow::Result<()> {
    if wanted == got { Ok(()) } else { bail!("the answer was {got:?}, not {wanted:?}") }
}
