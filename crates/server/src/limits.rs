//! How many connections there may be: as many as the kernel lets this process open files, less what else it needs.
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Connections of clients at most, however many files may be open.
const CONNECTIONS_MAX: usize = 65_536;
/// For a process without a limit.
const FILES_ASSUMED: u64 = 1 << 20;

/// Raises the limit of open files to what the kernel allows, and says how many connections of clients there may be.
pub(crate) fn connections() -> usize {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files stays as it is");
        }
    }
    connections_of(getrlimit(Resource::Nofile).current.unwrap_or(FILES_ASSUMED))
}

/// A quarter is left for calls to participants and the store's files.
fn connections_of(files: u64) -> usize {
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    (files - files / 4).clamp(1, CONNECTIONS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_to_participants_keep_their_part() {
        assert_eq!([1, 1024, 20_000, u64::MAX].map(connections_of), [1, 768, 15_000, CONNECTIONS_MAX]);
    }

    #[test]
    fn the_limit_is_raised() {
        assert!(connections() > 0);
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
