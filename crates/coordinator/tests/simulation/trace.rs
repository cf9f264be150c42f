//! Inputs and outputs in one line each, for people.
use unanim_coordinator::{Answer, Found, Input, Output, Request, Stored};
use unanim_engine::{Phase, Recorded};

pub(crate) fn brief_input(input: &Input) -> String {
    match input {
        Input::Request(ticket, gid, request) => format!("{ticket:?} {gid} {}", brief_request(request)),
        Input::Loaded(slice, loading) => {
            format!("Loaded {loading:?} {:?}", slice.iter().map(brief_stored).collect::<Vec<_>>())
        }
        Input::Found(gid, Found::Record(stored)) => format!("Found {gid} {}", brief_stored(stored)),
        Input::Replied(id, reply) => {
            format!("Replied {} #{} {:?}.{} {reply:?}", id.gid, id.branch, id.op, id.attempt)
        }
        Input::Gone(..) | Input::Hurry(..) | Input::Saved(_) | Input::Found(..) | Input::Admit(_) | Input::Due => {
            format!("{input:?}")
        }
    }
}

fn brief_request(request: &Request) -> String {
    let names = |specs: &[std::sync::Arc<unanim_engine::BranchSpec>]| {
        specs.iter().map(|s| format!("{}@{}", s.id, s.callee.participant)).collect::<Vec<_>>().join(" ")
    };
    match request {
        Request::Begin(b) => {
            format!("Begin start={} fresh={} wait={:?} [{}]", b.start, b.fresh, b.wait, names(&b.branches))
        }
        Request::Join(specs, _) => format!("Join [{}]", names(specs)),
        Request::Decide { decision, branches, wait, timeout_ms } => {
            format!("{decision:?} wait={wait:?} timeout={timeout_ms:?} [{}]", names(branches))
        }
        Request::Read | Request::Retry | Request::Resolve(..) | Request::Follow { .. } | Request::Inquire(_) => {
            format!("{request:?}")
        }
    }
}

fn brief_stored(stored: &Stored) -> String {
    let events = stored.history.iter().map(|e| brief_event(&e.what)).collect::<Vec<_>>();
    format!("{}: {}", stored.body.gid, events.join(" "))
}

fn brief_event(what: &Recorded) -> String {
    match what {
        Recorded::BranchAdded(spec) => format!("+{}", spec.id),
        Recorded::Phase(phase, _) => format!("{phase:?}"),
        Recorded::Voted(branch, vote) => format!("#{branch}:{vote:?}"),
        Recorded::Decided(outcome, reason) => format!("{outcome:?}!{:?}", reason.as_ref().map(|r| r.code)),
        Recorded::Acknowledged(branch) => format!("#{branch}:done"),
        Recorded::Heuristic(branch, heuristic) => format!("#{branch}:{heuristic:?}?"),
        Recorded::Resolved(branch, said) => format!("#{branch}:resolved {:?}", said.outcome),
        Recorded::Stuck | Recorded::Finished | Recorded::Forgotten => format!("{what:?}"),
    }
}

pub(crate) fn brief_output(output: &Output) -> String {
    match output {
        Output::Save(batch) => {
            let records = batch.records.iter().map(|r| format!("{}@{} {:?}", r.gid, r.first_seq, r.standing));
            format!("Save {} {:?}", batch.number, records.collect::<Vec<_>>())
        }
        Output::Call(call) => {
            let id = &call.id;
            format!("Call {} #{} {:?}.{} at {}", id.gid, id.branch, id.op, id.attempt, id.participant)
        }
        Output::Answer(ticket, Answer::Transaction(view)) => {
            let phase: Phase = view.phase;
            format!("{ticket:?} {} is {phase:?}, seq {}", view.gid, view.seq)
        }
        Output::Answer(ticket, answer) => format!("{ticket:?} {answer:?}"),
        Output::Find(gid) => format!("Find {gid}"),
        Output::Alert(gid, alert) => format!("Alert {gid} {alert:?}"),
    }
}
