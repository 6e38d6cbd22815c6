//! A consumer that a team might add to the shop: it counts the items sold on each day, less those
//! cancelled. It knows only the address of the order service's feed.
//!
//! In one terminal: `cargo run -p order`; in another one: `cargo run -p feed-console --example
//! sales`. Place orders on <http://127.0.0.1:8081/>. See the sales on <http://127.0.0.1:8084/>; see
//! the state of the subscription, and decide about it, on <http://127.0.0.1:8084/status>.

use std::process::ExitCode;

use axum::extract::State;
use axum::{Router, routing::get};
use feed_console::service::{self, Config, Service, ServiceOn, Site};
use feed_core::http::{Json, Problem};
use feed_core::transfer::{Migrations, Table};
use feed_core::{Batch, Database, Effect, EffectError, Received};
use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde_json::{Value, json};
use sqlx::{Sqlite, Transaction};

const MIGRATIONS: Migrations = &[(
    1,
    "sale",
    "CREATE TABLE sale (
         order_id INTEGER NOT NULL,
         line     INTEGER NOT NULL,
         day      TEXT    NOT NULL,
         item     TEXT    NOT NULL,
         pieces   INTEGER NOT NULL,
         cents    INTEGER NOT NULL, -- of one piece
         PRIMARY KEY (order_id, line) -- no line counts twice, whatever else goes wrong
     )",
)];

/// The fields of an order that are needed here: all others may change.
#[derive(serde::Deserialize)]
struct Order {
    id: i64,
    #[serde(rename = "orderLine")]
    lines: Vec<Line>,
}

#[derive(serde::Deserialize)]
struct Line {
    count: i64,
    item: Item,
}

#[derive(serde::Deserialize)]
struct Item {
    name: String,
    #[serde(with = "rust_decimal::serde::arbitrary_precision")]
    price: Decimal,
}

struct Sales;

impl Effect<Sqlite> for Sales {
    /// Two statements, however many events there are.
    async fn apply(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        events: &Batch<'_>,
    ) -> Result<(), EffectError> {
        let (mut sold, mut cancelled) = (Vec::new(), Vec::new());
        for event in events {
            match event.event_type.as_deref() {
                // An unreadable event is parked with the reason, and all others continue.
                Some("order.placed") => sold.extend(lines(&event.json()?, event)),
                Some("order.cancelled") => cancelled.push(event.json::<Order>()?.id),
                _ => events.pass_over(event, "nothing is sold by it"),
            }
        }
        // A cancelled order was placed before, so these may come first.
        sqlx::query(
            "INSERT INTO sale (order_id, line, day, item, pieces, cents)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5
             FROM json_each($1) WHERE true ON CONFLICT DO NOTHING",
        )
        .bind(json!(sold).to_string())
        .execute(&mut **tx)
        .await?;
        sqlx::query("DELETE FROM sale WHERE order_id IN (SELECT value FROM json_each($1))")
            .bind(json!(cancelled).to_string())
            .execute(&mut **tx)
            .await?;
        Ok(())
    }
}

/// Returns the rows of an order. A price that is no number of cents is NULL: the table rejects it,
/// which parks the event too.
fn lines(order: &Order, event: &Received) -> Vec<Value> {
    let (id, day) = (order.id, event.time.date_naive());
    let row = |(line, Line { count, item }): (usize, &Line)| {
        let cents = item.price.checked_mul(Decimal::ONE_HUNDRED);
        let cents = cents
            .filter(Decimal::is_integer)
            .and_then(|cents| cents.to_i64());
        json!([id, line, day, item.name, count, cents])
    };
    order.lines.iter().enumerate().map(row).collect()
}

async fn sales(State(database): State<Database<Sqlite>>) -> Result<Json<Vec<Value>>, Problem> {
    let rows: Vec<(String, String, i64, i64)> = sqlx::query_as(
        "SELECT day, item, sum(pieces), sum(pieces * cents) FROM sale
         GROUP BY day, item ORDER BY day DESC, item",
    )
    .fetch_all(database.reader())
    .await?;
    let sale = |(day, item, pieces, cents)| json!({"day": day, "item": item, "pieces": pieces, "cents": cents});
    Ok(Json(rows.into_iter().map(sale).collect()))
}

impl Service for Sales {
    const NAME: &'static str = "sales";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ABOUT: &'static str =
        "What is sold on each day, by the orders that it reads of in a feed";
    const TITLE: &'static str = "Sales";
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[
        ("database_url", "sqlite:data/sales.db"),
        ("listen", "127.0.0.1:8084"),
        ("feed_url", "http://127.0.0.1:8081/feed"),
    ];
    const SUBSCRIPTION: &'static str = "order";
    const MIGRATIONS_TABLE: &'static str = "_sale_migrations";
    const TABLES: &'static [Table] = &[Table::new("sale")];
    type Settings = ();
}

impl ServiceOn<Sqlite> for Sales {
    const MIGRATIONS: Migrations = MIGRATIONS;
    type Effect = Self;
    type Expected = ();

    fn effect(_: &Config<()>) -> Self {
        Self
    }

    fn routes(site: Site<Sqlite>, _: &()) -> Router {
        Router::new().route("/", get(sales).with_state(site.database))
    }
}

fn main() -> ExitCode {
    feed_chassis::block_on(service::main_on::<Sales, Sqlite>())
}
