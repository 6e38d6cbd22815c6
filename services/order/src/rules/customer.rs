//! The rules for a customer.

use feed_chassis::openapi::LINE;
use schemars::JsonSchema;

use super::Record;
use super::check::{Errors, FieldError, MAX_TEXT, check_text};
use crate::order::{Customer, CustomerId, NewCustomer};

/// A customer as a client sends one, unchecked. `None` is a field that is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema)]
#[schemars(
    rename = "NewCustomer",
    description = "A customer as a client wishes it"
)]
pub struct DraftCustomer {
    #[schemars(required, length(max = MAX_TEXT), pattern(LINE))]
    pub firstname: Option<String>,
    #[schemars(required, length(max = MAX_TEXT), pattern(LINE))]
    pub name: Option<String>,
    #[schemars(required, length(max = MAX_TEXT), pattern(EMAIL))]
    pub email: Option<String>,
}

/// What [`check_email`] accepts, as a pattern.
const EMAIL: &str = concat!(
    r"^[^\s@\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufffe\uffff]+",
    r"@[^\s@\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufffe\uffff]+$"
);

impl From<&Customer> for DraftCustomer {
    fn from(customer: &Customer) -> Self {
        Self {
            firstname: Some(customer.firstname.clone()),
            name: Some(customer.name.clone()),
            email: Some(customer.email.clone()),
        }
    }
}

impl Record for Customer {
    type Draft = DraftCustomer;
    type New = NewCustomer;

    const NAME: &'static str = "customer";
    const LIST: &'static str = "customers";

    fn check(draft: DraftCustomer) -> Result<NewCustomer, Vec<FieldError>> {
        let mut errors = Errors::default();
        let firstname = check_text("a first name", draft.firstname, MAX_TEXT);
        let firstname = errors.unless("firstname", firstname);
        let name = errors.unless("name", check_text("a name", draft.name, MAX_TEXT));
        let email = errors.unless("email", check_email(draft.email));
        match (firstname, name, email) {
            (Some(firstname), Some(name), Some(email)) => Ok(NewCustomer {
                firstname,
                name,
                email,
            }),
            _ => Err(errors.into()),
        }
    }

    fn numbered(new: NewCustomer, id: i64) -> Self {
        Self {
            id: CustomerId(id),
            name: new.name,
            firstname: new.firstname,
            email: new.email,
        }
    }

    fn id(&self) -> i64 {
        self.id.0
    }
}

/// Checks that a text can be an address. Whether mail arrives there, only mail can show.
fn check_email(text: Option<String>) -> Result<String, String> {
    let email = check_text("an e-mail address", text, MAX_TEXT)?;
    let parts = email
        .split_once('@')
        .filter(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
    match parts {
        Some(_) if !email.contains(char::is_whitespace) => Ok(email),
        _ => Err("Enter an e-mail address, such as name@example.com.".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(firstname: &str, name: &str, email: &str) -> DraftCustomer {
        DraftCustomer {
            firstname: Some(firstname.to_owned()),
            name: Some(name.to_owned()),
            email: Some(email.to_owned()),
        }
    }

    #[test]
    fn names_are_kept_as_they_are_written() {
        for name in [
            "O'Brien",
            "Müller",
            "<b>",
            "日本語",
            "de la Cruz",
            "محمد",
            "دو\u{200c}م",
        ] {
            let customer = Customer::check(draft(" Ada ", name, "ada@example.com"));
            let customer = customer.expect("a customer");
            assert_eq!(
                (customer.firstname.as_str(), customer.name.as_str()),
                ("Ada", name)
            );
        }
    }

    #[test]
    fn each_rule_names_its_field() {
        let long = "x".repeat(MAX_TEXT + 1);
        for (draft, fields) in [
            (
                DraftCustomer::default(),
                &["firstname", "name", "email"][..],
            ),
            (draft(" ", "Curie", "m@x"), &["firstname"]),
            (draft("Marie", &long, "m@x"), &["name"]),
            (draft("Marie", "Cu\0rie", "m@x"), &["name"]),
            (draft("Marie", "Curie\r\n", "m@x"), &["name"]),
            (draft("Marie", "\u{202e}Curie", "m@x"), &["name"]),
            (
                draft("\u{2067}Marie\u{2069}", "Curie", "m@x"),
                &["firstname"],
            ),
            (draft("\u{200b}", "Curie", "m@x"), &["firstname"]),
            (draft("Marie", "\u{ad}\u{3164}", "m@x"), &["name"]),
            (draft("Marie", "Curie", "m@\u{202e}x"), &["email"]),
            (draft("Marie", "Curie", "marie"), &["email"]),
            (draft("Marie", "Curie", "@x"), &["email"]),
            (draft("Marie", "Curie", "m@"), &["email"]),
            (draft("Marie", "Curie", "m@x@y"), &["email"]),
            (draft("Marie", "Curie", "m m@x"), &["email"]),
        ] {
            let errors = Customer::check(draft).expect_err("refused");
            let named: Vec<&str> = errors.iter().map(|error| &*error.field).collect();
            assert_eq!(named, fields);
        }
    }
}
