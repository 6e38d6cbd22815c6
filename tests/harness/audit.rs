//! What was written, by which process and in which transaction: a table beside those of the
//! consumer, filled by triggers. (On SQLite it knows neither process nor transaction.) It shows
//! what the final state alone hides: a late instance that wrote the same again, a cursor that went
//! back, effects apart from their claims.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::tables::{is_postgres, run, texts};

/// Puts the triggers on the tables of a consumer.
///
/// # Panics
///
/// The tables are not there.
pub async fn install(url: &str, service: &str) {
    let is_postgres = is_postgres(url);
    run(url, if is_postgres { ON_POSTGRES } else { ON_SQLITE }).await;
    let (table, order, change) = match service {
        "invoice" => ("invoice", "placed", "credited"),
        "shipping" => ("shipment", "placed", "stopped"),
        // Its effects are not in its database.
        _ => return,
    };
    let effects = match is_postgres {
        true => effects_on_postgres(table, order, change),
        false => effects_on_sqlite(table, order, change),
    };
    run(url, &effects).await;
}

const ON_POSTGRES: &str = "
         CREATE TABLE test_audit (
             n     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
             what  TEXT NOT NULL,
             key   TEXT NOT NULL,
             old   BIGINT,
             new   BIGINT,
             epoch BIGINT,
             owner TEXT,
             app   TEXT DEFAULT current_setting('application_name'),
             tx    BIGINT DEFAULT txid_current()
         );
         CREATE FUNCTION test_audit_move() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO test_audit (what, key, old, new, epoch, owner)
             VALUES ('move', NEW.partition, OLD.sequence, NEW.sequence, NEW.lease_epoch,
                     NEW.lease_owner);
             RETURN NULL;
         END $$;
         CREATE TRIGGER test_audit_move AFTER UPDATE OF sequence ON feed_partition
             FOR EACH ROW EXECUTE FUNCTION test_audit_move();
         CREATE FUNCTION test_audit_claim() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO test_audit (what, key, new) VALUES ('claim', NEW.subject, NEW.sequence);
             RETURN NULL;
         END $$;
         CREATE TRIGGER test_audit_claim AFTER INSERT ON feed_claim
             FOR EACH ROW EXECUTE FUNCTION test_audit_claim();
         CREATE FUNCTION test_audit_park() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO test_audit (what, key, new) VALUES ('park', NEW.subject, NEW.sequence);
             RETURN NULL;
         END $$;
         CREATE TRIGGER test_audit_park AFTER INSERT ON feed_parked
             FOR EACH ROW EXECUTE FUNCTION test_audit_park();";

fn effects_on_postgres(table: &str, order: &str, change: &str) -> String {
    format!(
        "CREATE FUNCTION test_audit_effect() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO test_audit (what, key)
             VALUES (CASE TG_OP WHEN 'INSERT' THEN '{order}' ELSE '{change}' END,
                     'order/' || NEW.order_id);
             RETURN NULL;
         END $$;
         CREATE TRIGGER test_audit_effect AFTER INSERT OR UPDATE ON {table}
             FOR EACH ROW EXECUTE FUNCTION test_audit_effect();"
    )
}

const ON_SQLITE: &str = "
         CREATE TABLE test_audit (n INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT NOT NULL,
             key TEXT NOT NULL, old INTEGER, new INTEGER, epoch INTEGER, owner TEXT);
         CREATE TRIGGER test_audit_move AFTER UPDATE OF sequence ON feed_partition BEGIN
             INSERT INTO test_audit (what, key, old, new, epoch, owner)
             VALUES ('move', NEW.partition, OLD.sequence, NEW.sequence, NEW.lease_epoch,
                     NEW.lease_owner);
         END;
         CREATE TRIGGER test_audit_claim AFTER INSERT ON feed_claim BEGIN
             INSERT INTO test_audit (what, key, new) VALUES ('claim', NEW.subject, NEW.sequence);
         END;
         CREATE TRIGGER test_audit_park AFTER INSERT ON feed_parked BEGIN
             INSERT INTO test_audit (what, key, new) VALUES ('park', NEW.subject, NEW.sequence);
         END;";

fn effects_on_sqlite(table: &str, order: &str, change: &str) -> String {
    format!(
        "CREATE TRIGGER test_audit_placed AFTER INSERT ON {table} BEGIN
             INSERT INTO test_audit (what, key) VALUES ('{order}', 'order/' || NEW.order_id);
         END;
         CREATE TRIGGER test_audit_changed AFTER UPDATE ON {table} BEGIN
             INSERT INTO test_audit (what, key) VALUES ('{change}', 'order/' || NEW.order_id);
         END;"
    )
}

