//! The network between the services, and between them and their databases: connections that fall
//! silent, and nobody is told; a link that is down for a while; a line that is slow.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::{Backend, FreshDatabase, Process};

use crate::fleet::Fleet;
use crate::front::Front;
use crate::judge::assert_innocent;
use crate::life::Life;
use crate::plan::{Plan, Whose};

/// Consumers, clients and readers wait for answers that never come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_the_feed_that_fall_silent_lose_nothing() {
    let plan = Plan::quiet(Backend::Sqlite, [1, 1, 1]);
    let mut life = Life::start(&plan, "silent-feed").await;
    life.last(Duration::from_secs(3)).await;
    life.fleet.front.lose();
    assert_innocent(&life.end().await);
}

/// Every connection that a service has to its database is dead, and looks as if it were not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_the_database_that_fall_silent_lose_nothing() {
    let plan = Plan::quiet(Backend::Postgres, [1, 2, 1]);
    let mut fleet = Fleet::prepare(&plan, "silent-database").await;
    let mut fronts = Vec::new();
    for whose in [Whose::Order, Whose::Invoice, Whose::Shipping] {
        let cluster = &mut fleet.group(whose).cluster;
        let front = before(&cluster.database).await;
        cluster.database_url = front.1;
        fronts.push(front.0);
    }
    fleet.settle().await;
    let mut life = Life::of(fleet, &plan);
    life.last(Duration::from_secs(3)).await;
    for front in &fronts {
        front.lose();
    }
    life.fleet
        .history
        .fault("all connections to databases fall silent");
    life.last(Duration::from_secs(1)).await;
    assert_innocent(&life.end().await);
}

/// 64 kbit a second, and some 200 ms until anything arrives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "not quick: tests/long faults"]
async fn a_slow_line_to_the_feed_loses_nothing() {
    let mut plan = Plan::quiet(Backend::Sqlite, [1, 1, 1]);
    plan.pauses = vec![1_500; 3];
    let mut fleet = Fleet::prepare(&plan, "slow-line").await;
    let line = Front::slow().await;
    line.before([fleet.front.url.clone()]);
    for whose in [Whose::Invoice, Whose::Shipping] {
        fleet.group(whose).cluster.feed_url = format!("{}feed", line.url);
    }
    fleet.settle().await;
    let mut life = Life::of(fleet, &plan);
    life.last(Duration::from_secs(10)).await;
    assert_innocent(&life.end().await);
}

/// The consumers reach the feed over a link of its own, between two network namespaces, and that is
/// down now and then: what is sent is lost, without a word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "not quick: tests/long faults"]
async fn a_link_that_is_down_for_a_while_loses_nothing() {
    let Some(link) = Link::new() else { return };
    let plan = Plan::quiet(Backend::Sqlite, [1, 1, 1]);
    let mut fleet = Fleet::prepare(&plan, "link").await;
    let here = Front::at(&format!("{}:0", link.here), false).await;
    here.before([fleet.front.url.clone()]);
    let _there = link.relay(&here, &fleet.directory);
    for whose in [Whose::Invoice, Whose::Shipping] {
        fleet.group(whose).cluster.feed_url = format!("http://{}:8080/feed", link.there);
    }
    fleet.settle().await;
    let mut life = Life::of(fleet, &plan);
    for seconds in [1, 5, 12] {
        life.last(Duration::from_secs(2)).await;
        link.set("down");
        life.fleet.history.fault("link down");
        life.last(Duration::from_secs(1)).await;
        let at = life.fleet.groups[Whose::Invoice as usize]
            .cluster
            .lowest()
            .await;
        life.last(Duration::from_secs(seconds)).await;
        let now = life.fleet.groups[Whose::Invoice as usize]
            .cluster
            .lowest()
            .await;
        assert!(at > 0 && at == now, "it went on from {at} to {now}");
        link.set("up");
    }
    assert_innocent(&life.end().await);
}

/// Two ends of a cable, one of them in a network namespace of its own.
struct Link {
    /// Of the namespace; the ends are called so, too.
    name: String,
    here: String,
    there: String,
}

impl Link {
    /// `None`: we may not.
    fn new() -> Option<Self> {
        // Nobody else's.
        let id = std::process::id();
        let address = |end| format!("10.{}.{}.{end}", id / 200 % 200, id % 200);
        let link = Self {
            name: format!("feed{id}"),
            here: address(1),
            there: address(2),
        };
        let Self { name, here, there } = &link;
        let commands = [
            format!("netns add {name}"),
            format!("link add {name}a type veth peer name {name}b netns {name}"),
            format!("addr add {here}/30 dev {name}a"),
            format!("link set {name}a up"),
            format!("-n {name} addr add {there}/30 dev {name}b"),
            format!("-n {name} link set {name}b up"),
        ];
        for command in commands {
            if !ip(&command) {
                println!("SKIPPED, only root can make network namespaces: ip {command}");
                return None;
            }
        }
        Some(link)
    }

    fn set(&self, state: &str) {
        let name = &self.name;
        assert!(ip(&format!("-n {name} link set {name}b {state}")));
    }

    /// Listens at the other end, and connects to `here`: so all that passes crosses the link twice.
    fn relay(&self, here: &Front, directory: &Path) -> Process {
        let mut relay = Command::new("ip");
        relay.args(["netns", "exec", &self.name, "python3", "-c", RELAY]);
        let authority = here.url.trim_start_matches("http://");
        relay.args(authority.trim_end_matches('/').split(':'));
        Process::start_command("relay", &mut relay, &[], directory)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // With both ends of the cable.
        ip(&format!("netns del {}", self.name));
        ip(&format!("link del {}a", self.name));
    }
}

fn ip(words: &str) -> bool {
    let output = Command::new("ip").args(words.split(' ')).output();
    output.is_ok_and(|output| output.status.success())
}

const RELAY: &str = "
import asyncio, sys
async def pipe(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()
async def serve(reader, writer):
    try:
        there = await asyncio.open_connection(sys.argv[1], sys.argv[2])
    except OSError:
        return writer.close()
    await asyncio.gather(pipe(reader, there[1]), pipe(there[0], writer))
async def main():
    server = await asyncio.start_server(serve, '0.0.0.0', 8080)
    await server.serve_forever()
asyncio.run(main())";

/// Something between a service and its PostgreSQL, and the address of the database through it.
async fn before(database: &FreshDatabase) -> (Front, String) {
    let url: url::Url = database.url().parse().unwrap();
    let directory = url
        .query_pairs()
        .find(|(name, _)| name == "host")
        .unwrap()
        .1;
    let front = Front::new().await;
    front.before([format!("{directory}/.s.PGSQL.5432")]);
    let authority = front
        .url
        .trim_start_matches("http://")
        .trim_end_matches('/');
    let url = format!(
        "postgres://postgres@{authority}{}?sslmode=disable",
        url.path()
    );
    (front, url)
}
