//! What customers and items have in common: they are listed, added and changed, and have no events of their own.

use serde::Serialize;

use super::FieldError;

/// A customer or an item.
pub trait Record: Clone + PartialEq + Serialize + Send + Sync + Unpin + 'static {
    /// One as a client sends it, unchecked.
    type Draft: Clone + Default + for<'a> From<&'a Self> + Send + Sync;
    /// One that obeys all rules and has no number yet.
    type New: Clone + Send + Sync;

    /// The word for one.
    const NAME: &'static str;
    /// The word for several: also their table, and the path of their list below the service's base URL.
    const LIST: &'static str;

    /// Checks a draft.
    ///
    /// # Errors
    ///
    /// The draft breaks rules: all errors.
    fn check(draft: Self::Draft) -> Result<Self::New, Vec<FieldError>>;

    /// The new one with its number.
    fn numbered(new: Self::New, id: i64) -> Self;

    /// Its number.
    fn id(&self) -> i64;

    /// The path of the page of the one with this number, below the service's base URL.
    fn path(id: i64) -> String {
        format!("{}/{id}", Self::LIST)
    }
}
