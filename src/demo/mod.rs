//! `shop demo`: fills a running shop with orders, so that there is something to look at.

mod catalog;
mod error;
mod orders;
mod shop;
mod tally;

use std::io::Write;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::value_parser;
use feed_chassis::{Progress, read_once, stop_signal};
use feed_core::http::credentials::operator_authorization;
use feed_core::http::{BaseUrl, with_causes};
use futures_util::{StreamExt, stream};
use reqwest::header::HeaderValue;
use tokio_util::sync::CancellationToken;

use catalog::{CUSTOMERS, Customer, ITEMS, Item};
use error::ShopError;
use orders::{Orders, Planned};
use shop::Shop;
use tally::Tally;

/// A shop with fewer customers or items than this gets more of them.
const FEW: i64 = 10;

/// The interval at which the progress is updated.
const LOOK: Duration = Duration::from_millis(200);

/// The exit code of a program that Ctrl-C has stopped.
const INTERRUPTED: u8 = 130;

pub(crate) const EXAMPLES: &str = "\
Examples:
  shop demo
      places a hundred orders in the shop on this machine
  shop demo --orders 10000 --parallel 32
      puts load on it
  shop demo --orders 20 --seed 7 --cancel 50
      places the same twenty orders each time, and cancels half of them
  shop demo --url https://shop.example/
      fills a shop elsewhere

`shop` is short for `cargo run --`.";

/// The settings of the demo.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Config {
    /// The base URL of the shop
    #[arg(
        long,
        env = "SHOP_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080/"
    )]
    url: BaseUrl,

    /// A file with `operate` credentials, for a shop that asks for them: one line, `NAME:PASSWORD` or a
    /// token
    #[arg(
        long,
        env = "SHOP_CREDENTIALS_FILE",
        value_name = "FILE",
        value_parser = read_once(operator_authorization)
    )]
    credentials_file: Option<HeaderValue>,

    /// The number of orders to place
    #[arg(long, value_name = "N", default_value = "100", value_parser = value_parser!(i64).range(1..=1_000_000_000))]
    orders: i64,

    /// The share of orders to cancel, in percent
    #[arg(long, value_name = "PERCENT", default_value = "5",
          value_parser = value_parser!(u8).range(..=100))]
    cancel: u8,

    /// The seed: the same number creates the same orders in the same shop [default: a new one each time]
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// The number of orders to place at the same time
    #[arg(long, value_name = "N", default_value = "8", value_parser = value_parser!(u16).range(1..=256))]
    parallel: u16,
}

/// Places the orders, and prints the result. The exit code is 0 if all were placed.
pub(crate) async fn run(config: Config) -> ExitCode {
    let seed = config.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let tally = Mutex::new(Tally::new());
    let ended = fill(&config, seed, &tally).await;
    let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    if tally.orders() > 0 {
        // A closed pipe, as with `| true`, is no error.
        let summary = tally.summary(seed, &config.url);
        let _ = std::io::stdout().write_all(summary.as_bytes());
    }
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", with_causes(&error));
            match error {
                ShopError::Stopped => ExitCode::from(INTERRUPTED),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// Places the orders of `seed`. `tally` has what was done, also after an error.
async fn fill(config: &Config, seed: u64, tally: &Mutex<Tally>) -> Result<(), ShopError> {
    let stop = CancellationToken::new();
    stop_signal(stop.clone()).map_err(ShopError::Signals)?;
    let shop = Shop::at(
        config.url.clone(),
        config.credentials_file.clone(),
        stop.clone(),
    )?;
    let customers = customers(&shop, tally).await?;
    let items = items(&shop, tally).await?;
    let wanted = usize::try_from(config.orders).unwrap_or(usize::MAX);
    let orders = Orders::new(seed, customers, items, config.cancel).take(wanted);
    let placing = stream::iter(orders)
        .take_until(stop.cancelled())
        .map(|planned| place(&shop, planned, tally))
        .buffer_unordered(config.parallel.into());
    let mut placing = pin!(placing);
    locked(tally).begin();
    let mut progress = Progress::of("Placing orders");
    let mut look = tokio::time::interval(LOOK);
    let mut failed = None;
    loop {
        tokio::select! {
            placed = placing.next() => match placed {
                None => break,
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    // Requests that have been sent are finished, and count.
                    stop.cancel();
                    failed.get_or_insert(error);
                }
            },
            _ = look.tick() => match shop.trouble() {
                Some(trouble) => progress.say(&format!("waiting for the shop: {trouble}")),
                None => progress.at(locked(tally).orders(), config.orders),
            },
        }
    }
    let all = locked(tally).orders() == config.orders;
    failed
        .or((!all).then_some(ShopError::Stopped))
        .map_or(Ok(()), Err)
}

/// Places one order, and cancels it if that is planned.
async fn place(shop: &Shop, planned: Planned, tally: &Mutex<Tally>) -> Result<(), ShopError> {
    let key = format!("demo-{:032x}", fastrand::u128(..));
    let order = shop.place(&planned.order, &key).await?;
    locked(tally).placed(&order);
    if planned.cancelled {
        let order = shop.cancel(order.id).await?;
        locked(tally).cancelled(&order);
    }
    Ok(())
}

/// The customers who order, by their numbers; a shop that has few gets more first.
async fn customers(shop: &Shop, tally: &Mutex<Tally>) -> Result<Vec<i64>, ShopError> {
    let mut known = shop.customers().await?;
    if known.count < FEW {
        let missing = |customer: &&Customer| {
            let mut known = known.customers.iter();
            !known.any(|known| known.email == customer.email)
        };
        for customer in CUSTOMERS.iter().filter(missing) {
            shop.add_customer(customer).await?;
            locked(tally).added_customer();
        }
        known = shop.customers().await?;
    }
    let mut ids: Vec<i64> = known
        .customers
        .iter()
        .map(|known| known.customer_id)
        .collect();
    ids.sort_unstable();
    match ids.is_empty() {
        true => Err(shop.strange("it has no customers")),
        false => Ok(ids),
    }
}

/// The items that are ordered, likewise.
async fn items(shop: &Shop, tally: &Mutex<Tally>) -> Result<Vec<i64>, ShopError> {
    let mut known = shop.items().await?;
    if known.count < FEW {
        let missing = |item: &&Item| !known.items.iter().any(|known| known.name == item.name);
        for item in ITEMS.iter().filter(missing) {
            shop.add_item(item).await?;
            locked(tally).added_item();
        }
        known = shop.items().await?;
    }
    let mut ids: Vec<i64> = known.items.iter().map(|known| known.item_id).collect();
    ids.sort_unstable();
    match ids.is_empty() {
        true => Err(shop.strange("it has no items")),
        false => Ok(ids),
    }
}

/// A panic elsewhere has interrupted no sum.
fn locked(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}
