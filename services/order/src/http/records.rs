//! Customers and items: the list, additions and changes, for people by forms and for programs as JSON. A change does not
//! touch orders that were placed before.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use feed_chassis::list::{self, Page, Query};
use feed_chassis::{Number, Wanted};
use feed_core::Database;
use feed_core::http::conditional::{
    Validators, guard_strongly, is_conditional, tagged, tagged_strongly,
};
use feed_core::http::{BaseUrl, Json};
use maud::Markup;
use serde::Serialize;
use sqlx::Pool;

use super::app::App;
use super::body::Fields;
use super::mistyped::for_programs;
use super::pages::{Input, Shown};
use super::problem::Problem;
use crate::rules::FieldError;
use crate::store::{Store, Stored};

/// A record as people and programs see it.
pub(super) trait Resource: Stored {
    /// The title of one, before its number.
    const ONE: &'static str;
    /// The title of the list.
    const MANY: &'static str;
    /// What a search among them looks for.
    const SEARCH: &'static str;
    /// The title and the class of the last column of the list.
    const LAST: (&'static str, &'static str);
    /// True if the list shows amounts.
    const HAS_MONEY: bool = false;

    /// Reads what a client sends.
    fn read(fields: &Fields) -> Self::Draft;

    /// The fields of the form.
    fn inputs(draft: &Self::Draft) -> Vec<Input<'_>>;

    /// The name in the list.
    fn label(&self) -> String;

    /// The cell in the last column.
    fn last(&self) -> Markup;

    /// A link to what belongs to the one with this number: its address relative to the base URL, and its text.
    fn related(_id: i64) -> Option<(String, &'static str)> {
        None
    }

    /// Logs what was `done` with it.
    fn log(&self, done: &str);
}

/// `GET /customers`: the newest first, or those that match `?q=`.
pub(super) async fn list<S: Store, R: Resource>(
    State(app): State<App<S>>,
    RawQuery(query): RawQuery,
    wanted: Wanted,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = Query::read(query.as_deref(), &["q"])?;
    let search = query.search();
    let database = app.orders.database();
    let (reader, search) = (database.reader(), search.as_ref());
    let records = S::records(reader, search, query.before(), list::LIMIT);
    let records: Vec<R> = database.statement(records).await?;
    let count = S::count_records::<R>(reader, search);
    let count = database.statement(count).await?;
    let page = Page::new(records, count, query, R::id).at(R::LIST);
    let document = || page.document(R::LIST, app.pages.base(), R::clone);
    let answer = wanted.answer(|| app.pages.records(&page), document);
    Ok(tagged(&headers, answer).await)
}

/// `GET /customers/new`: the form for a new one.
pub(super) async fn blank<S: Store, R: Resource>(State(app): State<App<S>>) -> Response {
    form::<S, R>(&app, None, &R::Draft::default(), "", &[]).into_response()
}

/// `POST /customers`: a new one.
pub(super) async fn create<S: Store, R: Resource>(
    State(app): State<App<S>>,
    fields: Fields,
) -> Result<Response, Problem> {
    let draft = R::read(&fields);
    let new = match R::check(draft.clone()) {
        Ok(new) => new,
        Err(errors) => {
            return refused(&fields, errors, |errors| {
                form::<S, R>(&app, None, &draft, "", errors)
            });
        }
    };
    let database = app.orders.database();
    let record = S::insert_record(database.writer(), new);
    let record: R = database.statement(record).await?;
    record.log("added");
    Ok(added(&fields, app.pages.base(), record).await)
}

/// `GET /customers/{id}`: the form to change one, or the document.
pub(super) async fn show<S: Store, R: Resource>(
    State(app): State<App<S>>,
    Number(id): Number,
    wanted: Wanted,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let database = app.orders.database();
    let record: R = find::<S, R>(database, database.reader(), id).await?;
    let version = version(&record)?;
    let draft = R::Draft::from(&record);
    let form = || form::<S, R>(&app, Some(id), &draft, &version, &[]);
    Ok(shown(&headers, wanted, form, &record).await)
}

