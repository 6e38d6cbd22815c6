//! `feed check --consumer`: our own consumers keep all rules, and a mistake is named by the fault that shows it.

use std::process::Command;

use harness::programs::available;
use harness::{Backend, FreshDatabase, Process, built, until};
use serde_json::Value;

use crate::examples::{Language, go, java, javascript, python, root, url_of};
use crate::feed::{database, run};

/// The findings about a consumer, by the names of the faults.
async fn findings(consumer: &str, effects: Option<&str>, more: &[&str]) -> Vec<(String, Value)> {
    let mut arguments = vec!["check", "--consumer", consumer, "--json"];
    arguments.extend(effects.iter().flat_map(|effects| ["--effects", effects]));
    arguments.extend(more);
    let (code, out, err) = run(&arguments).await;
    let findings: Vec<Value> = serde_json::from_str(&out)
        .unwrap_or_else(|error| panic!("{consumer}: {error} in {out}{err}"));
    let has_fault = findings.iter().any(|finding| finding["verdict"] == "fault");
    assert_eq!(code, i32::from(has_fault), "{out}");
    let name = |finding: &Value| finding["name"].as_str().unwrap().to_owned();
    findings
        .into_iter()
        .map(|finding| (name(&finding), finding))
        .collect()
}

/// All rules are kept; these do not apply.
fn are_good(findings: &[(String, Value)], none: &[&str]) {
    assert_eq!(findings.len(), 13, "{findings:?}");
    for (name, finding) in findings {
        let expected = if none.contains(&name.as_str()) {
            "none"
        } else {
            "good"
        };
        assert_eq!(finding["verdict"], expected, "{finding}");
    }
}

/// How an example starts for bills at this address, as a shell has it.
fn in_shell(command: &Command, bills: &str) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    format!("DATABASE_URL='{bills}' exec {}", words.join(" "))
}

/// Prints the orders that have a bill.
fn billed(bills: &FreshDatabase) -> String {
    let url = bills.url();
    format!("psql --no-psqlrc -Atc 'SELECT order_id FROM bill' '{url}'")
}

