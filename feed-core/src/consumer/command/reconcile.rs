//! `reconcile`: compares the feed with what is stored, and names what differs.

use super::super::{Handle, Reconcile, reconcile};
use crate::event::Sequence;
use crate::service::Progress;
use crate::service::command::{CommandError, Done, print, print_json};
use crate::store::Backend;

pub(super) async fn run<B: Backend, R: Reconcile<B>>(
    handle: &Handle<B>,
    from: Option<Sequence>,
    json: bool,
) -> Result<Done, CommandError> {
    let mut progress = Progress::of("Comparing");
    let compared = reconcile::<B, R>(handle, from, |done, all| progress.at(done, all)).await;
    drop(progress);
    let compared = compared?;
    if json {
        print_json(&compared)?;
    } else {
        let mut text = String::new();
        for difference in &compared.differences {
            text += &format!("{}: {}\n", difference.id, difference.what);
        }
        let listed = compared.differences.len() as u64;
        if compared.found > listed {
            text += &format!("and {} more\n", compared.found - listed);
        }
        let range = compared.range();
        text += &match compared.found {
            0 if compared.is_empty() => {
                "There was nothing to compare: no event was taken yet.\n".to_owned()
            }
            0 => format!("No difference in {range}.\n"),
            1 => format!("1 difference in {range}.\n"),
            found => format!("{found} differences in {range}.\n"),
        };
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
