//! The six tasks of an operator, each on a shop with data of its own, from the start page on: what became of an order,
//! why it is parked, what is decided about many, a pause, the instances, and whether it catches up.
//!
//! Each prints the clicks, fields and seconds that it takes, and the bytes of its pages (`--nocapture`).

use std::cell::Cell;
use std::time::Instant;

use harness::until;
use serde_json::json;

use crate::axe;
use crate::page::{Look, Page};
use crate::picture::keep;
use crate::shop::{Shop, order};
use crate::story::tell;

/// An operator who does a task: counts what it takes.
struct Operator<'a> {
    page: &'a Page,
    task: &'static str,
    began: Instant,
    clicks: Cell<u32>,
    fields: Cell<u32>,
    bytes: Cell<u64>,
}

impl<'a> Operator<'a> {
    /// Opens the start page, and follows its link to the status of the invoices.
    async fn begins(shop: &Shop, page: &'a Page, task: &'static str) -> Self {
        page.open(&shop.url("")).await;
        let operator = Self {
            page,
            task,
            began: Instant::now(),
            clicks: Cell::default(),
            fields: Cell::default(),
            bytes: Cell::default(),
        };
        operator.click("#invoice a[href$=status]").await;
        page.arrives("/invoice/status").await;
        operator.weigh().await;
        operator
    }

    async fn click(&self, css: &str) {
        until(&format!("{css} can be pressed"), async || {
            self.page.find(css).await.click().await.ok()
        })
        .await;
        self.clicks.set(self.clicks.get() + 1);
    }

    async fn press(&self, name: &str) {
        self.page.press(name).await;
        self.clicks.set(self.clicks.get() + 1);
    }

    async fn fill(&self, id: &str, text: &str) {
        self.page.fill(id, text).await;
        self.fields.set(self.fields.get() + 1);
    }

    async fn sees(&self, text: &str) {
        self.page.sees("main", text).await;
    }

    /// Adds the bytes of the page that is shown.
    async fn weigh(&self) {
        let script = "return performance.getEntriesByType('navigation')[0].encodedBodySize";
        let bytes = self.page.run(script).await.as_u64().unwrap_or(0);
        self.bytes.set(self.bytes.get() + bytes);
    }

    /// Looks at the last page of the task once more, and prints what the task took.
    async fn ends(self) {
        let Self {
            page,
            task,
            began,
            clicks,
            fields,
            bytes,
        } = self;
        let took = began.elapsed();
        axe::check(page, task).await;
        assert_eq!(
            page.wider().await,
            json!([]),
            "{task} has to be scrolled sideways"
        );
        let name = task.replace(' ', "-");
        keep(&format!("task.{name}.png"), &page.picture().await);
        println!(
            "{task}: {} clicks, {} fields, {took:.1?}, {} bytes of pages",
            clicks.get(),
            fields.get(),
            bytes.get()
        );
    }
}

