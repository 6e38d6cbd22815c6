//! The list selects by text, status and day, and refuses what it does not know.

use harness::Sql;
use harness::producer::{LINES, Producer, order};

use crate::{App, NOBODY, Subject, following, open};

/// The orders that the list has, newest first.
async fn ids<T: Subject<S>, S: Sql>(app: &App<T, S>, query: &str) -> Vec<i64> {
    let list = app.json(&format!("/?{query}")).await;
    let records = list[T::MANY].as_array().unwrap();
    let ids: Vec<i64> = records
        .iter()
        .map(|record| record["id"].as_i64().unwrap())
        .collect();
    if !query.contains("before") {
        assert_eq!(list["count"], ids.len(), "{query}");
    }
    ids
}

pub async fn records_are_selected_by_status_and_day<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    for (id, at) in [
        (1, "2026-01-01T12:00:00.000Z"),
        (2, "2026-01-02T23:59:59.999Z"),
        (3, "2026-01-03T00:00:00.000Z"),
        (4, "2026-01-04T12:00:00.000Z"),
    ] {
        let data = order(id, "placed", LINES);
        producer.tell("order.placed", id, at, &data).await;
    }
    producer.cancelled(2, LINES).await;
    producer.cancelled(3, LINES).await;
    let app = following::<T, S>(url, &producer).await;
    let (placed, cancelled) = (T::PLACED, T::CANCELLED);
    for (query, expected) in [
        (format!("status={cancelled}"), &[3, 2][..]),
        (format!("status={placed}"), &[4, 1]),
        (format!("status={placed}&before=4"), &[1]),
        ("from=2026-01-03".to_owned(), &[4, 3]),
        ("to=2026-01-02".to_owned(), &[2, 1]),
        (
            format!("from=2026-01-02&to=2026-01-03&status={cancelled}"),
            &[3, 2],
        ),
        (format!("order=2&status={cancelled}"), &[2]),
        (format!("order=2&status={placed}"), &[]),
        ("q=&status=&from=&to=&order=".to_owned(), &[4, 3, 2, 1]),
    ] {
        assert_eq!(ids::<T, S>(&app, &query).await, expected, "{query}");
    }
    let page = app.page(&format!("/?status={cancelled}")).await;
    assert!(page.contains(&format!("2 {} found", T::MANY)));
    assert!(page.contains(&format!("<option value=\"{cancelled}\" selected>")));
    let none = app.page("/?from=2027-01-01").await;
    assert!(none.contains(&format!("No {} match all of this.", T::MANY)));
    assert!(none.contains(&format!("Show all {}</a>", T::MANY)));
}

/// The order service has several instances, and each has a clock.
pub async fn days_are_paged_by_time<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    for id in 1..=52 {
        let at = format!("2026-01-02T10:{:02}:00.000Z", 60 - id);
        let data = order(id, "placed", LINES);
        producer.tell("order.placed", id, &at, &data).await;
    }
    let app = following::<T, S>(url, &producer).await;
    let first = ids::<T, S>(&app, "from=2026-01-02&before=99").await;
    let last = ids::<T, S>(&app, "from=2026-01-02&before=50").await;
    assert_eq!([first, last].concat(), (1..=52).collect::<Vec<_>>());
    // There is no such record: the list does not begin again.
    for before in ["0", "-1", "-9223372036854775808"] {
        let query = format!("from=2026-01-02&before={before}");
        assert_eq!(ids::<T, S>(&app, &query).await, [0; 0], "{before}");
    }
    for table in [T::LINES_TABLE, T::TABLE] {
        S::run(
            app.database(),
            &format!("DELETE FROM {table} WHERE order_id = 4"),
        )
        .await;
    }
    let below = ids::<T, S>(&app, "from=2026-01-02&before=4").await;
    assert_eq!(below, [1, 2, 3]);
}

pub async fn records_are_found_by_order_and_by_name<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    for (id, name) in [
        (1, "Éclair"),
        (2, "Groß"),
        (3, "ЧЕХОВ"),
        (4, "No 3"),
        (5, "İbrahim"),
        (i64::MAX, "Omega"),
    ] {
        let data = order(id, "placed", LINES).replace("<b>O'Brien", name);
        let at = "2026-03-04T05:06:07.089Z";
        producer.tell("order.placed", id, at, &data).await;
    }
    let app = following::<T, S>(url, &producer).await;
    for (text, expected) in [
        ("%C3%A9CLAIR", &[1][..]),
        ("eclair", &[]),
        ("gro%C3%9F", &[2]),
        ("GROSS", &[2]),
        ("%D1%87%D0%B5%D1%85%D0%BE%D0%B2", &[3]),
        // Each word, in any order: the first name is 日本語.
        ("%E6%97%A5%E6%9C%AC%E8%AA%9E+no", &[4]),
        ("no+%E6%97%A5%E6%9C%AC%E8%AA%9E", &[4]),
        ("gross++%E6%97%A5%E6%9C%AC%E8%AA%9E", &[2]),
        ("gross+no", &[]),
        ("ibrahim", &[5]),
        ("IBRAHIM", &[5]),
        // The highest number there is.
        ("omega", &[i64::MAX]),
        ("omega&from=2026-03-04", &[i64::MAX]),
        // A number is that of the order.
        ("3", &[3]),
        ("+3+", &[3]),
        ("17", &[]),
        ("%25", &[]),
        (".", &[]),
    ] {
        let found = ids::<T, S>(&app, &format!("q={text}")).await;
        assert_eq!(found, expected, "{text}");
    }
}

pub async fn a_parameter_that_does_not_exist_is_refused<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(17, LINES).await;
    let app = following::<T, S>(url, &producer).await;
    for (path, named) in [
        (
            "/?sort=total",
            "`sort` is not a parameter of this list; use `before`, `q`, `status`, `from`, `to` or \
             `order`",
        ),
        ("/?status=paid", "`status=paid` does not exist; use "),
        ("/?from=2026-13-01", "`from=2026-13-01` is no day"),
        ("/?to=now", "`to=now` is no day"),
        ("/?order=17&order=18", "`order` is given twice"),
        (
            "/17?status=paid",
            "`status` is not a parameter of this address",
        ),
    ] {
        let answer = app.send("GET", path, "application/json").await;
        answer.assert_problem(400);
        let problem = answer.json();
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(named), "{path}: {detail}");
    }
    let app = open::<T, S>(url, NOBODY).await;
    let page = app.send("GET", "/?sort=total", "text/html").await;
    assert!(page.body.contains("<code>sort</code>"), "{}", page.body);
}
