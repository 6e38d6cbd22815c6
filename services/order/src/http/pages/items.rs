//! The pages with the items.

use feed_chassis::html::thead;
use feed_chassis::list::Page;
use maud::{Markup, html};

use super::record::{Record, Shown, field};
use super::{Pages, money};
use crate::order::{Item, ItemId};
use crate::rules::DraftItem;

impl Pages {
    pub(in crate::http) fn items(&self, page: &Page<Item>) -> Markup {
        let base = &self.frame.base;
        let body = html! {
            div.toolbar {
                a.button href=(base.path("items/new")) { "New item" }
                (page.search_form(base, "Number or name", &[]))
            }
            @if page.items.is_empty() {
                (page.nothing("items", &html! {
                    "Choose " strong { "New item" } " to add the first one."
                }))
            } @else {
                div.scroll {
                    table aria-label="Items" {
                        (thead([("Number", "number"), ("Name", ""), ("Price", "number")]))
                        tbody {
                            @for item in &page.items { tr {
                                td.number { (item.id) }
                                th.long scope="row" {
                                    a href=(base.path(&item.id.path())) { (item.name) }
                                }
                                td.number { (money(item.price)) }
                            } }
                        }
                    }
                }
            }
            (page.footer(base, "item", "items"))
        };
        self.frame.localized("Items", &body, &[])
    }

    /// The form for a new item, or for the one with `id`.
    pub(in crate::http) fn item_form(
        &self,
        id: Option<ItemId>,
        shown: Shown<'_, DraftItem>,
    ) -> Markup {
        let Shown { draft, now, .. } = shown;
        let fields = [
            field("name", "Name", draft.name.as_ref(), None),
            field(
                "price",
                "Price of one piece, in EUR",
                draft.price.as_ref(),
                Some("decimal"),
            ),
        ];
        let now = now.map(|now| [now.name.as_ref(), now.price.as_ref()]);
        let (title, action, button) = match id {
            Some(id) => (format!("Item {id}"), id.path(), "Save"),
            None => ("New item".to_owned(), "items".to_owned(), "Add item"),
        };
        let record = Record {
            title,
            button,
            action,
            list: "items",
            fields: &fields,
            version: shown.version,
            now: now.as_ref().map(|now| &now[..]),
            related: None,
            is_change: id.is_some(),
        };
        self.record(&record, shown.errors)
    }
}
