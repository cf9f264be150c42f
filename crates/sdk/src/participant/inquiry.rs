//! What a participant does in doubt: it asks the URL that came with the call, and goes on holding until it is told.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::header::RETRY_AFTER;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::call::{Call, Op};
use super::manager::{Ack, Error, InDoubt, ResourceManager};
use super::{Notice, Participant, contradiction};
use crate::client::Outcome;
use crate::http::{Http, Reply};

const ASK_TIMEOUT: Duration = Duration::from_secs(5);
const ASK_AT_ONCE_MAX: usize = 16;
const DOUBTS_MAX: usize = 10_000;
/// How often it is looked through what is held, whatever `inquire_after` says.
const ROUND_MIN: Duration = Duration::from_millis(50);
const ROUND_MAX: Duration = Duration::from_secs(1);
/// Between two questions about one branch; twice as long each time.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(30);

type Key = (String, String);

/// When to ask about a branch again.
#[derive(Clone, Debug)]
struct Again {
    at: Instant,
    pause: Duration,
    /// What was told last; the same is not told again.
    told: Option<Notice>,
}

#[derive(Deserialize)]
struct Answer {
    outcome: Outcome,
}

/// What an answer makes of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Ends(Op),
    Wrong,
    /// Everything else means to go on holding; with the server's own wish for a pause.
    Holds(Option<Duration>),
}

/// Asks for ever, round after round.
pub(super) async fn run<R: ResourceManager>(participant: Participant<R>, http: Http) {
    let age = participant.inquire_after;
    let mut rounds = tokio::time::interval(age.clamp(ROUND_MIN, ROUND_MAX));
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut asked: HashMap<Key, Again> = HashMap::new();
    // What was told last of a manager that cannot say what is in doubt.
    let mut failing = None;
    loop {
        rounds.tick().await;
        let doubts = match participant.manager.in_doubt(age, DOUBTS_MAX).await {
            Ok(doubts) => doubts,
            // Not now: what is held stays held.
            Err(error) => {
                let why = error.to_string();
                if failing.as_ref() != Some(&why) {
                    tracing::warn!("which branches are in doubt could not be read: {why}");
                }
                failing = Some(why);
                continue;
            }
        };
        failing = None;
        let mut open = HashMap::new();
        let due = Instant::now();
        let places = Arc::new(Semaphore::new(ASK_AT_ONCE_MAX));
        let mut asking = JoinSet::new();
        for doubt in doubts {
            let key = (doubt.gid.clone(), doubt.branch.clone());
            match asked.remove(&key) {
                Some(again) if again.at > due => drop(open.insert(key, again)),
                before => {
                    let (participant, http, places) = (participant.clone(), http.clone(), places.clone());
                    asking.spawn(async move {
                        let _place = places.acquire().await;
                        (key, participant.ask(&http, doubt, before).await)
                    });
                }
            }
        }
        while let Some(ended) = asking.join_next().await {
            if let Ok((key, Some(again))) = ended {
                open.insert(key, again);
            }
        }
        // What is in doubt no more needs no pause.
        asked = open;
    }
}

impl<R: ResourceManager> Participant<R> {
    /// Asks once. Only a clear `committed` or `aborted` changes anything. Returns when to ask again, if need be.
    async fn ask(&self, http: &Http, doubt: InDoubt, before: Option<Again>) -> Option<Again> {
        let (pause, told) = before.map_or((PAUSE_FIRST, None), |it| ((it.pause * 2).min(PAUSE_MAX), it.told));
        let later = |pause: Duration, wait: Duration, told| Some(Again { at: Instant::now() + wait, pause, told });
        // Without a URL only the coordinator's own call can end it.
        let Some(url) = doubt.inquiry else { return later(PAUSE_MAX, PAUSE_MAX, told) };
        let said = match http.get(&url, ASK_TIMEOUT).await {
            Ok(reply) => said(&reply),
            Err(_) => Said::Holds(None),
        };
        let InDoubt { gid, branch, .. } = doubt;
        let (notice, is_over) = match said {
            Said::Ends(op) => {
                let call = Call::new(op, gid.clone(), branch.clone());
                match self.end(&call).await {
                    Ok(ack) => (Notice::Told { op, gid, branch }, ack != Ack::Ongoing),
                    Err(Error::Conflict(why)) => (contradiction(&call, &why), false),
                    Err(error) => (Notice::Failed { op, gid, branch, why: error.to_string() }, false),
                }
            }
            Said::Wrong => {
                let url = url.split_once('?').map_or(url.as_str(), |(path, _)| path).to_owned();
                (Notice::WrongCoordinator { gid, branch, url }, false)
            }
            Said::Holds(wish) => {
                return later(pause, wish.unwrap_or_default().clamp(pause, PAUSE_MAX.max(pause)), told);
            }
        };
        if told.as_ref() != Some(&notice) {
            self.tell(&notice);
        }
        if is_over { None } else { later(pause, pause, Some(notice)) }
    }
}

fn said(reply: &Reply) -> Said {
    match reply.status {
        StatusCode::OK => match serde_json::from_slice::<Answer>(&reply.body).map(|answer| answer.outcome) {
            Ok(Outcome::Committed) => Said::Ends(Op::Commit),
            Ok(Outcome::Aborted) => Said::Ends(Op::Rollback),
            Ok(Outcome::Undecided | Outcome::Other(_)) | Err(_) => Said::Holds(wish(reply)),
        },
        StatusCode::MISDIRECTED_REQUEST => Said::Wrong,
        _ => Said::Holds(wish(reply)),
    }
}

fn wish(reply: &Reply) -> Option<Duration> {
    reply.headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::HeaderMap;

    #[test]
    fn only_a_clear_word_ends_anything() {
        let told = |status, body: &'static str| {
            said(&Reply { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body: body.into() })
        };
        assert_eq!(told(200, r#"{"outcome":"committed"}"#), Said::Ends(Op::Commit));
        assert_eq!(told(200, r#"{"gid":"g","outcome":"aborted"}"#), Said::Ends(Op::Rollback));
        assert_eq!(told(421, r#"{"outcome":"aborted"}"#), Said::Wrong);
        for (status, body) in [
            (200, r#"{"outcome":"undecided"}"#),
            (200, r#"{"outcome":"maybe"}"#),
            (200, "aborted"),
            (404, r#"{"outcome":"aborted"}"#),
            (503, r#"{"outcome":"committed"}"#),
            (201, r#"{"outcome":"committed"}"#),
        ] {
            assert_eq!(told(status, body), Said::Holds(None), "{status} {body}");
        }
    }
}
