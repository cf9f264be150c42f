//! Asking with a time limit.
use crate::app::App;
use std::time::Duration;
use unanim_coordinator::{Answer, Request, Wait};
use unanim_engine::Gid;

/// Asks, and waits for the answer as long as it takes.
pub(super) async fn ask(app: &App, gid: &Gid, request: Request) -> Answer {
    app.handle.ask(gid.clone(), request).await
}

/// Asks for something that may take longer than the client waits (without a limit: than the coordinator still lives);
/// then the answer is what may be said now.
pub(super) async fn ask_within(app: &App, gid: &Gid, request: Request, limit: Option<Duration>) -> Answer {
    let over = async {
        match limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    let mut asking = app.handle.ask(gid.clone(), request);
    tokio::select! {
        biased;
        answer = &mut asking => return answer,
        () = over => {}
        () = app.hurry.called() => {}
    }
    asking.hurry();
    asking.await
}

/// Whether what a client waits for is there.
pub(super) fn reached(view: &unanim_coordinator::View, wait: Wait) -> bool {
    match wait {
        Wait::Decided | Wait::Heard => view.outcome.is_some(),
        Wait::Finished => view.finished_at.is_some(),
    }
}