/// Fails if something was written late, twice, out of order, or apart.
///
/// # Panics
///
/// It was.
pub async fn check(url: &str) {
    let rows = texts(
        url,
        "SELECT to_jsonb(test_audit)::text FROM test_audit ORDER BY n",
    );
    let rows: Vec<Value> = rows
        .await
        .iter()
        .map(|row| serde_json::from_str(row).expect("JSON"))
        .collect();
    if let Err(wrong) = moves(&rows)
        .and_then(|()| owners(&rows))
        .and_then(|()| claims(&rows))
        .and_then(|()| effects(&rows))
    {
        panic!("{wrong}");
    }
}

/// What is wrong, or nothing.
type Verdict = Result<(), String>;

fn holds(condition: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if condition { Ok(()) } else { Err(otherwise()) }
}

fn all<'a>(rows: &'a [Value], what: &str) -> impl Iterator<Item = &'a Value> {
    rows.iter().filter(move |row| row["what"] == what)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A cursor only advances, under lease epochs that never decrease (V6, V7).
///
/// # Errors
///
/// What does not hold.
pub fn moves(rows: &[Value]) -> Verdict {
    let mut at: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for row in all(rows, "move") {
        let [old, new, epoch] =
            ["old", "new", "epoch"].map(|name| row[name].as_i64().unwrap_or_default());
        let before = at.insert(text(&row["key"]), (new, epoch));
        let (sequence, lease) = before.unwrap_or((0, 0));
        holds(old == sequence, || {
            format!("a cursor that moved unseen: {row}")
        })?;
        holds(new >= old, || format!("a cursor that went back: {row}"))?;
        holds(epoch >= lease, || {
            format!("a lease epoch that went back: {row}")
        })?;
    }
    Ok(())
}

/// The process that moves a partition's cursor has its lease (V7).
///
/// # Errors
///
/// What does not hold.
pub fn owners(rows: &[Value]) -> Verdict {
    let mut processes: BTreeMap<String, String> = BTreeMap::new();
    for row in all(rows, "move") {
        let (owner, process) = (text(&row["owner"]), text(&row["app"]));
        let known = processes.entry(owner).or_insert_with(|| process.clone());
        holds(*known == process, || {
            format!("written under the lease of another: {row}")
        })?;
    }
    Ok(())
}

/// Nothing is claimed twice, and the events of one subject in sequence (V4, V5). A transaction claims in the order of ids, which
/// may be random, and all at once: in which order it applies them, [`effects`] sees.
///
/// # Errors
///
/// What does not hold.
pub fn claims(rows: &[Value]) -> Verdict {
    let number = |row: &Value, name: &str| row[name].as_i64().unwrap_or_default();
    let mut begun: BTreeMap<i64, i64> = BTreeMap::new();
    let mut claims: Vec<(i64, i64, &Value)> = Vec::new();
    for row in all(rows, "claim") {
        let n = number(row, "n");
        let transaction = row["tx"].as_i64();
        let begun = transaction.map_or(n, |tx| *begun.entry(tx).or_insert(n));
        claims.push((begun, number(row, "new"), row));
    }
    claims.sort_by_key(|(begun, sequence, _)| (*begun, *sequence));
    let mut last: BTreeMap<String, i64> = BTreeMap::new();
    for (_, sequence, row) in claims {
        let before = last.insert(text(&row["key"]), sequence);
        holds(before.is_none_or(|before| before < sequence), || {
            format!("claimed after {before:?}: {row}")
        })?;
    }
    Ok(())
}

/// Each order has one effect of each kind, in order, committed with its claim and the cursor; the
/// effect of a parked event is in a transaction of its own (V4, V5).
///
/// # Errors
///
/// What does not hold.
pub fn effects(rows: &[Value]) -> Verdict {
    let transactions = |what: &str| -> BTreeSet<(Option<i64>, String)> {
        let key = |row: &Value| (row["tx"].as_i64(), text(&row["key"]));
        all(rows, what).map(key).collect()
    };
    let claimed = transactions("claim");
    let moved: BTreeSet<_> = transactions("move").into_iter().map(|(tx, _)| tx).collect();
    let parked: BTreeSet<String> = all(rows, "park").map(|row| text(&row["key"])).collect();
    let mut had: BTreeSet<(String, String)> = BTreeSet::new();
    for row in rows {
        let (what, key) = (text(&row["what"]), text(&row["key"]));
        if matches!(what.as_str(), "move" | "claim" | "park") {
            continue;
        }
        let tx = row["tx"].as_i64();
        let begun = what == "placed" || had.contains(&("placed".to_owned(), key.clone()));
        holds(begun, || {
            format!("a change of what was never placed: {row}")
        })?;
        holds(had.insert((what, key.clone())), || {
            format!("an effect that came twice: {row}")
        })?;
        let waited = parked.contains(&key);
        let together = claimed.contains(&(tx, key)) && moved.contains(&tx);
        holds(together || waited, || {
            format!("an effect apart from its claim: {row}")
        })?;
    }
    Ok(())
}
