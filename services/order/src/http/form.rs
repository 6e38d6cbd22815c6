//! The order form: every step is a whole page, so that it works without scripts.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use url::form_urlencoded;
use uuid::Uuid;

use super::app::App;
use super::body::FormBody;
use super::context::{MAX_KEY, Traceparent};
use super::problem::Problem;
use crate::order::CustomerId;
use crate::orders::{IdempotencyKey, OrderError};
use crate::rules::{Catalog, Draft, DraftAddress, DraftLine, FieldError, MAX_LINES};
use crate::store::Store;

/// The fields of a form, as they were typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) customer: String,
    pub(super) shipping: AddressFields,
    pub(super) billing: AddressFields,
    pub(super) lines: Vec<LineFields>,
    /// Identifies this form, so that it places one order, however often it is sent.
    pub(super) key: String,
    /// The line whose "Remove" was pressed.
    remove: Option<usize>,
    /// "Update total" was pressed.
    update: bool,
    /// What was sent and is not in the other fields. Without it, the order would be another one.
    unread: Option<FieldError>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct AddressFields {
    pub(super) street: String,
    pub(super) zip: String,
    pub(super) city: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LineFields {
    pub(super) item: String,
    pub(super) count: String,
}

impl LineFields {
    /// Creates an empty line.
    fn blank() -> Self {
        Self {
            item: String::new(),
            count: "1".to_owned(),
        }
    }
}

/// `GET /form.html`: the form, with one line.
pub(super) async fn blank<S: Store>(State(app): State<App<S>>) -> Result<Response, Problem> {
    let fields = Fields {
        lines: vec![LineFields::blank()],
        key: new_key(),
        ..Fields::default()
    };
    page(&app, &fields, &[]).await
}

/// `POST /line`: the form as it was filled in, with one line more, one less, or the total anew. It says what was changed
/// of the choices since it showed them.
pub(super) async fn lines<S: Store>(
    State(app): State<App<S>>,
    FormBody(body): FormBody,
) -> Result<Response, Problem> {
    let mut fields = Fields::parse(&body);
    match fields.remove {
        _ if fields.update => {}
        Some(index) if index < fields.lines.len() => {
            fields.lines.remove(index);
        }
        Some(_) => {}
        None if fields.lines.len() < MAX_LINES => fields.lines.push(LineFields::blank()),
        None => {}
    }
    let catalog = catalog(&app, &fields).await?;
    let mut errors = fields.draft().changes(&catalog);
    errors.extend(fields.unread.clone());
    Ok(app.pages.form(&fields, &errors, &catalog).into_response())
}

/// `POST /`: places the order and leads to it, or shows the form again with what is wrong.
pub(super) async fn submit<S: Store>(
    State(app): State<App<S>>,
    Traceparent(trace): Traceparent,
    body: FormBody,
) -> Result<Response, Problem> {
    let mut fields = Fields::parse(&body.0);
    let key = is_key(&fields.key).then(|| IdempotencyKey {
        key: fields.key.clone(),
        fingerprint: body.fingerprint(),
    });
    let placed = match fields.unread.take() {
        Some(error) => Err(OrderError::Invalid(vec![error])),
        None => app.orders.place(fields.draft(), key, trace).await,
    };
    match placed {
        // Relative to this address, so that it holds behind any prefix.
        Ok(order) => {
            let page = [(header::LOCATION, order.id.path())];
            Ok((StatusCode::SEE_OTHER, page).into_response())
        }
        Err(OrderError::Invalid(errors)) => {
            let page = page(&app, &fields, &errors).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
        // Sent before and changed since, after going back in the browser: ask whether a second order
        // is wanted.
        Err(OrderError::KeyReused(placed)) => {
            fields.key = new_key();
            let catalog = catalog(&app, &fields).await?;
            let page = app.pages.form_used(&fields, placed, &catalog);
            Ok((StatusCode::CONFLICT, page).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns a key that no other form has.
fn new_key() -> String {
    format!("form-{}", Uuid::now_v7())
}

/// Returns true if the key can be used. A form without one places an order each time it is sent.
fn is_key(key: &str) -> bool {
    (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
}

async fn page<S: Store>(
    app: &App<S>,
    fields: &Fields,
    errors: &[FieldError],
) -> Result<Response, Problem> {
    let catalog = catalog(app, fields).await?;
    Ok(app.pages.form(fields, errors, &catalog).into_response())
}

/// The choices of the form, with those that are made.
async fn catalog<S: Store>(app: &App<S>, fields: &Fields) -> Result<Catalog, Problem> {
    let (draft, database) = (fields.draft(), app.orders.database());
    let (customer, items) = (draft.customer.map(CustomerId), draft.items());
    let catalog = S::catalog(database.reader(), customer, &items);
    Ok(database.statement(catalog).await?)
}

impl Fields {
    /// Parses a form. Lines are sorted by their numbers, which may have gaps; unknown fields are
    /// ignored.
    pub(super) fn parse(body: &[u8]) -> Self {
        let mut fields = Self::default();
        let mut lines: BTreeMap<u32, LineFields> = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(body) {
            let field = match &*name {
                "customer" => &mut fields.customer,
                "shippingAddress.street" => &mut fields.shipping.street,
                "shippingAddress.zip" => &mut fields.shipping.zip,
                "shippingAddress.city" => &mut fields.shipping.city,
                "billingAddress.street" => &mut fields.billing.street,
                "billingAddress.zip" => &mut fields.billing.zip,
                "billingAddress.city" => &mut fields.billing.city,
                "key" => &mut fields.key,
                "remove" => {
                    fields.remove = value.parse().ok();
                    continue;
                }
                "update" => {
                    fields.update = true;
                    continue;
                }
                _ => {
                    let Some((index, field)) = line_field(&name) else {
                        continue;
                    };
                    let Some(index) = index else {
                        fields.unread = Some(unread("orderLine", NO_LINE));
                        continue;
                    };
                    // One more than an order may have, so that the rules see that it is too many.
                    if lines.len() > MAX_LINES && !lines.contains_key(&index) {
                        continue;
                    }
                    let line = lines.entry(index).or_insert_with(|| LineFields {
                        item: String::new(),
                        count: String::new(),
                    });
                    match field {
                        LineField::Item => &mut line.item,
                        LineField::Count => &mut line.count,
                    }
                }
            };
            if field.is_empty() {
                *field = value.into_owned();
            } else {
                let (name, _) = name.split_once('[').unwrap_or((&name, ""));
                fields.unread = Some(unread(name, TWICE));
            }
        }
        fields.lines = lines.into_values().collect();
        fields
    }

    pub(super) fn draft(&self) -> Draft {
        let line = |line: &LineFields| {
            let (item, shown) = choice(&line.item);
            DraftLine {
                item,
                count: number(&line.count),
                shown,
            }
        };
        let (customer, shown) = choice(&self.customer);
        Draft {
            customer,
            shown,
            shipping_address: self.shipping.draft(),
            billing_address: self.billing.draft(),
            lines: self.lines.iter().map(line).collect(),
        }
    }
}

impl AddressFields {
    fn draft(&self) -> DraftAddress {
        DraftAddress {
            street: Some(self.street.clone()),
            zip: Some(self.zip.clone()),
            city: Some(self.city.clone()),
        }
    }
}

const NO_LINE: &str =
    "A field has no number of a line. Send it as orderLine[0].item or orderLine[0].count.";
const TWICE: &str = "A field was sent twice. Send each once.";

fn unread(field: &str, message: &str) -> FieldError {
    FieldError {
        field: field.to_owned(),
        message: message.to_owned(),
    }
}

enum LineField {
    Item,
    Count,
}

/// `orderLine[2].count` as its parts. The number is `None` if it is none.
fn line_field(name: &str) -> Option<(Option<u32>, LineField)> {
    let (index, field) = name.strip_prefix("orderLine[")?.split_once("].")?;
    let field = match field {
        "item" => LineField::Item,
        "count" => LineField::Count,
        _ => return None,
    };
    Some((index.parse().ok(), field))
}

/// Reads a choice as a browser sends it: the number, and behind it what the form showed. A program may send the number
/// alone.
pub(super) fn choice(value: &str) -> (Option<i64>, Option<String>) {
    match value.trim().split_once(' ') {
        Some((id, shown)) => (number(id), Some(shown.to_owned())),
        None => (number(value), None),
    }
}

pub(super) fn number(text: &str) -> Option<i64> {
    text.trim().parse().ok()
}
