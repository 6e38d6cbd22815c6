//! The rules of the shop, for forms and for JSON alike. They turn a draft into a record that can be stored, or into a
//! list of errors.

mod check;
mod customer;
mod draft;
mod item;
mod record;

pub use check::{FieldError, MAX_COUNT, MAX_LINES, MAX_PRICE, MAX_TEXT, MAX_ZIP};
pub use customer::DraftCustomer;
pub use draft::{Catalog, Draft, DraftAddress, DraftLine, unknown_customer};
pub use item::DraftItem;
pub use record::Record;
