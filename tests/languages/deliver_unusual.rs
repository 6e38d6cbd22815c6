//! What `feed deliver` does with data, errors and command lines that are not as usual.

use harness::{Backend, tables, until};

use crate::deliver::Team;
use crate::feed::{publish, run, run_with};

harness::on_both_backends! {
    what_the_outbox_takes_is_delivered
    an_error_of_the_database_says_what_helps
    a_command_reads_the_feed_of_the_subscription_alone
    options_that_do_not_fit_are_refused
    a_probe_needs_no_target
}

/// The outbox takes U+0000 in a string, and jsonb does not. The text stays as it is.
async fn what_the_outbox_takes_is_delivered(backend: Backend) {
    let team = Team::new(backend).await;
    team.bills
        .execute("CREATE TABLE kept (subject TEXT, data TEXT, event TEXT, whole TEXT)")
        .await;
    let sql = "INSERT INTO kept VALUES (:subject, :data ->> 's', :event -> 'data' ->> 's', :text)";
    let sql = team.sql(sql);
    let deliver = team.deliver(&["--sql", &sql]).await;
    let all = [
        (r#"{"s": "a\u0000b"}"#, "a\u{fffd}b", "610062"),
        (
            r#"{"s": "\\\u0000\u0000", "\u0000": 1}"#,
            "\\\u{fffd}\u{fffd}",
            "5C0000",
        ),
        (r#"{"s": "\\u0000"}"#, r"\u0000", "5C7530303030"),
        (r#"{"s": "\ud83d\ude00"}"#, "\u{1f600}", "F09F9880"),
    ];
    for (data, ..) in &all {
        // Twice, since a parked event lets the next one of its subject wait.
        for _ in 0..2 {
            publish(&team.orders, "nul/1", data).await;
        }
    }
    let kept = async |columns: &str| {
        let sql = format!("SELECT {columns} FROM kept ORDER BY whole");
        tables::texts(team.bills.url(), &sql).await
    };
    until("all are delivered", async || {
        let status = deliver.client.json("status").await?;
        assert_eq!(status["parked"], 0, "{status}");
        (kept("whole").await.len() == 2 * all.len()).then_some(())
    })
    .await;
    let mut expected: Vec<(String, String)> = all
        .iter()
        .map(|(data, text, bytes)| {
            let read = match backend {
                Backend::Postgres => (*text).to_owned(),
                Backend::Sqlite => (*bytes).to_owned(),
            };
            ((*data).to_owned(), read)
        })
        .flat_map(|one| [one.clone(), one])
        .collect();
    expected.sort();
    for column in ["data", "event"] {
        let read = match backend {
            Backend::Postgres => column.to_owned(),
            Backend::Sqlite => format!("hex({column})"),
        };
        let rows = kept("whole").await.into_iter().zip(kept(&read).await);
        let mut rows: Vec<(String, String)> = rows.collect();
        rows.sort();
        assert_eq!(rows, expected, "{column}");
    }
}

/// In the first lines of the program, where an event was parked, and in the log. The driver's own text ends in a line number
/// of PostgreSQL's source code.
async fn an_error_of_the_database_says_what_helps(backend: Backend) {
    let team = Team::new(backend).await;
    let feed = team.feed.client.url("feed");
    let is_postgres = matches!(backend, Backend::Postgres);
    let wrong = team.sql("SELECT bill.order_ids FROM bill");
    let arguments = ["--sql", &wrong, "--listen", "127.0.0.1:0"];
    let (code, _, err) = run(&team.arguments(&feed, &arguments)).await;
    assert!(code != 0 && !err.contains(" at line "), "{err}");
    for said in ["(SQLSTATE 42703)", "hint: Perhaps you meant"] {
        assert_eq!(err.contains(said), is_postgres, "{err}");
    }
    // What a row quotes, or a statement, is of a person, and stays with the database.
    let tables = match backend {
        Backend::Postgres => {
            "CREATE TABLE person (email TEXT PRIMARY KEY);
             CREATE FUNCTION meet(email text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
                 EXECUTE format('INSERT INTO person VALUES (%L)', email);
             END $$"
        }
        Backend::Sqlite => "CREATE TABLE person (email TEXT PRIMARY KEY)",
    };
    team.bills.execute(tables).await;
    let sql = team.sql(match backend {
        Backend::Postgres => "SELECT meet(:data ->> 'email')",
        Backend::Sqlite => "INSERT INTO person VALUES (:data ->> 'email')",
    });
    let deliver = team.deliver(&["--sql", &sql]).await;
    for subject in ["person/1", "person/2"] {
        publish(&team.orders, subject, r#"{"email": "marie@example.com"}"#).await;
    }
    until("the second one is parked", async || {
        let status = deliver.client.json("status").await?;
        (status["parked"] == 1).then_some(())
    })
    .await;
    let (_, parked, _) = run(&team.arguments(&feed, &["parked", "--json"])).await;
    let log = deliver.process.log();
    for text in [&parked, &log] {
        assert!(!text.contains(" at line "), "{text}");
        assert!(!text.contains("marie@example.com"), "{text}");
        for said in [
            "(SQLSTATE 23505)",
            "where: PL/pgSQL function meet(text) line 2 at EXECUTE",
        ] {
            assert_eq!(text.contains(said), is_postgres, "{text}");
        }
    }
}

/// With no instance to do it, `replay` takes the events itself: another feed would halt the subscription, and one that does
/// not answer would leave a decision open, so that no event is taken.
async fn a_command_reads_the_feed_of_the_subscription_alone(backend: Backend) {
    let team = Team::new(backend).await;
    let file = team.bill();
    let feed = team.feed.client.url("feed");
    let own = ["--sql", &file, "--idempotent"];
    let mut deliver = team.deliver(&own).await;
    team.place(1, 100).await;
    team.place(2, 100).await;
    team.billed(1..=2).await;
    let replay = [&own[..], &["replay", "--from", "1"]].concat();
    let elsewhere = "http://127.0.0.1:9/feed";
    // An instance that runs does it, whatever the setting of the command is.
    team.bills.execute("DELETE FROM bill").await;
    let (code, out, err) = run(&team.arguments(elsewhere, &replay)).await;
    assert_eq!(code, 0, "{out} {err}");
    team.billed(1..=2).await;
    assert_eq!(deliver.process.stop("TERM").await, Some(0));
    team.bills.execute("DELETE FROM bill").await;
    let decisions = async || {
        run(&team.arguments(elsewhere, &["decisions", "--json"]))
            .await
            .1
    };
    let refuses = async |command: &[&str]| {
        let before = decisions().await;
        let arguments = [&own[..], command].concat();
        let (code, out, err) = run(&team.arguments(elsewhere, &arguments)).await;
        assert_eq!(code, 2, "{out} {err}");
        assert!(err.contains(&format!("give --feed-url {feed}")), "{err}");
        assert_eq!(decisions().await, before);
    };
    refuses(&["replay", "--from", "1"]).await;
    let (_, status, _) = run(&team.arguments(elsewhere, &["status"])).await;
    assert!(
        status.contains(&feed) && !status.contains(elsewhere),
        "{status}"
    );
    let (code, out, err) = run(&team.arguments(&feed, &replay)).await;
    assert_eq!(code, 0, "{out} {err}");
    assert!(err.contains(&format!("reads {feed} (FEED_URL)")), "{err}");
    team.billed(1..=2).await;
    let halt = "UPDATE feed_subscription SET halted = 'the feed is another one'";
    team.bills.execute(halt).await;
    for from in ["--keep", "--from-start", "--from-now"] {
        refuses(&["resume", from]).await;
    }
    let (code, out, err) = run(&team.arguments(&feed, &["--sql", &file, "resume", "--keep"])).await;
    assert_eq!(code, 0, "{out} {err}");
}

/// Without an effect they would look as if they had one.
async fn options_that_do_not_fit_are_refused(backend: Backend) {
    let team = Team::new(backend).await;
    let feed = team.feed.client.url("feed");
    let sql = team.sql("SELECT 1");
    let listen = ["--listen", "127.0.0.1:0"];
    let to = ["--to", "http://127.0.0.1:9/hook"];
    let refused = async |arguments: &[&str], said: &str| {
        let arguments = [&listen[..], arguments].concat();
        let (code, out, err) = run(&team.arguments(&feed, &arguments)).await;
        assert_eq!(code, 2, "{arguments:?}: {out} {err}");
        assert!(err.contains(said), "{arguments:?}: {err}");
    };
    for option in [["--source", "urn:shop"], ["--timeout", "1s"]] {
        refused(
            &[&["--sql", &sql][..], &option].concat(),
            "cannot be used with",
        )
        .await;
    }
    for source in ["a b", "", "größe", "a#b#c"] {
        refused(&[&to[..], &["--source", source]].concat(), "CloudEvents").await;
    }
    refused(&["--to", "ftp://x/"], "http: or https:").await;
    refused(&[], "give --call, --sql or --to").await;
    // Other commands have options of these names.
    for (variable, value) in [("DELIVER_TYPES", "a,,b"), ("WEBHOOK_TIMEOUT", "9s")] {
        let variables = [(variable, value), ("STATUS_TIMEOUT", "x")];
        let arguments = [&listen[..], &to].concat();
        let (code, _, err) = run_with(&variables, &team.arguments(&feed, &arguments)).await;
        let said = format!("that is the value of {variable} in the environment");
        assert!(code == 2 && err.contains(&said), "{err}");
    }
    let variables = [("WEBHOOK_TIMEOUT", "1s")];
    let arguments = [&listen[..], &["--sql", &sql]].concat();
    let (code, _, err) = run_with(&variables, &team.arguments(&feed, &arguments)).await;
    assert!(code == 2 && err.contains("cannot be used with"), "{err}");
    for option in [
        "--type",
        "--data",
        "--poison",
        "--patience",
        "--effects",
        "--fault",
    ] {
        let value = match option {
            "--patience" => "1s",
            "--fault" => "kill",
            _ => "1",
        };
        let (code, _, err) = run(&["check", &feed, option, value]).await;
        assert!(code == 2 && err.contains("--consumer"), "{option}: {err}");
    }
}

/// It asks the service that runs.
async fn a_probe_needs_no_target(backend: Backend) {
    let team = Team::new(backend).await;
    let file = team.bill();
    let mut deliver = team.deliver(&["--sql", &file]).await;
    let address = deliver.client.url("");
    let address = address.trim_start_matches("http://").trim_end_matches('/');
    let probe = ["deliver", "--probe", "--listen", address];
    let (code, out, err) = run(&probe).await;
    assert_eq!(code, 0, "{out} {err}");
    assert_eq!(deliver.process.stop("TERM").await, Some(0));
    let (code, ..) = run(&probe).await;
    assert_eq!(code, 1);
}
