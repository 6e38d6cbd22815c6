//! Creates files in directories that others write to as well.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Creates an empty file with these permissions at most. What a process of the same number has left
/// there is removed, and a file or a link of another user is never written to.
pub(crate) fn create_anew(path: &Path, mode: u32) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode).open(path)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn neither_a_link_nor_a_file_that_is_there_gets_the_text() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, other) = (directory.path().join("a"), directory.path().join("b"));
        std::fs::write(&other, "other").expect("a file");
        let planted: [&dyn Fn() -> io::Result<()>; 3] = [
            &|| Ok(()),
            &|| symlink(&other, &path),
            // Another process may read it by this name, or has it open.
            &|| std::fs::hard_link(&other, &path),
        ];
        for plant in planted {
            let _ = std::fs::remove_file(&path);
            plant().expect("a file");
            let mut file = create_anew(&path, 0o600).expect("a file");
            file.write_all(b"secret").expect("a file");
            assert_eq!(std::fs::read(&other).expect("a file"), b"other");
            assert_eq!(std::fs::read(&path).expect("a file"), b"secret");
            let mode = file.metadata().expect("a file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
