//! `reconcile`: compares the feed with the stored data, and names the differences.

use super::words::{counted, grouped, moment};
use crate::command::{CommandError, Done, print, print_json};
use feed_chassis::Progress;
use feed_core::Backend;
use feed_core::consumer::{Handle, Period, Reconcile, Reconciliation, printable, reconcile};

pub(super) async fn run<B: Backend, R: Reconcile<B>>(
    handle: &Handle<B>,
    period: Period,
    json: bool,
) -> Result<Done, CommandError> {
    if period.is_void() {
        let void = "--until lies before --from: no event can be in between";
        return Err(CommandError::NotCarriedOut(void.to_owned()));
    }
    let mut progress = Progress::of("Comparing");
    let compared = reconcile::<B, R>(handle, period, |done, all| progress.at(done, all)).await;
    drop(progress);
    let compared = compared?;
    if json {
        print_json(&compared)?;
    } else {
        let mut text = String::new();
        for difference in &compared.differences {
            text += &format!(
                "{}: {}\n",
                printable(&difference.id),
                printable(&difference.what)
            );
        }
        let listed = compared.differences.len() as u64;
        if compared.found > listed {
            text += &format!("and {} more\n", compared.found - listed);
        }
        let range = range(&compared);
        text += &match compared.found {
            0 if is_empty(&compared) && period == Period::default() => {
                "There was nothing to compare: no event was taken yet.\n".to_owned()
            }
            0 if is_empty(&compared) => {
                "There was nothing to compare: no event of this period was taken yet.\n".to_owned()
            }
            0 => format!("No difference in {range}.\n"),
            1 => format!("1 difference in {range}.\n"),
            found => format!("{found} differences in {range}.\n"),
        };
        text += &totals(&compared);
        text += what_to_do(&compared);
        if compared.until.is_some_and(|until| until > compared.at) {
            text += "The period has not ended: later events may belong to it.\n";
        }
        if compared.left_out > 0 {
            text += &format!(
                "{} left out, since they need have no effect: parked, waiting, skipped or passed over.\n",
                compared.left_out
            );
        }
        print(&text)?;
    }
    Ok(match compared.found {
        0 => Done::Well,
        _ => Done::Found,
    })
}

/// Returns what helps. A document may have been sent: nothing overwrites it.
fn what_to_do(compared: &Reconciliation) -> &'static str {
    let totals = &compared.totals;
    match (totals.missing > 0, totals.different > 0) {
        (true, true) => {
            "`replay` rebuilds what is missing. It corrects nothing that differs: `reconcile --help` says what does.\n"
        }
        (true, false) => "`replay` rebuilds what is missing.\n",
        (false, true) => {
            "`replay` corrects nothing that differs: `reconcile --help` says what does.\n"
        }
        (false, false) => "",
    }
}

/// Returns what was compared, added up: nothing, if there was nothing to compare.
fn totals(compared: &Reconciliation) -> String {
    if is_empty(compared) {
        return String::new();
    }
    let totals = &compared.totals;
    let counts = [
        (totals.equal, "equal"),
        (totals.different, "different"),
        (totals.missing, "missing"),
        (totals.unexplained, "unexplained"),
    ];
    let counts = counts.map(|(count, name)| format!("{} {name}", in_groups(count)));
    let mut text = format!(
        "{} compared; records: {}.\n",
        counted(compared.events, "event"),
        counts.join(", ")
    );
    // Most services have no series of numbers.
    if totals.gaps > 0 {
        text += &format!("{} in the numbers.\n", counted(totals.gaps, "gap"));
    }
    for (name, sum) in &totals.sums {
        text += &format!(
            "{name}: {} by the events, {} here.\n",
            sum.events, sum.stored
        );
    }
    text
}

fn in_groups(count: u64) -> String {
    grouped(i64::try_from(count).unwrap_or(i64::MAX))
}

/// Returns the result of a comparison in one line.
pub(in crate::subscription) fn summary(compared: &Reconciliation) -> String {
    let found = match compared.found {
        0 if is_empty(compared) => {
            return format!("nothing to compare, at {}", moment(compared.at));
        }
        0 => "no difference".to_owned(),
        found => counted(found, "difference"),
    };
    format!("{}: {found}, at {}", range(compared), moment(compared.at))
}

/// Returns true if nothing was compared: then the lack of differences means nothing.
fn is_empty(compared: &Reconciliation) -> bool {
    compared.events == 0 && compared.left_out == 0
}

/// Returns what was compared.
fn range(compared: &Reconciliation) -> String {
    match compared.to {
        // A feed without sequences.
        0 => counted(compared.events, "event"),
        to => format!("events {} to {}", grouped(compared.from), grouped(to)),
    }
}
