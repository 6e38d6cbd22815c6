//! The roles in a real PostgreSQL: each service has access to its own database, and to no other
//! one.

use std::path::Path;
use std::process::Command;
use std::str::FromStr;

use harness::programs::{available, program, run, succeed, tool};
use harness::{Backend, Service, until};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};
use url::Url;

use crate::checks::{Copy, SERVICES, yaml};
use crate::site::deploy;

/// The private PostgreSQL of the tests, as its owner.
async fn owner() -> (PgConnection, String) {
    let url = std::env::var("TEST_POSTGRES_URL").unwrap();
    let url = Url::parse(&url).unwrap();
    let socket = url.query_pairs().find(|(name, _)| name == "host");
    let (_, socket) = socket.expect("a socket in TEST_POSTGRES_URL");
    let options = PgConnectOptions::from_str(url.as_str()).unwrap();
    (options.connect().await.unwrap(), socket.into_owned())
}

/// The tests' PostgreSQL trusts every user; the roles of the services have to send their passwords,
/// as in the image.
async fn ask_for_passwords(owner: &mut PgConnection) {
    const RULE: &str = "local all order,invoice,shipping scram-sha-256\n";
    let file: String = sqlx::query_scalar("SHOW hba_file")
        .fetch_one(&mut *owner)
        .await
        .unwrap();
    let rules = std::fs::read_to_string(&file).unwrap();
    if !rules.starts_with(RULE) {
        std::fs::write(&file, format!("{RULE}{rules}")).unwrap();
        owner.execute("SELECT pg_reload_conf()").await.unwrap();
    }
}

/// Runs the script as PostgreSQL's image does, with the same environment.
async fn make_roles(copy: &Copy, socket: &str) {
    succeed(roles(copy, socket)).await;
}

fn roles(copy: &Copy, socket: &str) -> Command {
    let mut roles = Command::new(copy.path("deploy/roles.sh"));
    roles
        .env("PGHOST", socket)
        .env("SECRETS", copy.path("deploy/secrets"));
    roles
}

/// The URL in a service's file, with the test's server in place of the container `postgres`.
fn url(copy: &Copy, service: &str, socket: &str) -> Url {
    let text = copy.read(&format!("deploy/secrets/{service}-database-url"));
    let mut url = Url::parse(text.trim()).unwrap();
    assert_eq!(url.host_str(), Some("postgres"));
    url.set_host(Some("localhost")).unwrap();
    url.query_pairs_mut().append_pair("host", socket);
    url
}

