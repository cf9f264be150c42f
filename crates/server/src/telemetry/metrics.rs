//! `/metrics` in Prometheus' text format. Names and units are documented in docs/ and only ever added.
use super::exposition::{Page, label_value};
use super::process::Process;
use hyper::Method;
use std::cell::{Cell, RefCell};
use std::time::Duration;
use unanim_adapters::transport::http::{Ended, TransportFigures};
use unanim_api::names::phase_name;
use unanim_coordinator::{Bounds, DECISION_MS, Figures, Histogram};
use unanim_engine::Timestamp;
use unanim_node::{BATCH_RECORDS, NodeFigures, Readiness, SAVE_MICROS};

/// The content type of this format.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Bounds of how long a request takes, in microseconds.
const REQUEST_MICROS: Bounds = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000,
    60_000_000,
];
/// Of a second.
const MICROS: f64 = 1e6;
const MILLIS: f64 = 1e3;

/// Where a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    V1,
    Classic,
    /// Probes, metrics, and what is nowhere.
    Other,
}

impl Door {
    const ALL: [Door; 3] = [Door::V1, Door::Classic, Door::Other];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Door::V1 => "v1",
            Door::Classic => "classic",
            Door::Other => "other",
        }
    }
}

/// What this ring counts.
#[derive(Default)]
pub(crate) struct Metrics {
    /// Few combinations, so that looking at each is cheaper than a hash.
    requests: RefCell<Vec<(Door, &'static str, u16, u64)>>,
    durations: [Cell<Histogram>; Door::ALL.len()],
    pub(crate) connections: Cell<usize>,
    pub(crate) connections_max: Cell<usize>,
    /// Streams of events that are open.
    pub(crate) streams: Cell<usize>,
}

/// Methods of a client's own making are one label together.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

impl Metrics {
    pub(crate) fn answered(&self, door: Door, method: &Method, status: u16, took: Duration) {
        let method = method_name(method);
        let mut requests = self.requests.borrow_mut();
        match requests.iter_mut().find(|r| r.0 == door && r.1 == method && r.2 == status) {
            Some(request) => request.3 += 1,
            None => requests.push((door, method, status, 1)),
        }
        let mut durations = self.durations[door as usize].get();
        durations.add(&REQUEST_MICROS, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        self.durations[door as usize].set(durations);
    }

    /// The whole page.
    pub(crate) fn page(
        &self,
        node: &NodeFigures,
        transport: &TransportFigures,
        readiness: Readiness,
        now: Timestamp,
    ) -> String {
        let mut page = Page::default();
        let build = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
        page.family("unanim_build_info", "gauge", "Always 1; which build this is.").sample(
            "unanim_build_info",
            &build,
            1,
        );
        page.one(
            "unanim_ready",
            "gauge",
            "1 while new transactions are taken.",
            u8::from(readiness == Readiness::Ready),
        );
        self.http(&mut page);
        open(&mut page, node, now);
        lane(&mut page, node);
        calls(&mut page, transport);
        store(&mut page, node);
        process(&mut page, &Process::read());
        page.text()
    }

    fn http(&self, page: &mut Page) {
        page.family("unanim_http_requests_total", "counter", "Requests answered, by front door, method and status.");
        for (door, method, status, count) in &*self.requests.borrow() {
            let labels = format!("door=\"{}\",method=\"{method}\",status=\"{status}\"", door.name());
            page.sample("unanim_http_requests_total", &labels, count);
        }
        let name = "unanim_http_request_duration_seconds";
        page.family(name, "histogram", "From a request's head to its answer, waits included, by front door.");
        for door in Door::ALL {
            let label = format!("door=\"{}\"", door.name());
            page.histogram(name, &label, &REQUEST_MICROS, MICROS, &self.durations[door as usize].get());
        }
        page.one("unanim_http_connections", "gauge", "Connections from clients that are open.", self.connections.get());
        page.one(
            "unanim_http_connections_max",
            "gauge",
            "Connections from clients at most.",
            self.connections_max.get(),
        );
        page.one("unanim_http_event_streams", "gauge", "Streams of events that are open.", self.streams.get());
    }
}

/// What is open now.
fn open(page: &mut Page, node: &NodeFigures, now: Timestamp) {
    let lane = &node.lane;
    let name = "unanim_transactions_open";
    page.one(name, "gauge", "Transactions in memory.", lane.open);
    let name = "unanim_transactions_open_in_phase";
    page.family(name, "gauge", "Those that are open, by phase.");
    for (phase, count) in Figures::PHASES.into_iter().zip(lane.open_in) {
        page.sample(name, &format!("phase=\"{}\"", phase_name(phase)), count);
    }
    let oldest = lane.oldest_at.map_or(0, |at| now.0.saturating_sub(at.0));
    let name = "unanim_transactions_oldest_open_seconds";
    page.one(name, "gauge", "How long ago the oldest open one began; 0 without one.", oldest as f64 / 1e3);
    page.one("unanim_transactions_open_bytes", "gauge", "Their bytes, roughly.", lane.open_bytes);
    let name = "unanim_transactions_stuck";
    page.one(name, "gauge", "Open transactions that are marked stuck: alert on these.", lane.stuck);
    let name = "unanim_transaction_decision_seconds";
    page.family(name, "histogram", "From the begin of a transaction to its decision.");
    page.histogram(name, "", &DECISION_MS, MILLIS, &lane.decision_ms);
}

fn lane(page: &mut Page, node: &NodeFigures) {
    let lane = &node.lane;
    page.one("unanim_transactions_begun_total", "counter", "Transactions begun since the start.", lane.begun);
    page.one(
        "unanim_transactions_loaded_total",
        "counter",
        "Open transactions read from the store at the start.",
        lane.loaded,
    );
    let name = "unanim_transactions_finished_total";
    page.family(name, "counter", "Transactions ended since the start, by outcome.");
    page.sample(name, "outcome=\"committed\"", lane.committed);
    page.sample(name, "outcome=\"aborted\"", lane.aborted);
    page.one(
        "unanim_heuristics_total",
        "counter",
        "Transactions that ended with a branch that finished on its own or was resolved against the decision: alert on these.",
        lane.heuristics,
    );
    page.one("unanim_calls_in_flight", "gauge", "Calls to participants under way.", lane.calls_in_flight);
    page.one("unanim_calls_queued", "gauge", "Calls that wait in their participant's line.", lane.calls_queued);
}

fn calls(page: &mut Page, transport: &TransportFigures) {
    page.one("unanim_calls_total", "counter", "Calls to participants.", transport.calls);
    let name = "unanim_call_replies_total";
    page.family(name, "counter", "Calls that ended, by outcome: answered, or why nothing is known.");
    let failures: u64 = transport.failures.iter().map(|(_, count)| count).sum();
    page.sample(name, "outcome=\"answered\"", transport.replies.saturating_sub(failures));
    for (failure, count) in &transport.failures {
        page.sample(name, &format!("outcome=\"{failure}\""), count);
    }
    let name = "unanim_participant_calls_total";
    let help =
        "Calls that ended, by participant: answered, or failed where nothing is known. Later ones are \"other\".";
    page.family(name, "counter", help);
    let mut participants: Vec<_> = transport.participants.iter().map(|(who, ended)| (who.as_str(), *ended)).collect();
    participants.sort_unstable_by_key(|(who, _)| *who);
    if transport.others != Ended::default() {
        participants.push(("other", transport.others));
    }
    for (who, ended) in participants {
        let who = label_value(who);
        page.sample(name, &format!("participant=\"{who}\",outcome=\"answered\""), ended.answered);
        page.sample(name, &format!("participant=\"{who}\",outcome=\"failed\""), ended.failed);
    }
    page.one(
        "unanim_call_connections_opened_total",
        "counter",
        "Connections made to participants.",
        transport.connections_opened,
    );
    page.one("unanim_call_connections", "gauge", "Connections to participants that are open.", transport.connections);
    page.one("unanim_call_connections_idle", "gauge", "Those of them that lie idle.", transport.idle);
}

fn store(page: &mut Page, node: &NodeFigures) {
    let store = &node.store;
    page.one("unanim_store_batches_total", "counter", "Batches made durable.", store.batches);
    page.one("unanim_store_records_total", "counter", "Records in them.", store.records);
    page.one("unanim_store_bytes_total", "counter", "Bytes in them.", store.bytes);
    page.one(
        "unanim_store_save_seconds_total",
        "counter",
        "Time spent on making them durable.",
        store.save_micros as f64 / 1e6,
    );
    let name = "unanim_store_batch_records";
    page.family(name, "histogram", "Records that a batch has: how many transactions share a flush.");
    page.histogram(name, "", &BATCH_RECORDS, 1.0, &node.saves.records);
    let name = "unanim_store_save_duration_seconds";
    page.family(name, "histogram", "From handing a batch to the store to knowing that it is durable.");
    page.histogram(name, "", &SAVE_MICROS, MICROS, &node.saves.micros);
    if let Some(bytes) = store.free_bytes {
        page.one("unanim_store_free_bytes", "gauge", "Room that is left where the data folder lies.", bytes);
    }
    page.one("unanim_store_wal_bytes", "gauge", "Size of the write-ahead log.", store.wal_bytes);
    page.one(
        "unanim_store_read_seconds_max",
        "gauge",
        "The longest read since the start.",
        store.read_micros_max as f64 / 1e6,
    );
    page.one(
        "unanim_store_purge_lag_seconds",
        "gauge",
        "For how long the oldest finished transaction should have been gone.",
        node.purge_lag.as_secs_f64(),
    );
}

fn process(page: &mut Page, process: &Process) {
    if let Some(seconds) = process.cpu_seconds {
        page.one("process_cpu_seconds_total", "counter", "User and system time.", seconds);
    }
    if let Some(bytes) = process.resident_bytes {
        page.one("process_resident_memory_bytes", "gauge", "Resident memory.", bytes);
    }
    if let Some(files) = process.open_files {
        page.one("process_open_fds", "gauge", "Open file descriptors.", files);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_every_family_once_and_its_samples_behind_it() {
        let metrics = Metrics::default();
        metrics.answered(Door::V1, &Method::POST, 202, Duration::from_millis(3));
        metrics.answered(Door::V1, &Method::POST, 202, Duration::from_secs(100));
        metrics.answered(Door::Classic, &Method::from_bytes(b"BREW").expect("a method"), 405, Duration::ZERO);
        let transport =
            TransportFigures { calls: 3, replies: 2, failures: vec![("timeout", 1)], ..TransportFigures::default() };
        let participant = |who| unanim_engine::Participant::new(who).expect("a name");
        let ended = Ended { answered: 5, failed: 2 };
        let transport =
            TransportFigures { participants: vec![(participant("http://a\"b:1"), ended)], others: ended, ..transport };
        let mut node = NodeFigures::default();
        (node.lane.open_in, node.lane.oldest_at) = ([1, 0, 2, 0], Some(Timestamp(500)));
        node.lane.decision_ms.add(&DECISION_MS, 7);
        node.saves.micros.add(&SAVE_MICROS, 60);
        let page = metrics.page(&node, &transport, Readiness::Ready, Timestamp(2_000));
        let has = |line: &str| assert!(page.lines().any(|l| l == line), "{line} in\n{page}");
        has("unanim_http_requests_total{door=\"v1\",method=\"POST\",status=\"202\"} 2");
        has("unanim_http_requests_total{door=\"classic\",method=\"other\",status=\"405\"} 1");
        has("unanim_http_request_duration_seconds_bucket{door=\"v1\",le=\"0.0025\"} 0");
        has("unanim_http_request_duration_seconds_bucket{door=\"v1\",le=\"0.005\"} 1");
        has("unanim_http_request_duration_seconds_bucket{door=\"v1\",le=\"60\"} 1");
        has("unanim_http_request_duration_seconds_bucket{door=\"v1\",le=\"+Inf\"} 2");
        has("unanim_call_replies_total{outcome=\"answered\"} 1");
        has("unanim_call_replies_total{outcome=\"timeout\"} 1");
        has("unanim_ready 1");
        has("unanim_transactions_open_in_phase{phase=\"committing\"} 2");
        has("unanim_transactions_oldest_open_seconds 1.5");
        has("unanim_transaction_decision_seconds_bucket{le=\"0.005\"} 0");
        has("unanim_transaction_decision_seconds_bucket{le=\"0.01\"} 1");
        has("unanim_transaction_decision_seconds_sum 0.007");
        has("unanim_store_save_duration_seconds_bucket{le=\"0.0001\"} 1");
        has("unanim_store_batch_records_bucket{le=\"+Inf\"} 0");
        has(r#"unanim_participant_calls_total{participant="http://a\"b:1",outcome="failed"} 2"#);
        has(r#"unanim_participant_calls_total{participant="other",outcome="answered"} 5"#);
        let mut families: Vec<_> = page.lines().filter_map(|l| l.strip_prefix("# TYPE ")).collect();
        let count = families.len();
        families.sort_unstable();
        families.dedup();
        assert_eq!(families.len(), count);
    }
}