/// `POST /customers/{id}` from the form, `PUT` from a program: changes one. The form is shown again if it was changed
/// since, and asks.
pub(super) async fn change<S: Store, R: Resource>(
    State(app): State<App<S>>,
    Number(id): Number,
    headers: HeaderMap,
    fields: Result<Fields, Problem>,
) -> Result<Response, Problem> {
    let database = app.orders.database();
    let writer = database.writer();
    let now: R = find::<S, R>(database, writer, id).await?;
    let fields = fields?;
    let draft = R::read(&fields);
    let known = fields.version();
    let record = match R::check(draft.clone()) {
        Ok(new) => R::numbered(new, id),
        Err(errors) => {
            return refused(&fields, errors, |errors| {
                form::<S, R>(&app, Some(id), &draft, &known.unwrap_or_default(), errors)
            });
        }
    };
    allow(&headers, &now)?;
    let only = (is_conditional(&headers) || known.is_some()).then_some(now);
    let may_replace = may_replace(known.as_deref(), only.as_ref(), &record)?;
    let update = S::update_record(writer, &record, only.as_ref());
    if !may_replace || !database.statement(update).await? {
        let now: R = find::<S, R>(database, writer, id).await?;
        if known.is_none() {
            return Err(Problem::PreconditionFailed);
        }
        let shown = Shown {
            draft: &R::Draft::from(&record),
            version: &version(&now)?,
            errors: &[],
            now: Some(&R::Draft::from(&now)),
        };
        return Ok((StatusCode::CONFLICT, app.pages.record::<R>(Some(id), shown)).into_response());
    }
    record.log("changed");
    Ok(changed(&fields, record).await)
}

async fn find<S: Store, R: Resource>(
    database: &Database<S>,
    pool: &Pool<S>,
    id: i64,
) -> Result<R, Problem> {
    let record = database.statement(S::record(pool, id)).await?;
    record.ok_or(Problem::NoSuchRecord(R::NAME, id))
}

/// The form for a new one, or for the one with `id` in the state `version`.
fn form<S: Store, R: Resource>(
    app: &App<S>,
    id: Option<i64>,
    draft: &R::Draft,
    version: &str,
    errors: &[FieldError],
) -> Markup {
    let shown = Shown {
        draft,
        version,
        errors,
        now: None,
    };
    app.pages.record::<R>(id, shown)
}

/// Answers a read with the page, or with the document and a tag for the `If-Match` of a change.
async fn shown(
    headers: &HeaderMap,
    wanted: Wanted,
    form: impl FnOnce() -> Markup,
    document: impl Serialize,
) -> Response {
    let answer = wanted.answer(form, || document);
    match wanted {
        Wanted::Html => tagged(headers, answer).await,
        Wanted::Json => tagged_strongly(headers, answer).await,
    }
}

/// Returns the tag of a document, by which `If-Match` and forms name the state that they know.
fn version(document: &impl Serialize) -> Result<String, Problem> {
    let text = serde_json::to_string(document).map_err(|_| Problem::Internal)?;
    Ok(Validators::of("application/json", text.as_bytes()).tag)
}

/// Returns true if a form may replace what is stored `now`: it has shown that version, or changes nothing.
fn may_replace<R: Serialize + PartialEq>(
    shown: Option<&str>,
    now: Option<&R>,
    new: &R,
) -> Result<bool, Problem> {
    Ok(match (shown, now) {
        (Some(shown), Some(now)) => shown == version(now)? || now == new,
        _ => true,
    })
}

/// Checks the preconditions of a change against the document as it is now.
fn allow(headers: &HeaderMap, document: &impl Serialize) -> Result<(), Problem> {
    guard_strongly(headers, &[&version(document)?]).map_err(|_| Problem::PreconditionFailed)
}

/// Answers that the record was added. A form leads to the list, by a relative address, which works behind any prefix.
async fn added<R: Resource>(fields: &Fields, base: &BaseUrl, record: R) -> Response {
    if fields.form {
        return to(R::LIST.to_owned());
    }
    let location = base.join(&R::path(record.id())).to_string();
    let headers = [(header::LOCATION, location)];
    let answer = (StatusCode::CREATED, headers, Json(record)).into_response();
    tagged_strongly(&HeaderMap::new(), answer).await
}

/// Answers that the record was changed. A form leads to the list, likewise.
async fn changed<R: Resource>(fields: &Fields, record: R) -> Response {
    if fields.form {
        return to(format!("../{}", R::LIST));
    }
    let answer = Json(record).into_response();
    tagged_strongly(&HeaderMap::new(), answer).await
}

/// Answers with the `form` and a message at each wrong field; a program gets a problem document.
fn refused(
    fields: &Fields,
    errors: Vec<FieldError>,
    form: impl FnOnce(&[FieldError]) -> Markup,
) -> Result<Response, Problem> {
    if !fields.form {
        return Err(Problem::Refused(for_programs(&fields.values, errors)));
    }
    Ok((StatusCode::UNPROCESSABLE_ENTITY, form(&errors)).into_response())
}

fn to(list: String) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, list)]).into_response()
}
