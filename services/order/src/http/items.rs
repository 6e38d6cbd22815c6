//! Items: the list, additions and changes, for people by forms and for programs as JSON. A change does not touch
//! orders that were placed before.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use feed_chassis::list::{self, Page, Query};
use feed_chassis::{Number, Wanted};
use feed_core::http::conditional::{is_conditional, tagged};
use maud::Markup;
use tracing::info;

use super::app::App;
use super::body::Fields;
use super::pages::Shown;
use super::problem::Problem;
use super::records::{added, allow, changed, may_replace, refused, shown, version};
use crate::order::{Item, ItemId};
use crate::rules::{DraftItem, FieldError};
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
    form(&app, None, &DraftItem::default(), "", &[]).into_response()
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
                form(&app, None, &draft, "", errors)
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
    let version = version(&item)?;
    let form = || form(&app, Some(id), &DraftItem::from(&item), &version, &[]);
    Ok(shown(&headers, wanted, form, &item).await)
}

/// `POST /items/{id}` from the form, `PUT` from a program: changes one. The form is shown again if it was changed
/// since, and asks.
pub(super) async fn change<S: Store>(
    State(app): State<App<S>>,
    Number(id): Number,
    headers: HeaderMap,
    fields: Result<Fields, Problem>,
) -> Result<Response, Problem> {
    let id = ItemId(id);
    let writer = app.orders.database().writer();
    let now = S::item(writer, id).await?;
    let now = now.ok_or(Problem::NoSuchItem(id))?;
    let fields = fields?;
    let draft = draft(&fields);
    let known = fields.version();
    let item: Item = match draft.clone().check() {
        Ok(new) => new.with_id(id),
        Err(errors) => {
            return refused(&fields, errors, |errors| {
                form(&app, Some(id), &draft, &known.unwrap_or_default(), errors)
            });
        }
    };
    allow(&headers, &now)?;
    let only = (is_conditional(&headers) || known.is_some()).then_some(now);
    let may_replace = may_replace(known.as_deref(), only.as_ref(), &item)?;
    if !may_replace || !S::update_item(writer, &item, only.as_ref()).await? {
        let now = S::item(writer, id).await?;
        let now = now.ok_or(Problem::NoSuchItem(id))?;
        if known.is_none() {
            return Err(Problem::PreconditionFailed);
        }
        let shown = Shown {
            draft: &DraftItem::from(&item),
            version: &version(&now)?,
            errors: &[],
            now: Some(&DraftItem::from(&now)),
        };
        return Ok((StatusCode::CONFLICT, app.pages.item_form(Some(id), shown)).into_response());
    }
    info!(item.id = %id, "changed item {id}");
    Ok(changed(&fields, "../items", item).await)
}

/// The form for a new one, or for the one with `id` in the state `version`.
fn form<S: Store>(
    app: &App<S>,
    id: Option<ItemId>,
    draft: &DraftItem,
    version: &str,
    errors: &[FieldError],
) -> Markup {
    let shown = Shown {
        draft,
        version,
        errors,
        now: None,
    };
    app.pages.item_form(id, shown)
}

pub(super) fn draft(fields: &Fields) -> DraftItem {
    DraftItem {
        name: fields.text("name"),
        price: fields.number("price"),
    }
}
