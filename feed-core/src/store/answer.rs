//! What the operations of a database return.

/// A future of a database's answer, which a task can wait for.
pub(crate) trait Answer<T>: Future<Output = sqlx::Result<T>> + Send {}

impl<T, F: Future<Output = sqlx::Result<T>> + Send> Answer<T> for F {}
