//! Items: the list, additions and changes, for people by forms and for programs as JSON. A change does not touch
//! orders that were placed before.

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use feed_chassis::list::{self, Page, Query};
use feed_chassis::{Number, Wanted};
use feed_core::http::conditional::{is_conditional, tagged};
use tracing::info;

use super::app::App;
use super::body::Fields;
use super::problem::Problem;
use super::records::{added, allow, changed, refused, shown};
use crate::order::{Item, ItemId};
use crate::rules::DraftItem;
use crate::store::Store;

/// `GET /items`: the newest first, or those that match `?q=`.
pub(super) async fn list<S: Store>(
    State(app): State<App<S>>,
    RawQuery(query): RawQuery,
    wanted: Wanted,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = Query::read(query.as_deref(), &["q"])?;
    let search = query.search();
    let reader = app.orders.database().reader();
    let id = ItemId(query.before());
    let items = S::items(reader, search.as_ref(), id, list::LIMIT).await?;
    let count = S::count_items(reader, search.as_ref()).await?;
    let page = Page::new(items, count, query, |item| item.id.0).at("items");
    let document = || page.document("items", app.pages.base(), |item| item.clone());
    let answer = wanted.answer(|| app.pages.items(&page), document);
    Ok(tagged(&headers, answer).await)
}

/// `GET /items/new`: the form for a new one.
pub(super) async fn blank<S: Store>(State(app): State<App<S>>) -> Response {
    let draft = DraftItem::default();
    app.pages.item_form(None, &draft, &[]).into_response()
}

/// `POST /items`: a new one.
pub(super) async fn create<S: Store>(
    State(app): State<App<S>>,
    fields: Fields,
) -> Result<Response, Problem> {
    let draft = draft(&fields);
    let new = match draft.clone().check() {
        Ok(new) => new,
        Err(errors) => {
            return refused(&fields, errors, |errors| {
                app.pages.item_form(None, &draft, errors)
            });
        }
    };
    let item = S::insert_item(app.orders.database().writer(), new).await?;
    info!(item.id = %item.id, "added item {}", item.id);
    let location = app.pages.base().join(&item.id.path()).to_string();
    Ok(added(&fields, "items", location, item).await)
}

/// `GET /items/{id}`: the form to change one, or the document.
pub(super) async fn show<S: Store>(
    State(app): State<App<S>>,
    Number(id): Number,
    wanted: Wanted,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = ItemId(id);
    let item = S::item(app.orders.database().reader(), id).await?;
    let item = item.ok_or(Problem::NoSuchItem(id))?;
    let form = || app.pages.item_form(Some(id), &DraftItem::from(&item), &[]);
    Ok(shown(&headers, wanted, form, &item).await)
}

/// `POST /items/{id}` from the form, `PUT` from a program: changes one.
pub(super) async fn change<S: Store>(
    State(app): State<App<S>>,
    Number(id): Number,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, Problem> {
    let id = ItemId(id);
    let draft = draft(&fields);
    let item: Item = match draft.clone().check() {
        Ok(new) => new.with_id(id),
        Err(errors) => {
            return refused(&fields, errors, |errors| {
                app.pages.item_form(Some(id), &draft, errors)
            });
        }
    };
    let writer = app.orders.database().writer();
    let only = match is_conditional(&headers) {
        true => {
            let now = S::item(writer, id).await?;
            let now = now.ok_or(Problem::NoSuchItem(id))?;
            allow(&headers, &now)?;
            Some(now)
        }
        false => None,
    };
    if !S::update_item(writer, &item, only.as_ref()).await? {
        return Err(match only {
            Some(_) => Problem::PreconditionFailed,
            None => Problem::NoSuchItem(id),
        });
    }
    info!(item.id = %id, "changed item {id}");
    Ok(changed(&fields, "../items", item).await)
}

pub(super) fn draft(fields: &Fields) -> DraftItem {
    DraftItem {
        name: fields.text("name"),
        price: fields.number("price"),
    }
}
