//! What becomes of old events: they move out of the table that is written to, and final pages become
//! files. Either way each document stays where it is, byte for byte (I3).

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use url::Url;

use super::form::Form;
use super::page::State;
use super::{Feed, Inner};
use crate::cursor::Epoch;
use crate::event::Sequence;
use crate::store::Backend;

/// Final pages as files.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exported {
    /// Where they are: the directory of this epoch.
    pub directory: PathBuf,
    /// Pages that were written.
    pub written: i64,
    /// Pages that were there already.
    pub kept: i64,
}

/// Why pages did not all become files. Those that did are whole.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// A file cannot be written.
    #[error("cannot write {}", .0.display())]
    File(PathBuf, #[source] io::Error),
    /// A file there is no page of this feed at this address, or not whole.
    #[error(
        "{} is not the page that this feed has at {address}: it was written for another public address \
         (BASE_URL), or is damaged; use an empty directory", file.display()
    )]
    Another {
        /// The file.
        file: PathBuf,
        /// Where the page is.
        address: Url,
    },
}

impl<B: Backend> Feed<B> {
    /// Moves old events to the archive: those of immutable pages, but the newest `keep` events.
    /// Returns how many. Readers do not notice; what is read and written all day becomes small.
    ///
    /// A page at a time, so that nobody waits long. May run beside the service, and be broken off.
    ///
    /// # Errors
    ///
    /// The database failed. What has been moved stays so.
    pub async fn archive(&self, keep: u64) -> sqlx::Result<u64> {
        let feed = &self.inner;
        let head = feed.sequencer.look().await?.head;
        let layout = Inner::<B>::layout(&head);
        let keep = i64::try_from(keep).unwrap_or(Sequence::MAX);
        let mut archived = 0;
        while let Some(oldest) = B::oldest(feed.database.reader()).await? {
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
    /// address below the public base URL. Any web server can serve them in place of the service. A page
    /// that is there already is not written again.
    ///
    /// # Errors
    ///
    /// The database failed, a file cannot be written, or the files there are of another feed.
    pub async fn export_pages(&self, directory: &Path) -> Result<Exported, ExportError> {
        let feed = &self.inner;
        let head = feed.sequencer.look().await?.head;
        let layout = Inner::<B>::layout(&head);
        let directory = directory.join("feed").join(head.epoch.as_str());
        std::fs::create_dir_all(&directory)
            .map_err(|error| ExportError::File(directory.clone(), error))?;
        let (mut written, mut kept) = (0, 0);
        for number in (1..).take_while(|number| layout.state(*number) == State::Immutable) {
            let file = directory.join(number.to_string());
            let address = feed.addresses.page(&head.epoch, number);
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

    /// Makes this feed another one for its readers: the epoch changes, events and their numbers stay.
    /// For a database that was restored to an older state: what its readers have seen after that is
    /// gone, and other events would take the same numbers. Returns the new epoch.
    ///
    /// Each consumer then halts, and a person lets it start again from the first event; what it has
    /// already, has no second effect.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub async fn change_epoch(&self) -> sqlx::Result<Epoch> {
        let feed = &self.inner;
        let epoch = Epoch::random();
        let mut tx = feed.database.begin().await?;
        B::change_epoch(&mut tx, &epoch).await?;
        tx.commit().await?;
        feed.sequencer.look().await?;
        Ok(epoch)
    }
}

/// True if a file has the page that belongs there, from its beginning to its end.
fn is_page(bytes: &[u8], address: &Url) -> bool {
    let link = format!("href=\"{address}\"");
    let has_link = bytes
        .windows(link.len())
        .any(|part| part == link.as_bytes());
    has_link && bytes.trim_ascii_end().ends_with(b"</feed>")
}

/// All of it or nothing: a web server may look at any moment, and another process write the same page.
fn write_whole(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = file.with_extension(format!("{}.unfinished", std::process::id()));
    let mut output = std::fs::File::create(&unfinished)?;
    output.write_all(bytes)?;
    output.sync_all()?;
    std::fs::rename(&unfinished, file)
}
