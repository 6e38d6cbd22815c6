//! How many files the process may have open: each connection of a client is one (I11).

use rustix::process::{Resource, getrlimit, setrlimit};

/// Files that are no connections of clients: those of the database, of a feed that is followed, and
/// what listens.
const OTHERS: usize = 256;

/// Has the system allow as many as it will, which is more than a shell hands on; returns how many
/// connections of clients are to be served, of `wanted`. If they took all files, the database would be
/// the one that gets none.
pub(super) fn connections_of(wanted: usize) -> usize {
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    // Where it does not, it stays as it was.
    let _ = setrlimit(Resource::Nofile, files);
    let allowed = getrlimit(Resource::Nofile).current;
    let allowed = allowed.map_or(usize::MAX, |allowed| {
        usize::try_from(allowed).unwrap_or(usize::MAX)
    });
    wanted.min(within(allowed))
}

fn within(allowed: usize) -> usize {
    allowed.saturating_sub(OTHERS).max(allowed / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_files_are_left_for_the_database() {
        for (allowed, connections) in [(1_024, 768), (20_000, 19_744), (300, 150), (1, 0)] {
            assert_eq!(within(allowed), connections);
        }
        assert_eq!(connections_of(7), 7);
    }
}
