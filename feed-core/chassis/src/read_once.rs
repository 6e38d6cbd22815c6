//! Settings that name a file: clap may parse a value several times, and a pipe can be read once only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Returns a value parser for clap that reads each file once, however often clap parses the setting: for a command after
/// it, which has the same setting, and before it for what `--man` prints. So the file may be a pipe, such as
/// `/dev/stdin` or `<(…)` of a shell.
pub fn read_once<T, E>(
    read: impl Fn(&str) -> Result<T, E> + Clone + Send + Sync + 'static,
) -> impl Fn(&str) -> Result<T, E> + Clone + Send + Sync + 'static
where
    T: Clone + Send + 'static,
    E: 'static,
{
    let read_files: Arc<Mutex<HashMap<String, T>>> = Arc::default();
    move |path| {
        let mut read_files = read_files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = read_files.get(path) {
            return Ok(value.clone());
        }
        let value = read(path)?;
        read_files.insert(path.to_owned(), value.clone());
        Ok(value)
    }
}
