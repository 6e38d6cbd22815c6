//! Which settings of PostgreSQL are in force in the sessions of an order service.

use crate::tables;

/// Records them where an event is appended (in a transaction) and where it is numbered: by a single
/// statement, or in a COMMIT, which waits less for locks.
const RECORD: &str = "
    CREATE TABLE test_settings (place TEXT, settings TEXT);
    GRANT INSERT ON test_settings TO PUBLIC;
    CREATE FUNCTION test_settings() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO test_settings SELECT TG_TABLE_NAME, concat_ws(', ',
            current_setting('transaction_isolation'), current_setting('lock_timeout'),
            current_setting('idle_in_transaction_session_timeout'),
            current_setting('enable_seqscan'), current_setting('jit'),
            current_setting('statement_timeout'), current_setting('synchronous_commit'));
        RETURN NEW;
    END $$;
    CREATE TRIGGER test_settings BEFORE INSERT ON feed_outbox
        FOR EACH ROW EXECUTE FUNCTION test_settings();
    CREATE TRIGGER test_settings BEFORE UPDATE ON feed_head
        FOR EACH ROW EXECUTE FUNCTION test_settings();";

/// Begins to record, in the database of an order service.
pub async fn record(url: &str) {
    tables::run(url, RECORD).await;
}

/// Fails unless orders were placed, and all that was recorded is as the services need it.
///
/// # Panics
///
/// It is not.
pub async fn assert_in_force(url: &str) {
    let found = "SELECT DISTINCT place || ': ' || settings FROM test_settings ORDER BY 1";
    let found = tables::texts(url, found).await;
    let wanted = "read committed, 3s, 15s, off, off, 0, on";
    let places = ["feed_head", "feed_outbox"].map(|place| format!("{place}: {wanted}"));
    let in_commit = places[0].replace("3s", "10ms");
    for setting in &found {
        assert!(
            places.contains(setting) || *setting == in_commit,
            "{found:?}"
        );
    }
    assert!(found.contains(&places[1]), "{found:?}");
}
