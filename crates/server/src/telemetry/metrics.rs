//! `/metrics` in Prometheus' text format. Names and units are documented in docs/ and only ever added.
use super::process::Process;
use hyper::Method;
use std::cell::{Cell, RefCell};
use std::fmt::{Display, Write};
use std::time::Duration;
use unanim_adapters::transport::http::TransportFigures;
use unanim_node::{NodeFigures, Readiness};

/// The content type of this format.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Upper bounds of the durations' buckets, in seconds.
const BUCKETS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

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
    durations: [Histogram; Door::ALL.len()],
    pub(crate) connections: Cell<usize>,
    pub(crate) connections_max: Cell<usize>,
    /// Streams of events that are open.
    pub(crate) streams: Cell<usize>,
}

#[derive(Default)]
struct Histogram {
    buckets: [Cell<u64>; BUCKETS.len()],
    count: Cell<u64>,
    seconds: Cell<f64>,
}

impl Histogram {
    fn add(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let at = BUCKETS.partition_point(|bound| *bound < seconds);
        if let Some(bucket) = self.buckets.get(at) {
            bucket.set(bucket.get() + 1);
        }
        self.count.set(self.count.get() + 1);
        self.seconds.set(self.seconds.get() + seconds);
    }
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
        self.durations[door as usize].add(took);
    }

    /// The whole page.
    pub(crate) fn page(&self, node: &NodeFigures, transport: &TransportFigures, readiness: Readiness) -> String {
        let mut page = Page(String::with_capacity(8 << 10));
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
        lane(&mut page, node);
        calls(&mut page, transport);
        store(&mut page, node);
        process(&mut page, &Process::read());
        page.0
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
            let histogram = &self.durations[door as usize];
            let label = format!("door=\"{}\"", door.name());
            let mut sum = 0;
            for (bound, bucket) in BUCKETS.iter().zip(&histogram.buckets) {
                sum += bucket.get();
                page.sample(&format!("{name}_bucket"), &format!("{label},le=\"{bound}\""), sum);
            }
            page.sample(&format!("{name}_bucket"), &format!("{label},le=\"+Inf\""), histogram.count.get());
            page.sample(&format!("{name}_sum"), &label, histogram.seconds.get());
            page.sample(&format!("{name}_count"), &label, histogram.count.get());
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

fn lane(page: &mut Page, node: &NodeFigures) {
    let lane = &node.lane;
    page.one("unanim_transactions_open", "gauge", "Transactions in memory.", lane.open);
    page.one("unanim_transactions_open_bytes", "gauge", "Their bytes, roughly.", lane.open_bytes);
    page.one(
        "unanim_transactions_stuck",
        "gauge",
        "Open transactions that are marked stuck: alert on these.",
        lane.stuck,
    );
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
        "Reports of participants that finished on their own: alert on these.",
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

struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) -> &mut Page {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        self
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = match labels {
            "" => writeln!(self.0, "{name} {value}"),
            _ => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help).sample(name, "", value);
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
        let page = metrics.page(&NodeFigures::default(), &transport, Readiness::Ready);
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
        let mut families: Vec<_> = page.lines().filter_map(|l| l.strip_prefix("# TYPE ")).collect();
        let count = families.len();
        families.sort_unstable();
        families.dedup();
        assert_eq!(families.len(), count);
    }
}
