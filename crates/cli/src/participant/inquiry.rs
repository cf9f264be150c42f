//! What a participant does in doubt: it asks the URL that came with the call, and goes on holding until it is told.

use std::time::Duration;

use serde::Deserialize;

use super::committer::Desk;
use super::ledger::{Call, Doubt, Verb};
use crate::http::{Client, Reply};
use crate::output;

const ASK_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the books are looked through, whatever `--inquire-after` says.
const ROUND_MIN: Duration = Duration::from_millis(50);
const ROUND_MAX: Duration = Duration::from_secs(5);
const ASK_AT_ONCE_MAX: usize = 16;

#[derive(Deserialize)]
struct Outcome {
    outcome: String,
}

/// Asks for ever, round after round, about everything that has been prepared for longer than `age`.
pub(super) async fn run(name: String, desk: Desk, client: Client, age: Duration) {
    let mut rounds = tokio::time::interval(age.clamp(ROUND_MIN, ROUND_MAX));
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        let Some(doubts) = desk.doubts(age).await else { return };
        let mut asking = tokio::task::JoinSet::new();
        for doubt in doubts {
            if asking.len() >= ASK_AT_ONCE_MAX {
                asking.join_next().await;
            }
            asking.spawn(settle(name.clone(), desk.clone(), client.clone(), doubt));
        }
        asking.join_all().await;
    }
}

/// Asks once. Only a clear `committed` or `aborted` changes anything: all else means to go on holding.
async fn settle(name: String, desk: Desk, client: Client, doubt: Doubt) {
    let Doubt { gid, branch, inquiry: Some(url) } = doubt else { return };
    let Ok(reply) = client.get(&url, ASK_TIMEOUT).await else { return };
    let Some(verb) = told(&reply) else { return };
    output::complain(format_args!("{name}: asked about {gid:?}, was told: {verb:?}"));
    desk.call(Call { verb, gid, branch, inquiry: None, work: None }).await;
}

fn told(reply: &Reply) -> Option<Verb> {
    if reply.status != hyper::StatusCode::OK {
        return None;
    }
    match serde_json::from_slice::<Outcome>(&reply.body).ok()?.outcome.as_str() {
        "committed" => Some(Verb::Commit),
        "aborted" => Some(Verb::Rollback),
        _ => None,
    }
}
