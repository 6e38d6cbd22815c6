//! The decisions that take effect at once: `retry`, `skip`, and `undo`.

use super::line::{Selected, Skipped, Which};
use super::words::{WHEN_RESUMED, counted, grouped, moment};
use crate::command::{By, CommandError, Done, print, table};
use chrono::SecondsFormat;
use feed_core::Backend;
use feed_core::consumer::{Handle, Preview, Selection, printable};

/// Subjects that a preview names.
const SUBJECTS: u32 = 10;

/// `retry`
pub(super) async fn retry<B: Backend>(
    handle: &Handle<B>,
    which: Which,
    by: By,
) -> Result<Done, CommandError> {
    let selection = match which.id {
        Some(id) => {
            handle.retry(&id, &by.name()?).await?;
            return tried_again(handle, 1).await;
        }
        None => Selection::from(which.selected.clone()),
    };
    if which.selected.preview {
        let preview = handle.preview(&selection, SUBJECTS).await?;
        return show(&preview, "would be tried again");
    }
    let events = handle.retry_selected(&selection, &by.name()?).await?;
    tried_again(handle, events).await
}

async fn tried_again<B: Backend>(handle: &Handle<B>, events: u64) -> Result<Done, CommandError> {
    let events = i64::try_from(events).unwrap_or(i64::MAX);
    let status = handle.status().await?;
    let when = match status.instances {
        _ if status.is_stopped() => WHEN_RESUMED,
        0 => "when the service starts",
        _ => "within seconds",
    };
    let again = "`parked` lists what fails again";
    print(&match events {
        0 => "No event is parked.\n".to_owned(),
        1 => format!("1 event is tried again {when}; {again}.\n"),
        _ => format!(
            "{} events are tried again {when}; {again}.\n",
            grouped(events)
        ),
    })?;
    Ok(Done::Well)
}

/// `skip`
pub(super) async fn skip<B: Backend>(
    handle: &Handle<B>,
    which: Skipped,
    reason: Option<String>,
    by: By,
) -> Result<Done, CommandError> {
    let reason = reason.unwrap_or_default();
    let undo =
        "`decisions` lists the skip, and `undo` takes it back until one of those has taken effect";
    if let Some(id) = which.id {
        let skipped = handle.skip(&id, &reason, &by.name()?).await?.name();
        let skipped = printable(&skipped);
        print(&format!(
            "Skipped {skipped}. The later events of its subject continue; {undo}.\n"
        ))?;
        return Ok(Done::Well);
    }
    let selection = Selection::from(which.selected.clone());
    if which.selected.preview {
        let preview = handle.preview(&selection, SUBJECTS).await?;
        return show(&preview, "would be skipped");
    }
    let events = handle
        .skip_selected(&selection, &reason, &by.name()?)
        .await?;
    let events = counted(i64::try_from(events).unwrap_or(i64::MAX), "event");
    print(&format!(
        "Skipped {events}. The later events of their subjects continue; {undo}.\n"
    ))?;
    Ok(Done::Well)
}

/// Prints what a decision would touch. Nothing has changed.
fn show(preview: &Preview, would: &str) -> Result<Done, CommandError> {
    if preview.events == 0 {
        print("Nothing is parked that is selected.\n")?;
        return Ok(Done::Found);
    }
    let mut text = format!("{} {would}.\n\n", counted(preview.events, "event"));
    let causes = preview.causes.iter().map(|of| {
        let (events, since) = (grouped(of.events), moment(of.since));
        let columns = [events, since, of.digest(), of.subject.clone()];
        (columns, Some(of.cause.as_str()))
    });
    text += &table(["Events", "Since", "Cause", "Such as"], causes, "");
    let types = preview.types.iter().map(|of| {
        let name = of.event_type.as_deref().unwrap_or("none is known");
        ([grouped(of.events), name.to_owned()], None::<&str>)
    });
    text += &format!("\n{}", table(["Events", "Type"], types, ""));
    let first = preview.first.iter().map(|event| {
        let number = super::words::number(event.sequence);
        (
            [number, event.subject.clone(), moment(event.parked_at)],
            None::<&str>,
        )
    });
    text += &format!(
        "\n{}",
        table(["Number", "First of them", "Parked"], first, "")
    );
    let as_of = preview.as_of.to_rfc3339_opts(SecondsFormat::Millis, true);
    text += &format!(
        "\nNothing is changed. To decide about these alone, and not about what fails later: --as-of {as_of}\n"
    );
    print(&text)?;
    Ok(Done::Well)
}

/// `undo`
pub(super) async fn undo<B: Backend>(
    handle: &Handle<B>,
    decision: i64,
    by: By,
) -> Result<Done, CommandError> {
    let undone = handle.undo(decision, &by.name()?).await?;
    print(&format!(
        "Decision {decision} is taken back: {}.\n",
        undone.outcome
    ))?;
    Ok(Done::Well)
}

impl From<Selected> for Selection {
    fn from(selected: Selected) -> Self {
        Self {
            cause: selected.cause,
            event_type: selected.event_type,
            from: selected.from,
            until: selected.until,
            as_of: selected.as_of,
            ..Self::default()
        }
    }
}
