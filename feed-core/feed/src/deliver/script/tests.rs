use super::*;

fn parsed(text: &str) -> Vec<(String, Vec<Parameter>)> {
    let script = Script::parse("x.sql", text).expect("a script");
    script
        .statements
        .iter()
        .map(Statement::for_postgres)
        .collect()
}

fn refused(text: &str) -> String {
    let refused = Script::parse("x.sql", text);
    refused.expect_err("it is refused").to_string()
}

#[test]
fn parameters_become_numbers() {
    use Parameter::{Data, Id, Sequence};
    let statements = parsed(
        "INSERT INTO a VALUES (:id, :data ->> 'x');\n  UPDATE b SET n = :sequence WHERE id = :id",
    );
    assert_eq!(
        statements,
        [
            (
                "INSERT INTO a VALUES ($1::text, $2::text::jsonb ->> 'x')".to_owned(),
                vec![Id, Data]
            ),
            (
                "\n  UPDATE b SET n = $1::text::bigint WHERE id = $2::text".to_owned(),
                vec![Sequence, Id]
            ),
        ]
    );
    let script = Script::parse("x.sql", "SELECT :sequence, :data ->> 'x'").expect("a script");
    let (sql, _) = script.statements[0].for_sqlite();
    assert_eq!(sql, "SELECT CAST(?1 AS INTEGER), ?2 ->> 'x'");
}

#[test]
fn what_is_quoted_or_a_comment_stays_as_it_is() {
    for text in [
        "SELECT ':id; it''s' || \"a;:id\" || `b;:id`",
        "SELECT E'it\\'s; :id'",
        "SELECT 'a\\'",
        "SELECT $$ :id; $$ || $tag$ $$ ; :id $tag$",
        "SELECT 1 -- :id; it's\n + 1",
        "SELECT /* :id; ' /* nested */ ; */ 1",
        "SELECT '1'::int, now()::date",
    ] {
        assert_eq!(parsed(text), [(text.to_owned(), vec![])], "{text}");
    }
}

#[test]
fn only_a_prefix_of_its_own_makes_backslashes_escapes() {
    use Parameter::Id;
    for before in ["date", "note", "_e", "1e", "a$e", "ée", "E\"\" ||", ""] {
        // The text ends before the parameter.
        let text = format!("SELECT {before}'a\\' || :id || 'b'");
        let [(_, parameters)] = parsed(&text).try_into().expect("a statement");
        assert_eq!(parameters, [Id], "{text}");
    }
    for before in ["e", "E", "(e", "||E", "x, e"] {
        let text = format!("SELECT {before}'a\\' || :id || '");
        let [(_, parameters)] = parsed(&text).try_into().expect("a statement");
        assert_eq!(parameters, [], "{text}");
    }
}

#[test]
fn parameters_of_others_are_found_where_the_database_has_them() {
    let foreign = |text: &str| {
        let script = Script::parse("x.sql", text).expect("a script");
        let foreign = script
            .statements
            .iter()
            .flat_map(|statement| &statement.foreign);
        foreign.map(|one| one.text.clone()).collect::<Vec<_>>()
    };
    for (text, found) in [
        (
            "SELECT ?, ?12, @x, $x, $1, #y, :1",
            &["?", "?12", "@x", "$x", "$1", "#y", ":1"][..],
        ),
        ("SELECT 1 -- ?\n, '?', \"@x\", `$1`, /* $2 */ 2", &[]),
        (
            "SELECT $$ ? $1 $$, $t$ @x $t$, a$1, 1::int, :id",
            &["$$", "$t$"],
        ),
        ("SELECT a @> b, a ?| b, a @@ b, a #> b", &["?"]),
    ] {
        assert_eq!(foreign(text), found, "{text}");
    }
    // A name of SQLite, and subscripts of PostgreSQL.
    for (text, bracketed) in [
        ("SELECT [a?] FROM t", [true].as_slice()),
        ("SELECT a[1], ?, b[?], ?", &[false, true, false]),
    ] {
        let script = Script::parse("x.sql", text).expect("a script");
        let foreign = &script.statements[0].foreign;
        let found: Vec<bool> = foreign.iter().map(|one| one.bracketed).collect();
        assert_eq!(found, bracketed, "{text}");
    }
    let script = Script::parse("x.sql", "SELECT 1,\n ?").expect("a script");
    let [statement] = script.statements.as_slice() else {
        panic!("{script:?}");
    };
    assert!(statement.check(|text, _| text == "$1").is_ok());
    let said = statement
        .check(|text, _| text == "?")
        .expect_err("it is refused");
    let said = said.to_string();
    assert!(
        said.starts_with("line 2 of x.sql: nothing fills the parameter ?; write"),
        "{said}"
    );
    assert!(said.contains(":id, :type"), "{said}");
}