/// Why `url` does not connect: PostgreSQL's own code.
async fn refused(url: &Url) -> Option<String> {
    match PgConnection::connect(url.as_str()).await {
        Ok(_) => None,
        Err(sqlx::Error::Database(error)) => error.code().map(|code| code.into_owned()),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_service_has_its_database_and_no_other() {
    if !available(&["psql"]) {
        return;
    }
    let copy = Copy::new().await;
    let (mut owner, socket) = owner().await;
    ask_for_passwords(&mut owner).await;

    // A service that starts before its database ends with the reason, and is restarted.
    let mut order = Service::new("order", Backend::Sqlite).await;
    let file = copy.path("order-url");
    std::fs::write(&file, format!("{}\n", url(&copy, "order", &socket))).unwrap();
    order.unset("DATABASE_URL");
    order.set("DATABASE_URL_FILE", path(&file));
    let process = order.launch();
    assert_eq!(process.ended().await, Some(1));
    let log = process.log();
    assert!(
        log.contains("the database cannot be used (DATABASE_URL)"),
        "{log}"
    );

    const OWN: &str = "SELECT rolpassword FROM pg_authid WHERE rolname = 'postgres'";

    // Twice: it may be repeated.
    make_roles(&copy, &socket).await;
    make_roles(&copy, &socket).await;
    order.start().await;
    harness::load::place(&order.client, 1).await.unwrap();

    for service in SERVICES {
        let own = url(&copy, service, &socket);
        assert_eq!(refused(&own).await, None, "{service}");
        for other in ["order", "invoice", "shipping", "postgres", "template1"] {
            if other == service {
                continue;
            }
            let mut others = own.clone();
            others.set_path(other);
            // 42501: insufficient privilege.
            assert_eq!(
                refused(&others).await.as_deref(),
                Some("42501"),
                "{service} in {other}"
            );
        }
        let mut wrong = own.clone();
        wrong.set_password(Some("guess")).unwrap();
        // 28P01: invalid password.
        until("passwords are asked for", async || {
            (refused(&wrong).await.as_deref() == Some("28P01")).then_some(())
        })
        .await;
        let mut role = PgConnection::connect(own.as_str()).await.unwrap();
        for forbidden in [
            "CREATE DATABASE mine",
            "CREATE ROLE mine",
            "SET ROLE postgres",
        ] {
            let done = role.execute(AssertSqlSafe(forbidden)).await;
            let error = done.unwrap_err().into_database_error().unwrap();
            assert_eq!(
                error.code().as_deref(),
                Some("42501"),
                "{service}: {forbidden}"
            );
        }
    }

    // New passwords, also of PostgreSQL's own user: existing connections lose nothing, and the proxy stays closed.
    let own = async |owner: &mut PgConnection| -> String {
        sqlx::query_scalar(OWN).fetch_one(owner).await.unwrap()
    };
    let (before, own_before) = (url(&copy, "order", &socket), own(&mut owner).await);
    copy.protect("eve", "secret\n").await;
    for name in ["order-password", "invoice-password", "postgres-password"] {
        std::fs::remove_file(copy.path("deploy/secrets").join(name)).unwrap();
    }
    succeed(Command::new(copy.path("deploy/secrets.sh"))).await;
    assert!(!copy.path("deploy/secrets/protect/open").exists());
    make_roles(&copy, &socket).await;
    assert_ne!(own(&mut owner).await, own_before);
    assert_eq!(refused(&before).await.as_deref(), Some("28P01"));
    assert_eq!(refused(&url(&copy, "order", &socket)).await, None);
    harness::load::place(&order.client, 2).await.unwrap();

    // Of an empty password PostgreSQL would make none: it is refused, and nothing is changed.
    let password = copy.read("deploy/secrets/order-password");
    for (service, text) in [("shipping", "\n"), ("order", "other")] {
        std::fs::write(
            copy.path(&format!("deploy/secrets/{service}-password")),
            text,
        )
        .unwrap();
    }
    let output = run(roles(&copy, &socket)).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("shipping-password is empty"), "{said}");
    for service in SERVICES {
        let url = url(&copy, service, &socket);
        assert_eq!(refused(&url).await, None, "{service}");
    }
    std::fs::write(copy.path("deploy/secrets/order-password"), password).unwrap();
    std::fs::remove_file(copy.path("deploy/secrets/shipping-password")).unwrap();
    succeed(Command::new(copy.path("deploy/secrets.sh"))).await;

    // A backup is restored as docs/backup.md says: into a database that is created anew, with its
    // rights.
    if !available(&["pg_dump", "pg_restore", "dropdb"]) {
        return;
    }
    let dump = copy.path("order.dump");
    let tool = |name: &str, arguments: &[&str]| {
        let mut tool = program(name);
        tool.env("PGHOST", &socket).args(["--username", "postgres"]);
        tool.args(arguments);
        tool
    };
    let dump = path(&dump);
    succeed(tool(
        "pg_dump",
        &["--format", "custom", "--file", &dump, "order"],
    ))
    .await;
    harness::load::place(&order.client, 3).await.unwrap();
    assert_eq!(order.stop().await, Some(0));
    succeed(tool("dropdb", &["order"])).await;
    make_roles(&copy, &socket).await;
    let restore = ["--single-transaction", "--no-owner", "--role", "order"];
    let restore = [&restore[..], &["--dbname", "order", &dump]].concat();
    succeed(tool("pg_restore", &restore)).await;
    // Over a database that is there, nothing is restored: its sequences would be set back.
    let over = tool("pg_restore", &restore).output().unwrap();
    assert!(!over.status.success());
    let fresh = url(&copy, "order", &socket);
    std::fs::write(&file, format!("{fresh}\n")).unwrap();
    order.start().await;
    assert_eq!(harness::load::place(&order.client, 4).await, Some(3));
    let mut invoice = url(&copy, "invoice", &socket);
    invoice.set_path("order");
    assert_eq!(refused(&invoice).await.as_deref(), Some("42501"));
}

/// The statements for `CloudNativePG`, with names of their own, leave each role its database and no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cloudnative_pg_makes_the_same_roles() {
    let Some(python) = tool("python3") else {
        return;
    };
    let cluster = deploy().join("kubernetes/cloudnative-pg/cluster.yaml");
    let cluster = yaml(python, &std::fs::read_to_string(cluster).unwrap()).await;
    let first = &cluster[0]["spec"]["bootstrap"]["initdb"];
    let (mut owner, _) = owner().await;
    let renamed = |text: &str| {
        SERVICES.iter().fold(text.to_owned(), |text, service| {
            text.replace(service, &format!("{service}_of_cluster"))
        })
    };
    let names = SERVICES.map(renamed);
    for kind in ["DATABASE", "ROLE"] {
        for name in &names {
            let drop = format!("DROP {kind} IF EXISTS {name}");
            owner.execute(AssertSqlSafe(drop)).await.unwrap();
        }
    }
    // The operator's own part: the first database and its owner.
    for create in [
        "CREATE ROLE order LOGIN",
        "CREATE DATABASE order OWNER order",
    ] {
        owner.execute(AssertSqlSafe(renamed(create))).await.unwrap();
    }
    for list in ["postInitSQL", "postInitApplicationSQL"] {
        for statement in first[list].as_array().unwrap() {
            let statement = renamed(statement.as_str().unwrap());
            owner.execute(AssertSqlSafe(statement)).await.unwrap();
        }
    }
    for role in &names {
        for database in names
            .iter()
            .map(String::as_str)
            .chain(["postgres", "template1"])
        {
            let connects: bool =
                sqlx::query_scalar("SELECT has_database_privilege($1, $2, 'CONNECT')")
                    .bind(role)
                    .bind(database)
                    .fetch_one(&mut owner)
                    .await
                    .unwrap();
            assert_eq!(connects, role == database, "{role}: {database}");
        }
    }
}

fn path(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
