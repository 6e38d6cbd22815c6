//! Rows that are events, and rows that are not.

use std::collections::BTreeMap;

use feed_core::NewEvent;

/// The row of an event, column by column, as SQL.
pub(crate) fn row() -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("id", quoted(&uuid::Uuid::now_v7().to_string())),
        ("event_type", quoted("order.placed")),
        ("subject", quoted("order/1")),
        ("time", quoted("2026-01-01T00:00:01.000Z")),
        ("title", quoted("One")),
        ("summary", quoted("First")),
        ("link", quoted("order/1")),
        ("data", quoted("{}")),
        ("traceparent", "NULL".to_owned()),
    ])
}

pub(crate) fn insert(table: &str, row: &BTreeMap<&'static str, String>) -> String {
    let names: Vec<&str> = row.keys().copied().collect();
    let values: Vec<&str> = row.values().map(String::as_str).collect();
    format!(
        "INSERT INTO {table} ({}) VALUES ({})",
        names.join(", "),
        values.join(", ")
    )
}

/// The statement that inserts an event with another value in one column.
pub(crate) fn with(column: &'static str, value: impl Into<String>) -> String {
    let mut row = row();
    row.insert(column, value.into());
    insert("feed_outbox", &row)
}

pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The same text in a column and in an event.
pub(crate) fn of(column: &'static str, text: &str) -> NewEvent {
    let mut event = NewEvent::new("order.placed", "order/1", "{}");
    match column {
        "event_type" => text.clone_into(&mut event.event_type),
        "subject" => text.clone_into(&mut event.subject),
        "title" => text.clone_into(&mut event.title),
        "summary" => text.clone_into(&mut event.summary),
        "link" => text.clone_into(&mut event.link),
        "data" => text.clone_into(&mut event.data),
        "time" => event.time = text.parse().unwrap(),
        other => panic!("no column {other}"),
    }
    event
}

/// Texts at the limits, with `more` bytes or levels than these.
fn at_the_limits(more: usize) -> Vec<(&'static str, String)> {
    let mut cases = Vec::new();
    for (character, count) in [("x", 2_000), ("\u{1f600}", 500), ("\"", 2_000)] {
        let text = character.repeat(count) + &"x".repeat(more);
        for column in ["event_type", "subject", "title", "summary", "link"] {
            cases.push((column, text.clone()));
        }
    }
    let nested =
        |open: &str, close: &str| open.repeat(100 + more) + "1" + &close.repeat(100 + more);
    cases.push(("data", nested("[", "]")));
    cases.push(("data", nested("{\"a\":", "}")));
    cases.push((
        "data",
        format!(
            "[\"]]]\",{{\"b\":{}}}]",
            "[".repeat(98 + more) + &"]".repeat(98 + more)
        ),
    ));
    cases.push((
        "data",
        format!("\"{}{}\"", "é".repeat(512 * 1024 - 1), "x".repeat(more)),
    ));
    cases
}

/// Texts that are refused, by the column.
pub(crate) fn refused() -> Vec<(&'static str, String)> {
    let mut cases = at_the_limits(1);
    for name in [
        "",
        " ",
        " a",
        "a\n",
        "a\u{a0}",
        "\u{2003}a",
        "\u{3000}",
        "\u{85}a",
        "\ta",
        "a\u{1}b",
        "\u{1f}",
        "\u{b}",
        "a\u{fffe}",
        "\u{ffff}a",
    ] {
        cases.push(("event_type", name.to_owned()));
        cases.push(("subject", name.to_owned()));
    }
    for column in ["event_type", "subject", "title", "summary", "link", "data"] {
        cases.push((column, "\0".to_owned()));
        cases.push((column, "\"a\0b\"".to_owned()));
    }
    for data in [
        "",
        " ",
        "{",
        "nul",
        "{'a':1}",
        "[1,]",
        "{}{}",
        "\u{feff}{}",
        "\"\u{1}\"",
        "NaN",
        "01",
        r#""\x41""#,
        r#""\ud83d""#,
        r#""\ude00""#,
        r#"["\ud83d\u0041"]"#,
        r#"["\ud83dx"]"#,
        r#"["\ud83d\n"]"#,
        r#"["\ud83d\ud83d"]"#,
        r#"["\u0041\uDE00"]"#,
        r#"["\ud83d\ude00\ude00"]"#,
        r#"{"\uD83D":1}"#,
        "1e999",
        r#"{"id":1e400}"#,
        r#"{"a":1,"a":1e400,"a\"b":2}"#,
        r#"{"a\"b":1e400}"#,
        r#"{"a":1e400,"a":1}"#,
        r#"[{"é\u0000":[-1E+309,"\"1"]}]"#,
        "1.7976931348623159e308",
        r#"{"a\"b\\":["\u00e9",1e999999]}"#,
    ] {
        cases.push(("data", data.to_owned()));
    }
    for number in [
        "9".repeat(309),
        format!("-{}", "1".repeat(400)),
        "9".repeat(249) + "e99",
        format!("1{}E+99", "0".repeat(210)),
        "9".repeat(300) + "e9",
    ] {
        cases.push(("data", number.clone()));
        cases.push(("data", format!("{{\"a\":[\"1e999\",{number}]}}")));
        cases.push(("data", format!("{{\"a\":\"x\",\"a\":\n{number},\"a\":1}}")));
    }
    for time in [
        "+10000-01-01T00:00:00.000Z",
        "0000-12-31T23:59:59.999Z",
        "-0044-03-15T00:00:00.000Z",
    ] {
        cases.push(("time", time.to_owned()));
    }
    cases
}

