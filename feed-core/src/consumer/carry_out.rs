//! Carries out what a person has decided. The decision stays open until its transaction commits,
//! so that it is carried out once, by whichever instance comes first.

use tracing::{info, warn};

use super::decide::{Decision, From};
use super::fetch::{FetchError, Validators};
use super::poll::PollError;
use super::{Consumer, Effect};
use crate::cursor::Cursor;
use crate::event::Sequence;
use crate::store::Backend;
use crate::store::consume::{Claim, Position};
use crate::store::operate::{DecisionRow, Skip};

/// What a decision comes to.
struct Plan {
    /// Partitions that are here or later …
    from: Sequence,
    /// … go there.
    to: Option<Position>,
    /// Where the subscription begins from now on.
    begins: Option<Sequence>,
    /// Events from here on are taken again.
    forget: Option<Sequence>,
    /// Entries without numbers that count as taken.
    claim: Vec<String>,
    /// What to say of it.
    outcome: String,
}

impl Plan {
    fn saying(outcome: impl Into<String>) -> Self {
        Self {
            from: 0,
            to: None,
            begins: None,
            forget: None,
            claim: Vec::new(),
            outcome: outcome.into(),
        }
    }
}

impl<B: Backend, E: Effect<B>> Consumer<B, E> {
    /// Carries out the oldest open decision, if there is one.
    pub(super) async fn carry_out(&mut self) -> Result<(), PollError> {
        let (pool, s, _) = self.context.names();
        if let Some(open) = B::open_decision(pool, s).await? {
            let plan = match open.decision.parse() {
                Ok(Decision::Resume(From::Kept)) => Plan::saying("goes on from where it was"),
                Ok(Decision::Resume(From::Start)) => Plan {
                    to: Some(Position::default()),
                    begins: Some(0),
                    ..Plan::saying("goes on from the first event of the feed")
                },
                Ok(Decision::Resume(From::Now)) => self.place_of_now().await?,
                Ok(Decision::Replay(from)) => self.replay(from).await?,
                // Written by a newer version of us.
                Err(error) => Plan::saying(format!("not carried out: {error}")),
            };
            let resumes = open.decision.starts_with("resume");
            self.commit(&open, plan, resumes).await?;
        }
        self.context.leases.orders.send_modify(|orders| {
            orders.decision = None;
            orders.halted = None;
        });
        self.place.forget();
        // There may be more of them, or it is halted still.
        self.context.tend().await?;
        Ok(())
    }

    async fn commit(&self, open: &DecisionRow, plan: Plan, resumes: bool) -> Result<(), PollError> {
        let s = &self.context.subscription.name;
        let mut tx = self.context.database.begin().await?;
        if !B::close_decision(&mut tx, open.position, &plan.outcome).await? {
            // Another instance has done it.
            return Ok(());
        }
        if resumes {
            B::unhalt(&mut tx, s, plan.begins).await?;
        }
        // The partitions first, in the order in which everyone locks.
        if let Some(to) = &plan.to {
            B::reposition(&mut tx, s, plan.from, to).await?;
        }
        if let Some(from) = plan.forget {
            B::forget(&mut tx, s, from).await?;
        }
        let claims: Vec<Claim<'_>> = plan
            .claim
            .iter()
            .map(|id| Claim {
                event_id: id,
                sequence: None,
                subject: id,
            })
            .collect();
        if !claims.is_empty() {
            let won = B::claim(&mut tx, s, &claims).await?;
            let skips: Vec<Skip<'_>> = won
                .iter()
                .map(|id| Skip {
                    event_id: id,
                    subject: id,
                    event_type: None,
                    sequence: None,
                    reason: "the subscription begins after it",
                })
                .collect();
            B::skip(&mut tx, s, &skips, Some(&open.decided_by)).await?;
        }
        tx.commit().await?;
        self.context
            .leases
            .heartbeat(|heartbeat| heartbeat.head_sequence = None);
        warn!("carried out a decision about {s}: {}", plan.outcome);
        Ok(())
    }

