//! The return type of database operations.

/// A future of a database's answer, which a spawned task can await: what the methods of a store's trait return.
pub trait Answer<T>: Future<Output = sqlx::Result<T>> + Send {}

impl<T, F: Future<Output = sqlx::Result<T>> + Send> Answer<T> for F {}
