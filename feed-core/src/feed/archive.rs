//! Archives old events: moves them out of the table that is written to, and exports immutable pages
//! as files. Each document keeps its address and its bytes (I3).

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use url::Url;

use super::Feed;
use super::form::Form;
use super::page::{Pages, State};
use crate::cursor::Epoch;
use crate::event::Sequence;
use crate::new_file::create_anew;
use crate::store::Backend;

/// The result of an export of immutable pages.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exported {
    /// The directory of this epoch.
    pub directory: PathBuf,
    /// Pages written now.
    pub written: i64,
    /// Pages that existed already.
    pub kept: i64,
}

/// Why an export stopped. The pages that it has written are complete.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// A file cannot be written.
    #[error("cannot write {}", .0.display())]
    File(PathBuf, #[source] io::Error),
    /// An existing file is not this feed's page at this address, or is incomplete.
    #[error(
        "{} is not the page that this feed has at {address}: it was written for another public address \
         (BASE_URL), or is damaged; use an empty directory", file.display()
    )]
    Another {
        /// The file.
        file: PathBuf,
        /// The address of the page.
        address: Url,
    },
}

impl<B: Backend> Feed<B> {
    /// Moves old events to the archive: those of immutable pages, except the newest `keep` events.
    /// Returns their number. Readers see no difference; the table for daily reads and writes
    /// becomes small.
    ///
    /// It moves one page at a time, so that no other transaction waits long. It may run beside the
    /// service, and may be interrupted.
    ///
    /// # Errors
    ///
    /// Returns the error of the database. Events that were moved stay moved.
    pub async fn archive(&self, keep: u64) -> sqlx::Result<u64> {
        let feed = &self.inner;
        let head = feed.sequencer.refresh().await?.head;
        let layout = Pages::from(&head);
        let keep = i64::try_from(keep).unwrap_or(Sequence::MAX);
        let mut archived = 0;
        loop {
            let oldest = B::oldest(feed.database.reader());
            let Some(oldest) = feed.database.statement(oldest).await? else {
                break;
            };
            let page = layout.of(oldest);
            let last = *layout.range(page).end();
            if layout.state(page) != State::Immutable || last > head.sequence.saturating_sub(keep) {
                break;
            }
            let mut tx = feed.database.begin().await?;
            archived += B::archive(&mut tx, oldest, last).await?;
            tx.commit().await?;
        }
        Ok(archived)
    }

    /// Writes each immutable page, as Atom, into a file below `directory`: `feed/EPOCH/NUMBER`, its
    /// address below the public base URL. Any web server can serve them instead of the service.
    /// Existing pages are not written again.
    ///
    /// # Errors
    ///
    /// Returns an error if the database failed, if a file cannot be written, or if existing files
    /// are of another feed.
    pub async fn export_pages(&self, directory: &Path) -> Result<Exported, ExportError> {
        let feed = &self.inner;
        let head = feed.sequencer.refresh().await?.head;
        let layout = Pages::from(&head);
        let directory = directory.join("feed").join(head.epoch.as_str());
        std::fs::create_dir_all(&directory)
            .map_err(|error| ExportError::File(directory.clone(), error))?;
        let (mut written, mut kept) = (0, 0);
        for number in (1..).take_while(|number| layout.state(*number) == State::Immutable) {
            let file = directory.join(number.to_string());
            let address = feed.documents.addresses.page(&head.epoch, number);
            match std::fs::read(&file) {
                Ok(there) if is_page(&there, &address) => kept += 1,
                Ok(_) => return Err(ExportError::Another { file, address }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let page = feed.read_page(Form::Atom, &head, number, State::Immutable);
                    write_whole(&file, &page.await?)
                        .map_err(|error| ExportError::File(file, error))?;
                    written += 1;
                }
                Err(error) => return Err(ExportError::File(file, error)),
            }
        }
        Ok(Exported {
            directory,
            written,
            kept,
        })
    }

    /// Gives this feed a new epoch, and keeps its events and their sequences. It is for a database
    /// that was restored to an older state: events that readers have seen after that state are
    /// gone, and other events would get their sequences. Returns the new epoch.
    ///
    /// Each consumer then halts until an operator resumes it from the first event. Events that it has applied have no second
    /// effect, as [`ResumeFrom::Start`](crate::consumer::ResumeFrom::Start) describes.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn change_epoch(&self) -> sqlx::Result<Epoch> {
        let feed = &self.inner;
        let epoch = Epoch::random();
        let mut tx = feed.database.begin().await?;
        B::change_epoch(&mut tx, &epoch).await?;
        tx.commit().await?;
        feed.sequencer.refresh().await?;
        Ok(epoch)
    }
}

/// Returns true if a file contains the whole page of that address.
fn is_page(bytes: &[u8], address: &Url) -> bool {
    let link = format!("href=\"{address}\"");
    let has_link = bytes
        .windows(link.len())
        .any(|part| part == link.as_bytes());
    has_link && bytes.trim_ascii_end().ends_with(b"</feed>")
}

/// Writes all of it or nothing: a web server may read at any moment, and another process may write
/// the same page.
fn write_whole(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = file.with_extension(format!("{}.unfinished", std::process::id()));
    let mut output = create_anew(&unfinished, 0o666)?;
    output.write_all(bytes)?;
    output.sync_all()?;
    std::fs::rename(&unfinished, file)
}
