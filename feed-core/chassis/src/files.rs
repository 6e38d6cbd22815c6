//! The limit on open files of the process: each connection of a client is one (I11).

use rustix::process::{Resource, getrlimit, setrlimit};

/// Files other than connections of clients: those of the database, of a followed feed, and of
/// listeners.
const OTHERS: usize = 256;

/// Raises the soft limit to the hard one, which is more than a shell sets. Returns how many of
/// `wanted` connections of clients to serve, so that enough files are left for the database.
pub(super) fn connections_of(wanted: usize) -> usize {
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    // On failure, the limit stays unchanged.
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
