//! The pages with the items.

use feed_core::service::list::Page;
use maud::{Markup, html};

use super::fields::{Input, Messages, summary};
use super::{Pages, money, nothing};
use crate::order::{Item, ItemId};
use crate::rules::{DraftItem, FieldError, MAX_TEXT};

impl Pages {
    pub(in crate::http) fn items(&self, page: &Page<Item>) -> Markup {
        let base = &self.frame.base;
        let body = html! {
            div.toolbar {
                a.button href=(base.path("items/new")) { "New item" }
                (page.search_form(base, "Number or name"))
            }
            @if page.items.is_empty() {
                p.quiet { (nothing(page, "items")) }
            } @else {
                div.scroll {
                    table aria-label="Items" {
                        thead { tr {
                            th scope="col" class="number" { "Number" }
                            th scope="col" { "Name" }
                            th scope="col" class="number" { "Price" }
                        } }
                        tbody {
                            @for item in &page.items { tr {
                                td.number { (item.id) }
                                th scope="row" {
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
        self.frame.page("Items", &body)
    }

    /// The form for a new item, or for the one with `id`.
    pub(in crate::http) fn item_form(
        &self,
        id: Option<ItemId>,
        draft: &DraftItem,
        errors: &[FieldError],
    ) -> Markup {
        let messages = Messages::new(errors);
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let (name, price) = (text(&draft.name), text(&draft.price));
        let field = |name, label, value, inputmode| Input {
            name,
            label,
            value,
            max: MAX_TEXT,
            autocomplete: "off",
            inputmode,
        };
        let fields = [
            field("name", "Name", name.as_str(), None),
            field(
                "price",
                "Price of one piece, in EUR",
                price.as_str(),
                Some("decimal"),
            ),
        ];
        let called = |field: &str| match field {
            "price" => "Price".to_owned(),
            _ => "Name".to_owned(),
        };
        let (title, action) = match id {
            Some(id) => (format!("Item {id}"), id.path()),
            None => ("New item".to_owned(), "items".to_owned()),
        };
        let body = html! {
            (summary(errors, "Nothing is stored yet. Please look at:", called))
            form.narrow method="post" action=(self.frame.base.path(&action)) novalidate {
                @for input in fields { (messages.input(input)) }
                @if id.is_some() { p.quiet { "A change holds for new orders. What was sold stays as it was." } }
                div.actions {
                    button { @if id.is_some() { "Save" } @else { "Add item" } }
                    a.button.plain href=(self.frame.base.path("items")) { "Cancel" }
                }
            }
        };
        self.frame.page(&title, &body)
    }
}