/// From now on, the invoices of these orders are refused.
async fn refuse(shop: &Shop, which: &str) {
    let refuse = format!(
        "CREATE TRIGGER refuse BEFORE INSERT ON invoice WHEN {which} BEGIN \
         SELECT RAISE(ABORT, 'the account is closed for the year'); END"
    );
    shop.execute("invoice", &refuse).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_became_of_an_order() {
    let shop = Shop::open().await;
    refuse(&shop, "NEW.order_id = 2").await;
    for number in 1..=3 {
        shop.place(&order(&format!("Main Street {number}"))).await;
    }
    shop.delivered_to("invoice", 3).await;
    let cancel = shop.client.post_form("order/order/2/cancel", &[]).await;
    assert_eq!(cancel.status, 303);
    shop.has("invoice/status", "waiting", json!(1)).await;
    tell(Look::DESKTOP, async |page| {
        let operator = Operator::begins(&shop, page, "what became of an order").await;
        operator.fill("about", "order/2").await;
        operator.press("Find").await;
        page.arrives("/invoice/status/events").await;
        operator.weigh().await;
        for shown in ["waiting", "parked", "the account is closed for the year"] {
            operator.sees(shown).await;
        }
        operator.ends().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_an_event_is_parked() {
    let shop = Shop::open().await;
    refuse(&shop, "NEW.order_id = 1").await;
    shop.place(&order("Main Street 1")).await;
    shop.has("invoice/status", "parked", json!(1)).await;
    let cancel = shop.client.post_form("order/order/1/cancel", &[]).await;
    assert_eq!(cancel.status, 303);
    shop.has("invoice/status", "waiting", json!(1)).await;
    tell(Look::DESKTOP, async |page| {
        let operator = Operator::begins(&shop, page, "why an event is parked").await;
        operator.sees("1 event is parked").await;
        operator.press("order/1").await;
        page.arrives("/invoice/status/events").await;
        operator.weigh().await;
        operator.sees("1 later event waits for it").await;
        page.sees("table[aria-label=Attempts]", "the account is closed")
            .await;
        operator.press("Data").await;
        page.sees("pre", "\"street\": \"Main Street 1\"").await;
        operator.ends().await;
    })
    .await;
}

/// Looks first, decides about what is shown, and takes it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_decided_about_many() {
    let shop = Shop::open().await;
    refuse(&shop, "NEW.order_id > 1").await;
    for number in 1..=4 {
        shop.place(&order(&format!("Main Street {number}"))).await;
    }
    for look in [Look::DESKTOP, Look::PHONE] {
        shop.has("invoice/status", "parked", json!(3)).await;
        tell(look, async |page| {
            let operator = Operator::begins(&shop, page, "what is decided about many").await;
            operator.press("Select by type, time or cause").await;
            page.arrives("/invoice/status/parked").await;
            operator.weigh().await;
            operator.click("form[role=search] summary").await;
            operator.fill("type", "order.placed").await;
            operator.press("Show").await;
            operator.sees("3 events selected").await;
            operator.weigh().await;
            axe::check(page, "a selection of parked events").await;
            keep(
                &format!("task.what-is-decided-about-many.{}.png", look.name),
                &page.picture().await,
            );
            operator
                .click("section[aria-labelledby=selected] summary")
                .await;
            operator.fill("reason-selected", "a mistake").await;
            operator.fill("by-skip-selected", "eve").await;
            operator.press("Skip these 3").await;
            operator.sees("3 skipped").await;
            shop.has("invoice/status", "parked", json!(0)).await;

            // It was one: they are parked again.
            let decisions = "table[aria-label=Decisions]";
            operator.click(&format!("{decisions} summary")).await;
            axe::check(page, "a decision that can be undone").await;
            let by = page.find(&format!("{decisions} input[name=by]")).await;
            by.write("ada").await.unwrap();
            operator.click(&format!("{decisions} form button")).await;
            operator.sees("undone by ada").await;
            operator.sees("3 events are parked").await;
            operator.ends().await;
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause() {
    let shop = Shop::open().await;
    let first = shop.place(&order("Main Street 1")).await;
    shop.delivered(first).await;
    tell(Look::DESKTOP, async |page| {
        let operator = Operator::begins(&shop, page, "a pause").await;
        operator.press("Pause the subscription").await;
        operator.fill("reason-pause", "the printer moves").await;
        operator.fill("by-pause", "eve").await;
        operator.press("Pause").await;
        operator.sees("Paused by eve: the printer moves").await;
        operator.weigh().await;
        keep("task.a-pause.paused.png", &page.picture().await);

        let second = shop.place(&order("Main Street 2")).await;
        shop.delivered_to("shipping", second).await;
        let poll = shop.client.post_form("invoice/poll", &[]).await;
        assert_eq!(poll.status, 303);
        shop.has("invoice/status", "head", json!(2)).await;
        shop.has("invoice/status", "sequence", json!(1)).await;
        page.open(&shop.url("")).await;
        page.sees("#invoice .state", "Paused").await;
        page.open(&shop.url("invoice/status")).await;
        operator.sees("Paused by eve").await;
        operator.fill("by-unpause", "eve").await;
        operator.press("Resume").await;
        shop.delivered(second).await;
        page.open(&shop.url("invoice/status/decisions")).await;
        operator.sees("resumed after a pause").await;
        operator.ends().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_instances() {
    let shop = Shop::open().await;
    let _second = shop.second_instance("invoice").await;
    until("both have a share", async || {
        let all = shop.client.json("invoice/status/instances").await?;
        let all = all["instances"].as_array()?.clone();
        (all.len() == 2 && all.iter().all(|it| it["partitions"] == 8)).then_some(())
    })
    .await;
    tell(Look::DESKTOP, async |page| {
        let operator = Operator::begins(&shop, page, "the instances").await;
        operator.click("a[href$='status/instances']").await;
        page.arrives("/invoice/status/instances").await;
        operator.weigh().await;
        page.sees("table", "8 of 16").await;
        keep("task.the-instances.both.png", &page.picture().await);
        operator.press("Take an instance out").await;
        page.choose("retired", "second-").await;
        operator.fill("reason-retire", "its disk is slow").await;
        operator.fill("by-retire", "eve").await;
        operator.press("Take it out").await;
        page.sees("table", "retired by eve").await;
        until("the other one has all", async || {
            let all = shop.client.json("invoice/status/instances").await?;
            all["instances"]
                .as_array()?
                .iter()
                .any(|it| it["partitions"] == 16)
                .then_some(())
        })
        .await;
        page.session.reload().await.unwrap();
        page.sees("table", "16 of 16").await;
        operator.ends().await;
    })
    .await;
    let order = shop.place(&order("Main Street 1")).await;
    shop.delivered(order).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whether_it_catches_up() {
    let shop = Shop::open().await;
    let first = shop.place(&order("Main Street 1")).await;
    shop.delivered(first).await;
    let pause = [("reason", "so that it falls behind"), ("by", "eve")];
    shop.client.post_form("invoice/status/pause", &pause).await;
    for number in 2..=40 {
        shop.place(&order(&format!("Main Street {number}"))).await;
    }
    shop.client.post_form("invoice/poll", &[]).await;
    shop.has("invoice/status", "head", json!(40)).await;
    tell(Look::DESKTOP, async |page| {
        let operator = Operator::begins(&shop, page, "whether it catches up").await;
        page.find("svg").await;
        operator.sees("1 of 40").await;
        operator.sees("No event over the last").await;
        keep(
            "task.whether-it-catches-up.behind.png",
            &page.picture().await,
        );
        let resume = [("by", "eve")];
        shop.client
            .post_form("invoice/status/resume", &resume)
            .await;
        shop.has("invoice/status", "sequence", json!(40)).await;
        page.session.reload().await.unwrap();
        operator.sees("40 of 40").await;
        operator.sees("Pace").await;
        operator.ends().await;
    })
    .await;
}