const BILLS: &[&str] = &["--data", r#"{"id": %n, "cents": %n00}"#];

async fn an_example_keeps_all_rules(language: Option<Language>) {
    let Some(language) = language.filter(|_| available(&["psql"])) else {
        return;
    };
    let bills = database(Backend::Postgres).await;
    let pooler = language.pooler(&bills).await;
    let url = url_of(&bills, pooler.as_ref());
    let consumer = in_shell(&(language.program)("consumer"), &url);
    let effects = billed(&bills);
    // It reads JSON, where the order is the feed's, and what is left out is so for good.
    let findings = findings(&consumer, Some(&effects), BILLS).await;
    are_good(&findings, &["gap", "reordered"]);
    for poison in ["{}", r#"{"id": {}, "cents": true}"#] {
        let more = [BILLS, &["--fault", "poison", "--poison", poison]].concat();
        for (_, finding) in self::findings(&consumer, Some(&effects), &more).await {
            assert_eq!(finding["verdict"], "good", "{poison}: {finding}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_consumer_in_python_keeps_all_rules() {
    an_example_keeps_all_rules(python()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_consumer_in_javascript_keeps_all_rules() {
    an_example_keeps_all_rules(javascript()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_consumer_in_java_keeps_all_rules() {
    an_example_keeps_all_rules(java()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_consumer_in_go_keeps_all_rules() {
    an_example_keeps_all_rules(go()).await;
}

/// The fault that shows a mistake, and what is replaced by what in the example.
type Mistake = (&'static str, &'static [(&'static str, &'static str)]);

const MISTAKES: &[Mistake] = &[
    // Each event counts as new.
    ("duplicates", &[("rowcount == 1", "rowcount >= 0")]),
    // It follows each redirect.
    ("redirect", &[("build_opener(Stay)", "build_opener()")]),
    (
        "poison",
        &[("psycopg.DataError, psycopg.IntegrityError)", "KeyError)")],
    ),
    // It asks again at once.
    (
        "server-errors",
        &[(
            "    batch, cursor = ask(feed, cursor)",
            "    while True:\n        try:\n            batch, cursor = ask(feed, cursor)\n            break\n        \
             except urllib.error.HTTPError:\n            pass",
        )],
    ),
    // It begins anew at a feed that it does not know.
    (
        "another-history",
        &[(
            "            if error.code == 410:",
            "            if error.code == 410:\n                \
             psycopg.connect(os.environ[\"DATABASE_URL\"], autocommit=True).execute(\"DELETE FROM feed_cursor\")\n                \
             continue\n            if False:",
        )],
    ),
    // Claims are committed alone, some time before the effect.
    (
        "kill",
        &[
            (
                "    with db.transaction():\n        for",
                "    if True:\n        for",
            ),
            (
                "                try:",
                "                time.sleep(0.03)\n                try:",
            ),
        ],
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistake_is_named_by_the_fault_that_shows_it() {
    let Some(python) = python().filter(|_| available(&["psql"])) else {
        return;
    };
    let all = MISTAKES.iter().map(|mistake| is_named(&python, mistake));
    futures_util::future::join_all(all).await;
}

async fn is_named(python: &Language, (fault, changes): &Mistake) {
    let example = root().join("examples/python/consumer.py");
    let mut text = std::fs::read_to_string(example).unwrap();
    for (from, to) in *changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("consumer.py");
    std::fs::write(&program, text).unwrap();
    let bills = database(Backend::Postgres).await;
    let mut command = Command::new((python.program)("consumer").get_program());
    let consumer = in_shell(command.arg(&program), bills.url());
    let effects = billed(&bills);
    let more = [BILLS, &["--fault", fault, "--patience", "15s"]].concat();
    let findings = findings(&consumer, Some(&effects), &more).await;
    let verdicts: Vec<(&str, &Value)> = findings
        .iter()
        .map(|(name, finding)| (name.as_str(), &finding["verdict"]))
        .collect();
    let (good, wrong) = (Value::from("good"), Value::from("fault"));
    assert_eq!(
        verdicts,
        [("level", &good), (*fault, &wrong)],
        "{findings:?}"
    );
}

/// As feed readers do it: by the date of the head alone, in the order of the documents, and never slower.
const NAIVE: &str = r#"
import os, re, time, urllib.error, urllib.request
since, seen = None, set()

def get(url, headers={}):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
        return answer.read().decode(), answer.headers["Last-Modified"]

while True:
    try:
        text, since = get(os.environ["FEED_URL"], {"If-Modified-Since": since} if since else {})
        found = []
        while True:
            found += re.findall("<entry>.*?<id>(.*?)</id>", text, re.S)
            archive = re.search('rel="prev-archive"[^>]*href="(.*?)"', text)
            if not archive:
                break
            text, _ = get(archive[1])
        for event in reversed(found):
            if event not in seen:
                print(event, flush=True)
        seen.update(found)
    except urllib.error.HTTPError:
        pass
    time.sleep(0.05)
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_goes_by_dates_and_by_places_gets_faults() {
    if !available(&["python3"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("naive.py");
    std::fs::write(&program, NAIVE).unwrap();
    let consumer = format!("exec python3 {}", program.display());
    let faults = ["duplicates", "reordered", "same-second"];
    let mut more = vec!["--patience", "10s"];
    more.extend(faults.iter().flat_map(|fault| ["--fault", fault]));
    let findings = findings(&consumer, None, &more).await;
    let verdicts: Vec<(&str, &str)> = findings
        .iter()
        .map(|(name, finding)| (name.as_str(), finding["verdict"].as_str().unwrap()))
        .collect();
    assert_eq!(
        verdicts,
        [
            ("level", "good"),
            ("duplicates", "fault"),
            ("reordered", "fault"),
            ("same-second", "fault"),
        ],
        "{findings:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_in_python_keeps_all_rules() {
    if !available(&["python3", "sqlite3"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let ledger = directory.path().join("ledger.db");
    let (ledger, script) = (ledger.display(), root().join("tests/consumer.py"));
    let consumer = format!("exec python3 {} $FEED_URL {ledger}", script.display());
    let booked =
        "SELECT event FROM claim WHERE event NOT IN (SELECT event FROM missed) ORDER BY rowid";
    let effects = format!("sqlite3 {ledger} '{booked}'");
    let data = ["--data", r#"{"total": %n}"#];
    are_good(&findings(&consumer, Some(&effects), &data).await, &[]);
}

/// What this program does itself, with the faults of the feed; `kill -9` is in other tests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn feed_deliver_and_feed_tail_keep_all_rules() {
    if !available(&["sqlite3", "jq"]) {
        return;
    }
    let feed = built("feed");
    let feed = feed.get_program().to_str().unwrap();
    let tail = format!("'{feed}' tail $FEED_URL --after start --json | jq --unbuffered -r .id");
    are_good(&findings(&tail, None, &[]).await, &["kill"]);

    let bills = database(Backend::Sqlite).await;
    bills
        .execute("CREATE TABLE bill (id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL)")
        .await;
    let directory = tempfile::tempdir().unwrap();
    let sql = directory.path().join("on_event.sql");
    std::fs::write(&sql, "INSERT INTO bill (order_id) VALUES (:data ->> 'id')").unwrap();
    let consumer = format!(
        "exec '{feed}' deliver --listen 127.0.0.1:0 --database-url '{}' --sql {} --subscription $FEED_FAULT",
        bills.url(),
        sql.display()
    );
    let file = bills.url().strip_prefix("sqlite:").unwrap();
    let effects = format!("sqlite3 {file} 'SELECT order_id FROM bill ORDER BY id'");
    let all = [
        "duplicates",
        "gap",
        "reordered",
        "server-errors",
        "cut-body",
        "not-modified",
        "late-page",
        "same-second",
        "redirect",
        "poison",
        "another-history",
    ];
    let faults: Vec<&str> = all.iter().flat_map(|fault| ["--fault", fault]).collect();
    let findings = findings(&consumer, Some(&effects), &faults).await;
    assert_eq!(findings.len(), 12);
    for (_, finding) in &findings {
        assert_eq!(finding["verdict"], "good", "{finding}");
    }
}

/// Processes that run with these arguments.
fn processes(arguments: &str) -> usize {
    let all = std::fs::read_dir("/proc").unwrap();
    let lines = all.filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok());
    let is_it =
        |line: &Vec<u8>| String::from_utf8_lossy(line).replace('\0', " ").trim() == arguments;
    lines.filter(is_it).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_process_is_left_behind() {
    // It does not stop when it is asked to, nor does what it has started.
    let stubborn = "trap '' TERM INT; sleep 7654321 & sleep 7654322";
    let (code, ..) = run(&["check", "--consumer", stubborn, "--patience", "1s"]).await;
    assert_eq!(code, 2, "it asks for nothing");
    let effects = ["--effects", "sleep 7654323"];
    let (code, ..) = run(&[&["check", "--consumer", "sleep 7654324"], &effects[..]].concat()).await;
    assert_eq!(code, 2, "it takes too long");
    for signal in ["TERM", "INT"] {
        let directory = tempfile::tempdir().unwrap();
        let mut command = built("feed");
        command.args(["check", "--consumer", stubborn]);
        let mut check = Process::start_command("check", &mut command, &[], directory.path());
        until("it runs", async || {
            (processes("sleep 7654322") == 1).then_some(())
        })
        .await;
        assert_eq!(check.stop(signal).await, Some(2));
        until("all have ended", async || {
            let left = (1..5).map(|last| processes(&format!("sleep 765432{last}")));
            (left.sum::<usize>() == 0).then_some(())
        })
        .await;
    }
}

/// An effect that no event has is not overlooked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_effect_of_no_event_is_a_fault() {
    if !available(&["jq"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    // Of another run.
    std::fs::write(directory.path().join("others"), "0\n").unwrap();
    let feed = built("feed");
    let feed = feed.get_program().to_str().unwrap();
    let directory = directory.path().display();
    let consumer = format!(
        "cd {directory}; echo 0 >> others
         '{feed}' tail $FEED_URL --after start --json | jq --unbuffered -r .id >> ids"
    );
    let effects = format!("cd {directory}; cat others; touch ids; sort -u ids");
    let findings = findings(&consumer, Some(&effects), &["--fault", "level"]).await;
    let found = findings[0].1["found"].as_str().unwrap();
    assert!(
        found.starts_with("there is an effect of no event"),
        "{found}"
    );
}

/// A byte that is no UTF-8 neither ends the reading, which would kill the consumer, nor hides what comes after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_may_print_any_bytes() {
    let feed = built("feed");
    let feed = feed.get_program().to_str().unwrap();
    let consumer = format!(
        r#"'{feed}' tail $FEED_URL --after start --json | while read -r line; do
               printf '\377\r\n\377\033[2J\n' >&2
               printf '%s\n' "$line" | sed 's/.*"id":"\([^"]*\)".*/\1\r/'
           done"#
    );
    let (code, out, err) = run(&["check", "--consumer", &consumer, "--fault", "level"]).await;
    assert_eq!(code, 0, "{out}{err}");
    // What it says last is shown with a fault, and obeyed by no terminal.
    let consumer = r"while true; do curl -s $FEED_URL > /dev/null; printf '\377 \033[2J\n' >&2; sleep 0.1; done";
    let arguments = [
        "check",
        "--consumer",
        consumer,
        "--fault",
        "level",
        "--patience",
        "1s",
    ];
    let (code, out, err) = run(&arguments).await;
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("\u{fffd} \u{fffd}[2J"), "{out:?}");
}

#[tokio::test]
async fn what_cannot_be_checked_is_said() {
    for (arguments, code, says) in [
        (&["check"][..], 2, "<URL>"),
        (&["check", "--effects", "true"], 2, "--consumer"),
        (
            &["check", "--consumer", "true", "--data", "%n, 1"],
            2,
            "is no JSON",
        ),
        (
            &["check", "--consumer", "true", "--fault", "rain"],
            2,
            "another-history",
        ),
        (
            &[
                "check",
                "--consumer",
                "sleep 9",
                "--effects",
                "echo none; exit 3",
            ],
            2,
            "failed (exit status: 3)",
        ),
    ] {
        let (ended, out, err) = run(arguments).await;
        assert_eq!(ended, code, "{arguments:?}: {out}{err}");
        assert!(err.contains(says), "{err}");
    }
    // A consumer that is not there is no fault of the feed.
    let missing = [
        "check",
        "--consumer",
        "/no/such/program",
        "--patience",
        "1s",
    ];
    let (code, _, err) = run(&missing).await;
    assert_eq!(code, 2);
    for said in [
        "has not asked for http://127.0.0.1:",
        "exit status: 127",
        "/no/such/program",
    ] {
        assert!(err.contains(said), "{err}");
    }
}