    /// The place behind the newest event.
    async fn place_of_now(&mut self) -> Result<Plan, PollError> {
        let head = self.source.head(&Validators::default(), false).await?;
        let Some(new) = head.new else {
            return Ok(Plan::saying("not carried out: the feed shows nothing"));
        };
        let newest = new.document.entries.last();
        let Some(cursor) = &new.document.cursor else {
            let ids = new.document.entries.iter().map(|entry| entry.id.clone());
            let claim: Vec<String> = ids.collect();
            return Ok(Plan {
                to: Some(Position {
                    anchor: newest.map(|entry| entry.id.clone()),
                    ..Position::default()
                }),
                claim,
                ..Plan::saying("goes on after the newest entry of the feed")
            });
        };
        let sequence = cursor.sequence;
        Ok(Plan {
            to: Some(Position {
                epoch: Some(cursor.epoch.to_string()),
                sequence,
                anchor: newest.map(|entry| entry.id.clone()),
                updated: newest.map(|entry| entry.updated),
                ..Position::default()
            }),
            begins: Some(sequence),
            ..Plan::saying(format!(
                "goes on after event {sequence}; what came before and was not taken is not taken"
            ))
        })
    }

    /// The place before `from`, and what is to be forgotten.
    async fn replay(&mut self, from: Sequence) -> Result<Plan, PollError> {
        let (pool, s, _) = self.context.names();
        let standing = B::standing(pool, s).await?;
        let Some(epoch) = standing.epoch else {
            return Ok(match from {
                1 => Plan {
                    to: Some(Position::default()),
                    forget: Some(1),
                    ..Plan::saying("takes all entries again")
                },
                _ => Plan::saying("not carried out: the feed has no numbers, only 1 is possible"),
            });
        };
        let outcome = format!("takes the events from {from} on again");
        if from == 1 {
            // The epoch stays: what is taken again must be of the same feed (I8).
            let Ok(known) = epoch.parse() else {
                return Ok(Plan::saying(
                    "not carried out: the stored epoch cannot be read",
                ));
            };
            // Nothing is dropped before the feed has shown that it is there.
            return match self.source.after(Some(&Cursor::start(known))).await {
                Ok(_) => Ok(Plan {
                    to: Some(Position {
                        epoch: Some(epoch),
                        ..Position::default()
                    }),
                    forget: Some(from),
                    ..Plan::saying(outcome)
                }),
                Err(FetchError::Status { status: 410, .. }) => {
                    Ok(Plan::saying("not carried out: the feed is another one"))
                }
                Err(error) => Err(error.into()),
            };
        }
        match self.place_at(&epoch, from - 1).await? {
            Some(to) => Ok(Plan {
                from,
                to: Some(to),
                forget: Some(from),
                ..Plan::saying(outcome)
            }),
            None => Ok(Plan::saying(format!(
                "not carried out: the feed has no event {} of epoch {epoch}",
                from - 1
            ))),
        }
    }

    /// The place at an event of the feed: pages are walked until there. It is a rare thing to ask,
    /// and a page costs milliseconds.
    async fn place_at(
        &self,
        epoch: &str,
        sequence: Sequence,
    ) -> Result<Option<Position>, PollError> {
        let mut document = self.source.after(None).await?;
        loop {
            let same = document
                .cursor
                .as_ref()
                .is_some_and(|end| end.epoch.as_str() == epoch);
            if !same {
                return Ok(None);
            }
            if let Some(entry) = document.at(sequence) {
                return Ok(Some(Position {
                    epoch: Some(epoch.to_owned()),
                    sequence,
                    anchor: Some(entry.id.clone()),
                    updated: Some(entry.updated),
                    ..Position::default()
                }));
            }
            let end = document.cursor.clone().filter(|_| document.archive);
            info!(
                sequence = end.as_ref().map(|end| end.sequence),
                "looking for event {sequence}"
            );
            document = match (document.link("next-archive", None), end) {
                (Ok(Some(url)), _) => self.source.document(url).await?,
                (_, Some(end)) => self.source.after(Some(&end)).await?,
                (_, None) => return Ok(None),
            };
        }
    }
}
