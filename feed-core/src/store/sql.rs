//! Statements as text.

/// A statement, written like the text of [`format!`]: `sql!("… SET retry_at = {NOW} …")`.
///
/// It is built once per process. So its use costs nothing, and a database that has prepared it
/// recognizes it.
#[macro_export]
macro_rules! sql {
    ($($text:tt)*) => {{
        static STATEMENT: std::sync::LazyLock<String> =
            std::sync::LazyLock::new(|| format!($($text)*));
        STATEMENT.as_str()
    }};
}
pub(crate) use sql;
