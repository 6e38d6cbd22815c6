//! Controls of the checker: it must find these faults, which are put into the database of the order
//! service. Faults in the code are in `controls/`, for `tests/long controls`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::programs::{available, succeed};
use harness::{Backend, tables};

use crate::checker::assert_violates;
use crate::fleet::Fleet;
use crate::guards;
use crate::life::Life;
use crate::plan::{Plan, Whose};

/// The number is taken in the transaction of the change, and so becomes visible out of order: what
/// commits late is never read.
const PAGING_BY_ID: &str = "
    CREATE SEQUENCE test_number;
    CREATE FUNCTION test_number() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO feed_event (sequence, id, event_type, subject, time, updated, title, summary,
                                link, data, traceparent)
        VALUES (nextval('test_number'), NEW.id, NEW.event_type, NEW.subject, NEW.time,
                clock_timestamp(), NEW.title, NEW.summary, NEW.link, NEW.data, NEW.traceparent);
        PERFORM pg_sleep(0.1 * (random() < 0.1)::int); -- some take longer than others
        RETURN NULL;
    END $$;
    CREATE TRIGGER test_number BEFORE INSERT ON feed_outbox
        FOR EACH ROW EXECUTE FUNCTION test_number();
    CREATE OR REPLACE FUNCTION feed_number(most BIGINT, OUT head feed_head, OUT numbered BIGINT)
    RETURNS SETOF RECORD LANGUAGE plpgsql VOLATILE AS $$ BEGIN
        UPDATE feed_head SET (sequence, anchor, updated) = (
            SELECT sequence, id, updated FROM feed_event ORDER BY sequence DESC LIMIT 1)
        WHERE EXISTS (SELECT FROM feed_event) RETURNING * INTO head;
        numbered := 0;
        IF FOUND THEN RETURN NEXT; END IF;
    END $$;";

/// The lock of the head and the numbering are one statement, whose snapshot is older than the lock:
/// what a rival has numbered meanwhile is numbered again.
const ONE_STATEMENT: &str = "
    CREATE OR REPLACE FUNCTION feed_number(most BIGINT, OUT head feed_head, OUT numbered BIGINT)
    RETURNS SETOF RECORD LANGUAGE plpgsql VOLATILE AS $$ BEGIN
        WITH busy AS MATERIALIZED (
            SELECT pg_sleep(0.003) -- as a machine is that has more to do
        ), locked AS MATERIALIZED (
            SELECT feed_head.* FROM busy, feed_head FOR UPDATE OF feed_head SKIP LOCKED
        ), committed AS MATERIALIZED (
            SELECT feed_outbox.*, locked.sequence + row_number() OVER (ORDER BY position) AS number
            FROM feed_outbox, locked
        ), gone AS (
            DELETE FROM feed_outbox USING committed
            WHERE feed_outbox.position = committed.position
        ), published AS (
            INSERT INTO feed_event (sequence, id, event_type, subject, time, updated, title,
                                    summary, link, data, traceparent)
            SELECT number, id, event_type, subject, time, clock_timestamp(), title, summary, link,
                   data, traceparent FROM committed
            ON CONFLICT (id) DO UPDATE SET sequence = EXCLUDED.sequence
        )
        UPDATE feed_head SET sequence = newest.number, anchor = newest.id, updated = clock_timestamp()
        FROM (SELECT number, id FROM committed ORDER BY number DESC LIMIT 1) AS newest;
        SELECT * INTO head FROM feed_head;
        numbered := 0;
        RETURN NEXT;
    END $$;";

/// An event is numbered inside the commit of a transaction whose snapshot is older than other events: it gets a sequence
/// before them.
const NUMBERED_IN_REPEATABLE_READ: &str = "
    DO $$
    DECLARE
        with_guard TEXT := pg_get_functiondef('feed_number_alone(bigint)'::regprocedure);
        without    TEXT := replace(with_guard, 'OR current_setting(''transaction_isolation'') <> ''read committed''', '');
    BEGIN
        ASSERT without <> with_guard, 'there is no such guard any more';
        EXECUTE without;
    END $$";

/// An event is numbered when it is inserted, and not inside COMMIT: the head is locked until the client has asked for that.
const HEAD_LOCKED_OVER_A_TRIP: &str = "
    DO $$
    DECLARE
        with_guard TEXT := pg_get_functiondef('feed_number_alone(bigint)'::regprocedure);
        without    TEXT := replace(with_guard, 'coalesce(current_query(), '''') !~*', ''''' !~* ''^$'' AND '''' !~*');
    BEGIN
        ASSERT without <> with_guard, 'there is no such guard any more';
        EXECUTE without;
    END $$;
    DROP TRIGGER feed_number_at_commit ON feed_outbox;
    CREATE CONSTRAINT TRIGGER feed_number_at_commit
        AFTER INSERT ON feed_outbox DEFERRABLE INITIALLY IMMEDIATE
        FOR EACH ROW EXECUTE FUNCTION feed_number_at_commit()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_finds_numbering_in_repeatable_read() {
    let life = quiet_life_with(NUMBERED_IN_REPEATABLE_READ, "control-repeatable").await;
    assert_violates(&guards::with_an_older_snapshot(life).await, &["V4"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_finds_a_head_that_is_locked_over_a_trip() {
    let life = quiet_life_with(HEAD_LOCKED_OVER_A_TRIP, "control-trip").await;
    assert_violates(&guards::with_a_stalled_application(life).await, &["V10"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_finds_paging_by_id() {
    let directory = life_with(PAGING_BY_ID, "control-id").await;
    assert_violates(&directory, &["V1", "V3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_finds_a_sequencer_of_one_statement() {
    let directory = life_with(ONE_STATEMENT, "control-statement").await;
    assert_violates(&directory, &["V3"]);
}

/// `tests/long controls` runs them; this test checks only that the patches apply.
#[tokio::test]
async fn every_control_patch_applies_to_the_code() {
    if !available(&["patch"]) {
        return;
    }
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for file in std::fs::read_dir(tests.join("faults/controls")).unwrap() {
        let file = file.unwrap().path();
        if file
            .extension()
            .is_some_and(|extension| extension == "patch")
        {
            let mut patch = Command::new("patch");
            patch.args(["--strip", "1", "--dry-run", "--input"]);
            patch.arg(&file).arg("--directory").arg(tests.join(".."));
            succeed(patch).await;
            count += 1;
        }
    }
    assert!(count > 0);
}

/// The situation of a guard on a database that has been changed.
async fn quiet_life_with(sql: &str, name: &str) -> Life {
    let mut life = guards::quiet_life(name).await;
    tables::run(life.fleet.url(Whose::Order), sql).await;
    life.patience = Duration::from_secs(3);
    life
}

/// Two order services on a database that has been changed, without other faults.
async fn life_with(sql: &str, name: &str) -> std::path::PathBuf {
    let mut plan = Plan::quiet(Backend::Postgres, [2, 1, 1]);
    plan.pauses = vec![2; 8];
    let fleet = Fleet::start(&plan, name).await;
    tables::run(fleet.url(Whose::Order), sql).await;
    let mut life = Life::of(fleet, &plan);
    life.patience = Duration::from_secs(3);
    life.last(Duration::from_secs(5)).await;
    life.end().await
}