/// Numbers that `append` and PostgreSQL refuse, though a double holds them: jsonb may not.
pub(crate) fn beyond_jsonb() -> Vec<String> {
    let zeros = "0".repeat(900);
    let mut numbers: Vec<String> = ["0.0e1001", "1e-2000", "1e-99999999999999999999"]
        .map(str::to_owned)
        .into();
    numbers.push("0.".to_owned() + &"1".repeat(999));
    numbers.push(format!("1e-{zeros}1001"));
    let within = |number| format!("{{\"a\":\"\\u00e9\",\"b\":1,\"b\":{number},\"c\":2}}");
    let within: Vec<String> = numbers.iter().map(within).collect();
    [numbers, within].concat()
}

/// Texts that are taken, by the column.
pub(crate) fn taken() -> Vec<(&'static str, String)> {
    let mut cases = at_the_limits(0);
    for name in [
        "a",
        "a b",
        "a\n\tb",
        "\u{7f}\u{80}\u{fffd}",
        "\u{200b}a",
        "Müller 😀",
        "'",
    ] {
        cases.push(("event_type", name.to_owned()));
        cases.push(("subject", name.to_owned()));
    }
    for text in ["", " a ", "a\nb", "a\u{1}\u{1f}\u{fffe}\u{ffff}b"] {
        cases.push(("title", text.to_owned()));
        cases.push(("summary", text.to_owned()));
        cases.push(("link", text.to_owned()));
    }
    for data in [
        "null",
        " [1] ",
        r#""\ud83d\ude00""#,
        r#""\uD83D\uDE00\ud83d\ude00""#,
        r#""\\ud83d""#,
        r#""\\u0000""#,
        r#"{"\u0000":"\\\u0000"}"#,
        r#""\\\\ude00 [[[[""#,
        r#"{"a":1,"a":2}"#,
        "1e308",
        "-0.1e-10",
        "1.7976931348623157e308",
        "[-1.7976931348623157E+308,1e0001]",
        "0e1000",
        "1e-1000",
        r#"["1e999","\"1e999","\\",{"1e999":"[1e999]"}]"#,
        "\"\u{ffff}é😀\"",
    ] {
        cases.push(("data", data.to_owned()));
    }
    for digits in ["1".repeat(308), "0.".to_owned() + &"1".repeat(998)] {
        cases.push(("data", digits));
    }
    cases.push(("data", format!("[\"{}\"]", "1e+9".repeat(500))));
    cases.push(("data", format!("[1e{}1]", "0".repeat(900))));
    cases.push(("data", r#"{"a":"e5000","a":1,"z":"1e100"}"#.to_owned()));
    let long = "x".repeat(1_200);
    cases.push(("data", format!(r#"{{"a":"{long}","a":1,"z":[1e100]}}"#)));
    // Each of them takes as long as its neighbour.
    let ids = r#"{"sku":"1e1230a7-0000-4e12-8e34-5e678e901234","qty":3},"#;
    cases.push(("data", format!("[{}1e100]", ids.repeat(15_000))));
    cases.push(("data", format!("[{}0]", "1e0000000000001,".repeat(60_000))));
    cases.push(("data", format!("[{}[]]", "[{}],".repeat(500))));
    for time in [
        "0001-01-01T00:00:00.000Z",
        "9999-12-31T23:59:59.999Z",
        "1969-12-31T23:59:59.999Z",
    ] {
        cases.push(("time", time.to_owned()));
    }
    cases
}
