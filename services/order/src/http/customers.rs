//! Customers, for people and for programs.

use maud::{Markup, html};
use tracing::info;

use super::body::Fields;
use super::pages::{Input, field};
use super::records::Resource;
use crate::order::Customer;
use crate::rules::DraftCustomer;

impl Resource for Customer {
    const ONE: &'static str = "Customer";
    const MANY: &'static str = "Customers";
    const SEARCH: &'static str = "Number, name or e-mail";
    const LAST: (&'static str, &'static str) = ("E-mail", "");

    fn read(fields: &Fields) -> DraftCustomer {
        DraftCustomer {
            firstname: fields.text("firstname"),
            name: fields.text("name"),
            email: fields.text("email"),
        }
    }

    fn inputs(draft: &DraftCustomer) -> Vec<Input<'_>> {
        vec![
            field("firstname", "First name", draft.firstname.as_ref(), None),
            field("name", "Name", draft.name.as_ref(), None),
            field("email", "E-mail", draft.email.as_ref(), Some("email")),
        ]
    }

    fn label(&self) -> String {
        self.full_name()
    }

    fn last(&self) -> Markup {
        html! { td.long { (self.email) } }
    }

    fn related(id: i64) -> Option<(String, &'static str)> {
        Some((format!("?customer={id}"), "Orders of this customer"))
    }

    fn log(&self, done: &str) {
        info!(customer.id = %self.id, "{done} customer {}", self.id);
    }
}
