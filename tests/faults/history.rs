//! Records what happens, a JSON line each, with the milliseconds since the beginning: what clients
//! ask and hear, what readers see, and the faults of the system.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

/// The files of one run.
#[derive(Debug, Clone)]
pub(crate) struct History {
    begin: Instant,
    files: Arc<[Mutex<BufWriter<File>>; 4]>,
    /// Answers that a test waits for: a `304` to a date, and immutable pages.
    counts: Arc<[AtomicUsize; 2]>,
}

/// Their names: what clients did and which faults they met, what readers saw of the feed, the sizes of
/// things, and what a webhook got.
pub(crate) const FILES: [&str; 4] = [
    "history.jsonl",
    "http.jsonl",
    "samples.jsonl",
    "webhook.jsonl",
];

impl History {
    /// In an empty directory.
    pub(crate) fn create(directory: &Path) -> Self {
        let open = |name| Mutex::new(BufWriter::new(File::create(directory.join(name)).unwrap()));
        Self {
            begin: Instant::now(),
            files: Arc::new(FILES.map(open)),
            counts: Arc::default(),
        }
    }

    /// Milliseconds since the beginning.
    pub(crate) fn now(&self) -> u64 {
        self.begin.elapsed().as_millis() as u64
    }

    /// A request of a client, or its answer.
    pub(crate) fn tell(&self, what: Value) {
        self.write(0, what);
    }

    /// What a reader of the feed has seen.
    pub(crate) fn seen(&self, what: Value) {
        let by_date = what["reader"] == "date" && what["status"] == 304;
        let is_final = !what["final"].is_null();
        let add = |count: &AtomicUsize, one| count.fetch_add(usize::from(one), Ordering::Relaxed);
        add(&self.counts[0], by_date);
        add(&self.counts[1], is_final);
        self.write(1, what);
    }

    /// How often a `304` has answered a date.
    pub(crate) fn not_modified_since(&self) -> usize {
        self.counts[0].load(Ordering::Relaxed)
    }

    /// How many pages were answered that are immutable.
    pub(crate) fn final_pages(&self) -> usize {
        self.counts[1].load(Ordering::Relaxed)
    }

    /// The size of something.
    pub(crate) fn measured(&self, what: Value) {
        self.write(2, what);
    }

    /// A request that a webhook got.
    pub(crate) fn sent(&self, what: Value) {
        self.write(3, what);
    }

    /// A fault of the system.
    pub(crate) fn fault(&self, what: &str) {
        self.tell(json!({"type": "fault", "fault": what}));
    }

    /// A moment that the checker refers to.
    pub(crate) fn mark(&self, what: &str) {
        self.tell(json!({"type": "mark", "mark": what}));
    }

    fn write(&self, file: usize, mut what: Value) {
        what["at"] = self.now().into();
        let mut file = self.files[file]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        writeln!(file, "{what}").unwrap();
        // A run that fails leaves all of it.
        file.flush().unwrap();
    }
}