#[test]
fn empty_statements_are_none() {
    for text in [
        "SELECT 1;",
        "SELECT 1;;\n ; -- the end",
        "-- the begin\n;SELECT 1",
    ] {
        assert_eq!(parsed(text).len(), 1, "{text}");
    }
    for text in ["", " ;; ", "-- nothing", "/* nothing */"] {
        assert_eq!(refused(text), "it has no statement", "{text}");
    }
}

#[test]
fn an_error_names_its_place() {
    for (text, said) in [
        (
            "SELECT 1;\nSELECT :order",
            "line 2 of x.sql: there is no parameter :order",
        ),
        (
            "SELECT\n 'a",
            "line 2 of x.sql: what begins here has no end: a quoted text",
        ),
        ("SELECT $a$ $b$", "a text in dollar quotes"),
        ("/* /* */", "a comment"),
    ] {
        assert!(refused(text).contains(said), "{text}: {}", refused(text));
    }
}

#[test]
fn what_changes_transaction_or_session_is_refused() {
    for text in [
        "SELECT 1; COMMIT",
        "/* quietly */ begin",
        "end",
        "Rollback",
        "START TRANSACTION",
        "PREPARE TRANSACTION 'a'",
        "SET lock_timeout = 0",
        "SET CONSTRAINTS ALL IMMEDIATE",
        "SET LOCAL search_path = nowhere",
        "SET LOCAL ROLE other",
        "SET LOCAL \"search_path\" TO nowhere",
        "SET LOCAL /* */ \"Search_Path\" = nowhere",
        "SET LOCAL U&\"search\\005fpath\" TO nowhere",
        "SET LOCAL u&\"role\" TO other",
        "SET LOCAL schema 'nowhere'",
        "SET LOCAL session_authorization = other",
        "SET LOCAL names 'latin1'",
        "SET LOCAL client_encoding = latin1",
        "SET \"LOCAL\" lock_timeout = 0",
        "PRAGMA synchronous = OFF",
        "COPY a FROM STDIN",
        "DEALLOCATE ALL",
        "PREPARE a AS SELECT 1",
        "DECLARE a CURSOR WITH HOLD FOR SELECT 1",
        "CREATE TEMP TABLE a (b int)",
        "UNLISTEN *",
    ] {
        assert!(refused(text).contains("is not allowed"), "{text}");
    }
    for text in [
        "SAVEPOINT a; SELECT 1; ROLLBACK TO a",
        "ROLLBACK TRANSACTION TO SAVEPOINT a",
        "SET LOCAL lock_timeout = '1s'",
        "SET LOCAL u.name = \"eve\"",
        "SET LOCAL app.name TO \"eve\"",
        "SELECT \"a\" FROM \"b\"",
        "SELECT 'COMMIT'",
        "(SELECT 1)",
        "with a as (select 1) insert into b select * from a",
    ] {
        assert!(Script::parse("x.sql", text).is_ok(), "{text}");
    }
}

#[test]
fn a_function_has_a_name() {
    for name in ["on_event", "billing.on_event", "\"On Event\"", "größe"] {
        assert!(Script::call(name).is_ok(), "{name}");
    }
    for name in ["", "on_event()", "a.b.c", "a;b", "1st", "a b"] {
        assert!(Script::call(name).is_err(), "{name}");
    }
}
