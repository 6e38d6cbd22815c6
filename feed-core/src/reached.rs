//! Marks: rare branches that a guarantee depends on. A run that has never taken one of them has shown nothing about it, so
//! the long run fails unless each was reached (`tests/faults/reached.rs`, which reads the list below).
//!
//! A mark is a line in the log, under a target of its own at TRACE; where that is not logged, it costs a comparison. It must
//! not be on the way of each event.

/// A rare branch, and which guarantee depends on it (docs/guarantees.md).
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(all(feature = "publish", feature = "consume")),
    expect(dead_code, reason = "a side of the library has its own branches")
)]
pub(crate) enum Mark {
    // The feed.
    /// I2: another session holds the head, so the sequencer must look again later.
    HeadLocked,
    /// I2: the sequencer finds that the commit of an event, or another instance, has numbered it before.
    NumberedBefore,
    /// I1, I10: an event is numbered whose publisher did not say so: it has died, or is another program.
    Unannounced,
    /// I4: the head is too old to answer from; the database is asked first.
    StaleHead,
    /// I4, I8: a reader has seen more than this instance knows; the database is asked before the reader is answered.
    ReaderAhead,
    /// I4: a tag is not surely of this history, or too old: the reader gets the whole head in place of what is new.
    TagUnproven,
    /// I3, I8: the database has fewer events than before.
    HeadWentBack,
    /// I3, I8: the database has another event under a sequence that was read before.
    HistoryDiverged,
    /// I8: a cursor is no position in this feed, and is answered by a 410.
    CursorRefused,
    /// I3: an erasure meets an event that has no sequence yet.
    ErasedUnnumbered,

    // The consumer: the batch and its partitions.
    /// I5: another instance has taken partitions over, or a pause has begun: the batch leaves their events out.
    FencedBatch,
    /// I5: a retry finds that another instance has taken the partition over.
    FencedRetry,
    /// I5: a commit has failed, or its answer is lost: nobody knows which.
    CommitUnknown,
    /// I5: an event comes again that has a claim already.
    ClaimedBefore,
    /// I5: partitions of this instance are another's now, although it did not release them.
    LeaseLost,
    /// I5: another instance has moved the cursors of partitions that this one holds: the epoch of a lease has changed.
    EpochChanged,
    /// I5: two instances have prepared the same decision; the second one finds it executed.
    DecidedBefore,
    /// I10: an instance releases partitions, since it has more than its share or was retired.
    Released,
    /// I7: a batch has failed, and its events are applied in smaller ones.
    BatchSplit,
    /// I6: an event waits for a parked one of its subject.
    Waiting,
    /// I6: a parked event is overtaken by the erasure of its data.
    ParkedErased,
    /// I11: the database does not answer in time.
    DatabaseSilent,

    // The consumer: its way through the feed.
    /// I4, I8: the partitions of an instance are at different positions: it asks without a tag, from the lowest.
    PartitionsApart,
    /// I8: the partitions that are ahead contradict the feed.
    AheadContradicted,
    /// I8: the head does not continue from the cursor; what is between is fetched first.
    HeadBeyond,
    /// I8: a link of a page does not continue from it; the feed is asked by the cursor instead.
    WrongLink,
    /// I5, I11: leases, a pause or a decision interrupt a walk through pages.
    WalkInterrupted,
    /// I8: the feed does not know the cursor.
    CursorGone,
    /// I8: the feed does not know the cursor any longer in the middle of a walk.
    CursorGoneInWalk,
    /// I8: a feed without sequences shows no entry that is known.
    WindowLost,
    /// I11: a wait at the feed was cut, and the feed answers.
    WaitCut,
}

impl Mark {
    /// Records that the branch is reached.
    pub(crate) fn reached(self) {
        tracing::trace!(target: "feed_core::reached", "{self:?}");
    }
}
