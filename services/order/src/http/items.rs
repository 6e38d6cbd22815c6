//! Items, for people and for programs.

use maud::{Markup, html};
use tracing::info;

use super::body::Fields;
use super::pages::{Input, field, money};
use super::records::Resource;
use crate::order::Item;
use crate::rules::DraftItem;

impl Resource for Item {
    const ONE: &'static str = "Item";
    const MANY: &'static str = "Items";
    const SEARCH: &'static str = "Number or name";
    const LAST: (&'static str, &'static str) = ("Price", "number");
    const HAS_MONEY: bool = true;

    fn read(fields: &Fields) -> DraftItem {
        DraftItem {
            name: fields.text("name"),
            price: fields.number("price"),
        }
    }

    fn inputs(draft: &DraftItem) -> Vec<Input<'_>> {
        let price = "Price of one piece, in EUR";
        vec![
            field("name", "Name", draft.name.as_ref(), None),
            field("price", price, draft.price.as_ref(), Some("decimal")),
        ]
    }

    fn label(&self) -> String {
        self.name.clone()
    }

    fn last(&self) -> Markup {
        html! { td.number { (money(self.price)) } }
    }

    fn log(&self, done: &str) {
        info!(item.id = %self.id, "{done} item {}", self.id);
    }
}
