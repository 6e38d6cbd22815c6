//! What the demo has done, and its summary.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use feed_chassis::{counted, grouped};
use feed_core::http::BaseUrl;
use rust_decimal::Decimal;

use super::shop::Placed;

/// What was done.
#[derive(Debug)]
pub(super) struct Tally {
    /// Customers that were added first.
    customers: i64,
    items: i64,
    placed: Sum,
    cancelled: Sum,
    /// When the first order was sent.
    began: Instant,
}

/// Orders, and their total in each currency.
#[derive(Debug, Default)]
struct Sum {
    orders: i64,
    amounts: BTreeMap<String, Decimal>,
}

impl Sum {
    fn add(&mut self, order: &Placed) {
        self.orders += 1;
        let amount = self.amounts.entry(order.currency.clone()).or_default();
        *amount += order.total;
    }

    fn amount(&self) -> String {
        let amounts = self.amounts.iter();
        let amounts = amounts.map(|(currency, amount)| format!("{} {currency}", money(*amount)));
        amounts.collect::<Vec<_>>().join(" and ")
    }
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            customers: 0,
            items: 0,
            placed: Sum::default(),
            cancelled: Sum::default(),
            began: Instant::now(),
        }
    }

    pub(super) fn added_customer(&mut self) {
        self.customers += 1;
    }

    pub(super) fn added_item(&mut self) {
        self.items += 1;
    }

    /// Starts the clock.
    pub(super) fn begin(&mut self) {
        self.began = Instant::now();
    }

    pub(super) fn placed(&mut self, order: &Placed) {
        self.placed.add(order);
    }

    pub(super) fn cancelled(&mut self, order: &Placed) {
        self.cancelled.add(order);
    }

    /// How many orders were placed.
    pub(super) fn orders(&self) -> i64 {
        self.placed.orders
    }

    /// The summary for the user.
    pub(super) fn summary(&self, seed: u64, base: &BaseUrl) -> String {
        self.summary_of(self.began.elapsed(), seed, base)
    }

    fn summary_of(&self, took: Duration, seed: u64, base: &BaseUrl) -> String {
        let mut text = String::new();
        if (self.customers, self.items) != (0, 0) {
            let customers = counted(self.customers, "customer");
            let items = counted(self.items, "item");
            text += &format!("Added {customers} and {items} to the shop.\n");
        }
        text += &format!("Placed {}", counted(self.placed.orders, "order"));
        if self.placed.orders > 0 {
            text += &format!(" over {}", self.placed.amount());
        }
        text += &match self.cancelled.orders {
            0 => ", and cancelled none of them.\n".to_owned(),
            orders => format!(
                ", and cancelled {} of them over {}.\n",
                grouped(orders),
                self.cancelled.amount()
            ),
        };
        text += &format!(
            "It took {}. `--seed {seed}` makes the same orders again.\n\n",
            pace(self.placed.orders, took)
        );
        for (name, path) in [
            ("Orders", "order/"),
            ("Invoices", "invoice/"),
            ("Shipments", "shipping/"),
            ("Feed", "order/feed"),
        ] {
            text += &format!("{name:<11}{}\n", base.join(path));
        }
        text
    }
}

/// `2.5 s, 400 orders a second`.
fn pace(orders: i64, took: Duration) -> String {
    let seconds = took.as_secs_f64();
    let each_second = i32::try_from(orders).map_or(f64::INFINITY, f64::from) / seconds;
    match each_second {
        rate if !rate.is_normal() => format!("{seconds:.1} s"),
        ..10.0 => format!("{seconds:.1} s, {each_second:.1} orders a second"),
        _ => format!("{seconds:.1} s, {each_second:.0} orders a second"),
    }
}

/// `1234567.8` is `1,234,567.80`.
fn money(amount: Decimal) -> String {
    let text = format!("{amount:.2}");
    let (whole, cents) = text.split_once('.').unwrap_or((&text, "00"));
    match whole.parse::<i64>() {
        Ok(whole) => format!("{}.{cents}", grouped(whole)),
        Err(_) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(total: &str) -> Placed {
        Placed {
            id: 1,
            total: total.parse().expect("an amount"),
            currency: "EUR".to_owned(),
        }
    }

    #[test]
    fn the_summary_says_what_happened_and_where_to_look() {
        let base: BaseUrl = "http://127.0.0.1:8080/".parse().expect("a base URL");
        let mut tally = Tally::new();
        let nothing = tally.summary_of(Duration::from_secs(60), 7, &base);
        assert!(
            nothing.starts_with("Placed 0 orders, and cancelled none of them.\nIt took 60.0 s."),
            "{nothing}"
        );
        (tally.customers, tally.items) = (32, 1);
        for total in ["1000.00", "234.5", "0.45"] {
            tally.placed(&placed(total));
        }
        tally.cancelled(&placed("234.50"));
        let expected = "\
Added 32 customers and 1 item to the shop.
Placed 3 orders over 1,234.95 EUR, and cancelled 1 of them over 234.50 EUR.
It took 1.5 s, 2.0 orders a second. `--seed 7` makes the same orders again.

Orders     http://127.0.0.1:8080/order/
Invoices   http://127.0.0.1:8080/invoice/
Shipments  http://127.0.0.1:8080/shipping/
Feed       http://127.0.0.1:8080/order/feed
";
        let summary = tally.summary_of(Duration::from_millis(1_500), 7, &base);
        assert_eq!(summary, expected);
    }

    #[test]
    fn many_orders_a_second_have_no_decimals() {
        let second = Duration::from_secs(1);
        assert_eq!(pace(400, second), "1.0 s, 400 orders a second");
        assert_eq!(pace(400, Duration::ZERO), "0.0 s");
    }
}
