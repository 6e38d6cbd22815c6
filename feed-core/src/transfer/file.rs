//! The export file: JSON, one line for each row, and at the end a digest of all lines before.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::TransferError;
use crate::new_file::create_anew;

/// The first line: the format.
pub(super) const FORMAT: &str = "feed-core database, 1";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Line {
    Format(String),
    /// The rows of a table follow.
    Table {
        name: String,
        columns: Vec<String>,
        /// The last number that it has assigned to a row.
        last_number: Option<i64>,
    },
    Row(Box<RawValue>),
    /// SHA-256 of all lines before, in hexadecimal digits.
    Digest(String),
}

/// A temporary file that takes its final name when it is complete.
pub(super) struct Output {
    place: PathBuf,
    unfinished: PathBuf,
    writer: BufWriter<File>,
    digest: Sha256,
}

impl Output {
    /// Only its owner may read it: it contains all data of the database.
    pub(super) fn create(place: &Path) -> Result<Self, TransferError> {
        may_be_replaced(place)?;
        let mut unfinished = place.as_os_str().to_owned();
        unfinished.push(format!(".{}.unfinished", std::process::id()));
        let unfinished = PathBuf::from(unfinished);
        let file = create_anew(&unfinished, 0o600);
        let file = file.map_err(|error| TransferError::File(place.to_owned(), error))?;
        Ok(Self {
            place: place.to_owned(),
            unfinished,
            writer: BufWriter::new(file),
            digest: Sha256::new(),
        })
    }

    pub(super) fn line(&mut self, line: &Line) -> Result<(), TransferError> {
        let unusable = |error| TransferError::File(self.place.clone(), error);
        let mut text = serde_json::to_string(line).map_err(|error| unusable(error.into()))?;
        text.push('\n');
        self.digest.update(&text);
        self.writer.write_all(text.as_bytes()).map_err(unusable)
    }

    pub(super) fn close(mut self) -> Result<(), TransferError> {
        let digest = hexadecimal(&self.digest.clone().finalize());
        self.line(&Line::Digest(digest))?;
        let written = self.writer.flush().and_then(|()| {
            self.writer.get_ref().sync_all()?;
            std::fs::rename(&self.unfinished, &self.place)
        });
        written.map_err(|error| TransferError::File(self.place.clone(), error))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // A complete file has been renamed already.
        let _ = std::fs::remove_file(&self.unfinished);
    }
}

/// Rejects a path to the database itself, or to any other file that is no export: a typing error.
fn may_be_replaced(place: &Path) -> Result<(), TransferError> {
    let unusable = |error| TransferError::File(place.to_owned(), error);
    let file = match File::open(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file.map_err(unusable)?,
    };
    let mut begin = Vec::new();
    let first = format!("{{\"format\":\"{FORMAT}\"}}");
    let read = file.take(first.len() as u64).read_to_end(&mut begin);
    match read.map_err(unusable)? {
        0 => Ok(()),
        _ if begin == first.as_bytes() => Ok(()),
        _ => Err(TransferError::Occupied(place.to_owned())),
    }
}

/// A file that is read line by line.
pub(super) struct Input {
    place: PathBuf,
    reader: BufReader<File>,
    digest: Sha256,
    /// Lines read.
    pub(super) at: u64,
}

impl Input {
    pub(super) fn open(place: &Path) -> Result<Self, TransferError> {
        let file = File::open(place);
        let file = file.map_err(|error| TransferError::File(place.to_owned(), error))?;
        Ok(Self {
            place: place.to_owned(),
            reader: BufReader::new(file),
            digest: Sha256::new(),
            at: 0,
        })
    }

    /// Returns the next line; `None` at the end, after checking that the end and its digest are
    /// right.
    pub(super) fn line(&mut self) -> Result<Option<Line>, TransferError> {
        let text = self.read()?.ok_or(TransferError::Cut)?;
        let line = serde_json::from_str(&text).map_err(|error| self.wrong(error.to_string()))?;
        if let Line::Digest(expected) = line {
            if self.read()?.is_some() {
                return Err(self.wrong("nothing may follow the digest".to_owned()));
            }
            let digest = hexadecimal(&self.digest.clone().finalize());
            return match digest == expected {
                true => Ok(None),
                false => Err(TransferError::Damaged),
            };
        }
        self.digest.update(&text);
        match (self.at, &line) {
            (1, Line::Format(format)) if format == FORMAT => Ok(Some(line)),
            (1, _) => Err(self.wrong(format!("it is not \"{FORMAT}\""))),
            _ => Ok(Some(line)),
        }
    }

    /// Returns an error about the last line read.
    pub(super) fn wrong(&self, what: String) -> TransferError {
        TransferError::Line(self.at, what)
    }

    fn read(&mut self) -> Result<Option<String>, TransferError> {
        let mut text = String::new();
        self.at += 1;
        match self.reader.read_line(&mut text) {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(self.wrong("it is no text".to_owned()))
            }
            Err(error) => Err(TransferError::File(self.place.clone(), error)),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_its_owner_reads_an_export_whatever_was_in_its_place() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = directory.path().join("export");
        let planted = format!("export.{}.unfinished", std::process::id());
        // Anyone may read it, or has it open.
        let planted = directory.path().join(planted);
        std::fs::write(&planted, "").expect("a file");
        let all = std::fs::Permissions::from_mode(0o666);
        std::fs::set_permissions(&planted, all).expect("permissions");
        let mut opened = File::open(&planted).expect("a file");
        let mut output = Output::create(&place).expect("a file");
        let line = output.line(&Line::Format(FORMAT.to_owned()));
        line.and_then(|()| output.close()).expect("a file");
        let mode = place.metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut seen = String::new();
        opened.read_to_string(&mut seen).expect("a file");
        assert_eq!(seen, "");
    }
}
