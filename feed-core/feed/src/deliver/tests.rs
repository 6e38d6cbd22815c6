use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    own: Delivery,
}

fn name(arguments: &[&str]) -> String {
    let line = Line::try_parse_from([&["deliver"][..], arguments].concat());
    line.expect("a command line").own.name()
}

#[test]
fn a_name_is_another_one_where_the_effect_of_an_event_is() {
    let files = tempfile::tempdir().expect("a directory");
    let path = files.path().join("on_event.sql");
    let path = path.to_str().expect("a path of text");
    let sql = |text: &str| {
        std::fs::write(path, text).expect("a file");
        name(&["--sql", path])
    };
    let names = [
        sql("SELECT :id"),
        sql("SELECT :type"),
        sql("SELECT :id; SELECT :id"),
        name(&["--sql", path, "--type", "a"]),
        name(&["--sql", path, "--type", "a,b"]),
        name(&["--sql", path, "--type", "a,c"]),
        name(&["--sql", path, "--erased-by", "a"]),
        name(&["--sql", path, "--erased-by", "a,b"]),
        name(&["--sql", path, "--type", "a", "--erased-by", "b"]),
        name(&["--call", "a"]),
        name(&["--call", "b"]),
        name(&["--to", "http://h/a"]),
        name(&["--to", "http://h/b"]),
        name(&["--to", "http://h/a?b"]),
        name(&["--to", "http://h:81/a"]),
        name(&["--to", "https://h/a"]),
        name(&["--to", "http://h/a", "--source", "s"]),
    ];
    let different: BTreeSet<&String> = names.iter().collect();
    assert_eq!(different.len(), names.len(), "{names:#?}");
    for (one, another) in [
        (
            &["--call", "a", "--type", "b,a"],
            &["--call", "a", "--type", "a,b"],
        ),
        (
            &["--to", "http://h/a", "--timeout", "1s"],
            &["--to", "http://h/a", "--timeout", "2s"],
        ),
    ] {
        let digest = |name: String| name.rsplit_once('(').map(|(_, digest)| digest.to_owned());
        assert_eq!(digest(name(one)), digest(name(another)));
    }
}

#[test]
fn an_instance_that_has_ended_shares_no_events() {
    let other = "1.0.0, the function f (00000000)";
    let target = "the function f (00000000)";
    assert_eq!(other_target(true, other, "(11111111)"), Some(target));
    assert_eq!(other_target(false, other, "(11111111)"), None);
    assert_eq!(other_target(true, other, "(00000000)"), None);
    // Of a program that delivers nothing.
    assert_eq!(other_target(true, "1.0.0", "(11111111)"), None);
}

#[test]
fn what_a_webhook_alone_needs_is_refused_without_one() {
    let files = tempfile::tempdir().expect("a directory");
    let path = |name: &str, text: &str| {
        let path = files.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("a path of text").to_owned()
    };
    let sql = path("on_event.sql", "SELECT 1");
    let secret = path("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let parse = |target: [&str; 2], option: [&str; 2]| {
        Line::try_parse_from([&["deliver"][..], &target, &option].concat())
    };
    for option in [
        ["--secret-file", &secret],
        ["--source", "urn:shop"],
        ["--timeout", "1s"],
    ] {
        for target in [["--sql", &sql], ["--call", "on_event"]] {
            let said = parse(target, option)
                .expect_err("it is refused")
                .to_string();
            assert!(said.contains("cannot be used with"), "{said}");
        }
        assert!(parse(["--to", "http://h/a"], option).is_ok(), "{option:?}");
    }
    let alone = Line::try_parse_from(["deliver", "--source", "urn:shop"]);
    assert!(alone.is_err(), "{alone:?}");
}

#[test]
fn a_webhook_has_as_long_as_the_transaction_around_it_allows() {
    assert_eq!(parse_timeout("8s"), Ok(LONGEST_TIMEOUT));
    for text in ["8001ms", "9s", "0s", "1", ""] {
        assert!(parse_timeout(text).is_err(), "{text}");
    }
    assert!(LONGEST_TIMEOUT < Duration::from_secs(10));
}

#[test]
fn a_webhook_has_an_address() {
    for text in ["ftp://x/", "x", "", "http:"] {
        let said = parse_hook(text).expect_err(text);
        assert!(said.contains("http: or https:"), "{said}");
    }
    assert!(parse_hook("https://bill.example/hook").is_ok());
}

#[test]
fn a_name_has_no_secret() {
    let shown = name(&[
        "--to",
        "https://eve:secret@hook.example:8443/secret?secret#secret",
    ]);
    assert!(
        shown.starts_with("a webhook of hook.example:8443 ("),
        "{shown}"
    );
    assert!(!shown.contains("secret"), "{shown}");
    // Another password is no other webhook.
    let other = name(&[
        "--to",
        "https://eve:other@hook.example:8443/secret?secret#secret",
    ]);
    assert_eq!(shown, other);
}
