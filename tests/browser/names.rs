//! Realistic names and texts: shown as they were typed, on all pages.

use serde_json::json;

use crate::axe;
use crate::clerk::fill_in_line;
use crate::page::Look;
use crate::shop::{Shop, order};
use crate::story::tell;

const FIRSTNAME: &str = "Seán <b>";
const NAME: &str = "O'Brien & Söhne";
const ITEM: &str = "日本語 \"quoted\" <script>alert('x')</script> & more";
const STREET: &str = "Müllerstraße 5 \"Hof\" &amp; <i>";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_are_shown_as_they_were_typed() {
    let shop = Shop::open().await;
    tell(Look::DESKTOP, async |page| {
        page.open(&shop.url("order/customers/new")).await;
        page.fill("firstname", FIRSTNAME).await;
        page.fill("name", NAME).await;
        page.fill("email", "sean@example.com").await;
        page.press("Add customer").await;
        page.sees("main", NAME).await;
        page.open(&shop.url("order/items/new")).await;
        page.fill("name", ITEM).await;
        page.fill("price", "12.50").await;
        page.press("Add item").await;
        page.sees("main", ITEM).await;

        page.open(&shop.url("order/form.html")).await;
        page.choose("customer", NAME).await;
        for kind in ["shippingAddress", "billingAddress"] {
            page.fill(&format!("{kind}-street"), STREET).await;
            page.fill(&format!("{kind}-zip"), "SW1A 1AA").await;
            page.fill(&format!("{kind}-city"), "京都").await;
        }
        fill_in_line(page, 0, ITEM, "2").await;
        page.sees("#total", "25.00").await;
        page.press("Place order").await;
        page.arrives("/order/order/1").await;
        shop.delivered(1).await;
        let whole = format!("{FIRSTNAME} {NAME}");
        for (path, texts) in [
            ("order/order/1", &[&*whole, ITEM, STREET, "京都"][..]),
            ("order/", &[&whole]),
            ("order/?q=O%27Brien", &[&whole]),
            ("order/customers", &[NAME]),
            ("order/items", &[ITEM]),
            ("invoice/1", &[&whole, ITEM, STREET, "京都"]),
            ("invoice/", &[&whole]),
            ("shipping/1", &[&whole, ITEM, STREET, "京都"]),
            ("shipping/", &[&whole, "京都"]),
        ] {
            page.open(&shop.url(path)).await;
            for text in texts {
                page.sees("main", text).await;
            }
            axe::check(page, path).await;
        }
        page.open(&shop.url("order/customers")).await;
        page.press(&whole).await;
        assert_eq!(page.value("firstname").await, FIRSTNAME);
        assert_eq!(page.value("name").await, NAME);
        page.fill("name", "O'Brien").await;
        page.press("Save").await;
        page.arrives("/order/customers").await;
        page.sees("main", "O'Brien").await;
        // The order keeps the name that the customer had then.
        page.open(&shop.url("order/order/1")).await;
        page.sees("main", NAME).await;
    })
    .await;
}

/// What an older version has stored: a control character that turns the text behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_of_direction_garbles_nothing_beside_it() {
    let shop = Shop::open().await;
    let turned = "\u{202e}evil";
    for (table, field, id) in [("customers", "name", 1), ("items", "name", 1)] {
        let sql = format!("UPDATE {table} SET {field} = '{turned}' WHERE id = {id}");
        shop.execute("order", &sql).await;
    }
    let id = shop.place(&order("Main Street 1")).await;
    shop.delivered(id).await;
    tell(Look::DESKTOP, async |page| {
        // Of two characters that are written one after the other, the second one is on the right.
        let reads = "const at = (text, where) => {
                const walker = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
                for (let node; (node = walker.nextNode());) {
                    const from = node.data.indexOf(text);
                    if (from < 0) continue;
                    const range = document.createRange();
                    range.setStart(node, from + where);
                    range.setEnd(node, from + where + 1);
                    return range.getBoundingClientRect().left;
                }
            };";
        for (path, texts) in [
            ("order/order/1/cancel", &["over", "will be", "184.00"][..]),
            ("order/order/1", &["10115", "Berlin", "184.00"]),
            ("invoice/1", &["10115", "Berlin", "184.00"]),
            ("shipping/1", &["10115", "Berlin"]),
        ] {
            page.open(&shop.url(path)).await;
            for text in texts {
                page.sees("main", text).await;
                let script = format!("{reads} return at('{text}', 0) < at('{text}', 1);");
                assert_eq!(page.run(&script).await, true, "{path}: {text} is turned");
            }
        }
    })
    .await;
}

/// With the longest words that the rules permit, on the narrowest screen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_word_makes_no_page_wider() {
    let shop = Shop::open().await;
    let word = "Donaudampfschifffahrtsgesellschaft".repeat(4);
    for (path, fields) in [
        (
            "order/customers",
            &[
                ("firstname", &*word),
                ("name", &word),
                ("email", &format!("{word}@example.com")),
            ][..],
        ),
        ("order/items", &[("name", &word), ("price", "12.50")]),
    ] {
        let answer = shop.client.post_form(path, fields).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
    }
    let mut order = order(&word);
    order["customer"] = json!(3);
    order["shippingAddress"]["city"] = json!(word);
    order["orderLine"][0]["item"] = json!(5);
    let id = shop.place(&order).await;
    shop.delivered(id).await;
    tell(Look::PHONE, async |page| {
        for path in [
            "order/order/1",
            "order/",
            "order/?q=Donaudampfschifffahrtsgesellschaft",
            "order/form.html",
            "order/customers",
            "order/customers/3",
            "order/items",
            "invoice/1",
            "invoice/",
            "shipping/1",
            "shipping/",
        ] {
            page.open(&shop.url(path)).await;
            assert_eq!(
                page.wider().await,
                json!([]),
                "{path} has to be scrolled sideways"
            );
            assert_eq!(
                page.cut_off().await,
                json!([]),
                "{path} has cut something off"
            );
            axe::check(page, path).await;
        }
    })
    .await;
}
