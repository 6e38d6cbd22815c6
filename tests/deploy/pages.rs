//! Immutable pages of the feed as files, served by nginx instead of the service, as
//! docs/retention.md says.

use std::path::Path;

use harness::programs::{available, program, succeed};
use harness::{Backend, Client, Process, Service, built, free_address, load, until};

use harness::tables::number;

const RETENTION: &str = include_str!("../../docs/retention.md");

/// The example of the page, with our addresses and our directory.
fn example(service: &str, directory: &Path) -> String {
    let (_, rest) = RETENTION.split_once("```nginx\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let example = example.replace("127.0.0.1:8081", service);
    example.replace("/var/www/order", directory.to_str().unwrap())
}

async fn nginx(directory: &Path, address: &str, locations: &str, service: &str) -> Process {
    let here = directory.display();
    let file = directory.join("nginx.conf");
    let text = format!(
        "pid {here}/nginx.pid; error_log {here}/error.log; events {{}}
         http {{ client_body_temp_path {here}/b; proxy_temp_path {here}/p; access_log {here}/access.log;
                 fastcgi_temp_path {here}/f; uwsgi_temp_path {here}/u; scgi_temp_path {here}/s;
                 server {{ listen {address};
                           {locations}
                           location / {{ proxy_pass http://{service}; }} }} }}"
    );
    std::fs::write(&file, text).unwrap();
    let mut command = program("nginx");
    command.arg("-c").arg(&file).args(["-e", "stderr", "-g"]);
    command.arg("daemon off; master_process off; user root;");
    Process::start_command("nginx", &mut command, &[], directory)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_server_serves_pages_in_place_of_the_service() {
    if !available(&["nginx"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let files = directory.path().join("www");
    let address = free_address();
    let public = Client::new(&format!("http://{address}/"));
    let mut order = Service::new("order", Backend::Sqlite).await;
    order.set("BASE_URL", public.url(""));
    order.start().await;
    load::place_many(&order.client, 320).await;
    let newest = load::published(&order).await;

    let mut pages = built("order");
    pages
        .arg("pages")
        .arg(&files)
        .env("DATABASE_URL", order.database.url())
        .env("BASE_URL", public.url(""));
    let said = succeed(pages).await;
    let final_pages = newest / 100 - 1;
    assert!(
        said.contains(&format!("Wrote {final_pages} pages")),
        "{said}"
    );
    let service = order.client.url("");
    let service = service.trim_start_matches("http://").trim_end_matches('/');
    let locations = example(service, &files);
    let mut nginx = nginx(directory.path(), &address, &locations, service).await;
    nginx.ready(&public).await;

    // The same bytes without a request to the service, and conditional requests work.
    let first = public.get("feed?after=start", &[]).await;
    let first = first.header("location").to_owned();
    let own = order.client.get(&first, &[]).await;
    let served = public.get(&first, &[]).await;
    assert_eq!((served.status, &served.body), (200, &own.body));
    for header in ["content-type", "cache-control"] {
        assert_eq!(served.header(header), own.header(header), "{header}");
    }
    let again = [("if-none-match", served.header("etag"))];
    assert_eq!(public.get(&first, &again).await.status, 304);
    // The newest sealed page can still change: the service has it.
    let (folder, _) = first.rsplit_once('/').unwrap();
    let sealed = format!("{folder}/{}", final_pages + 1);
    assert_eq!(public.get(&sealed, &[]).await.status, 200);

    // A new consumer reads them all, and none of these requests reaches the service.
    let asked = async || {
        let metrics = order.client.get("metrics", &[]).await;
        let lines = metrics.body.lines();
        let pages = lines.filter(|line| {
            line.starts_with("http_requests_total") && line.contains("/feed/{epoch}/{page}")
        });
        let counts = pages.map(|line| line.rsplit_once(' ').unwrap().1);
        counts
            .map(|count| count.parse::<u64>().unwrap())
            .sum::<u64>()
    };
    let before = asked().await;
    let mut invoice = Service::new("invoice", Backend::Sqlite).await;
    invoice.set("FEED_URL", public.url("feed"));
    invoice.start().await;
    until("all orders have an invoice", async || {
        let there = number(invoice.database.url(), "SELECT count(*) FROM invoice").await;
        (there == 320).then_some(())
    })
    .await;
    // Except for the one page that is not immutable.
    assert!(asked().await <= before + 1, "{before} before");
}
