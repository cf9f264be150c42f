//! A full disk: while there is too little room, only what is already open may write. A reserve covers that; a piece of it
//! is released when a write needs one, since whatever else fills the disk takes what is not held; and twice as much when
//! that was not enough, or somebody was quicker.
use rusqlite::ErrorCode;
use rusqlite::ffi::{SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_WRITE};
use rustix::fs::FallocateFlags;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use unanim_node::ports::Room;

/// Less is no reserve: the log alone grows by more.
const RESERVE_MIN: u64 = 1 << 20;
/// So much of it is released at first.
const PIECE: u64 = 1 << 20;
/// How often the file system is asked.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a write that found no room counts for more than what the file system says: a quota is not seen there.
const FULL_FOR: Duration = Duration::from_secs(2);
/// When a reserve that could not be made is tried again.
const MAKE_AGAIN: Duration = Duration::from_secs(10);

/// Knows whether there is room, and keeps the reserve.
pub(super) struct RoomKeeper {
    dir: PathBuf,
    state: Mutex<State>,
}

struct State {
    file: File,
    /// How large the reserve is to be where there is room.
    wished: u64,
    /// How large it is to be here; none is kept where this is 0.
    size: u64,
    /// How large it is.
    held: u64,
    /// Nothing was released since it was made.
    is_whole: bool,
    /// How much is released next.
    piece: u64,
    room: Room,
    /// Bytes of the database that hold nothing any more: new records fit there, a reserve does not.
    reusable: u64,
    looked_at: Instant,
    full_until: Instant,
}

impl RoomKeeper {
    /// Takes over the reserve that an earlier session left; makes it where there is none, or one that may be larger now.
    pub(super) fn open(dir: &Path, wished_bytes: u64) -> io::Result<RoomKeeper> {
        let path = dir.join("reserve");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let (now, wished, held) = (Instant::now(), wished_bytes, file.metadata()?.len());
        let mut state = State {
            file,
            wished,
            size: held,
            held,
            is_whole: true,
            piece: PIECE,
            room: Room::Enough,
            reusable: 0,
            // The first one who asks wants to know.
            looked_at: now.checked_sub(LOOK_EVERY).unwrap_or(now),
            full_until: now,
        };
        let free = free_bytes(dir)?;
        let larger = state.larger(free);
        if held > wished || larger.is_some() {
            state.size = larger.unwrap_or(wished);
            state.held = held.min(state.size);
            state.file.set_len(state.held)?;
            (state.room, state.is_whole) = (Room::Full, false);
            state.look(free_bytes(dir)?, now);
            if state.room == Room::Full {
                tracing::warn!("the disk is full: new transactions are refused until there is room");
            }
        }
        Ok(RoomKeeper { dir: dir.into(), state: Mutex::new(state) })
    }

    /// Whether new transactions may be written.
    pub(super) fn room(&self) -> Room {
        let mut state = self.state.lock().expect("no holder panics");
        let now = Instant::now();
        if now.duration_since(state.looked_at) >= LOOK_EVERY {
            state.looked_at = now;
            // A file system that does not answer leaves things as they are: a write will say more.
            if let Ok(free) = free_bytes(&self.dir) {
                state.look(free, now);
            }
        }
        state.room
    }

    /// Whose room it is.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// So many bytes of the database may be written anew.
    pub(super) fn set_reusable(&self, bytes: u64) {
        self.state.lock().expect("no holder panics").reusable = bytes;
    }

    /// How large the reserve is where there is room.
    pub(super) fn reserve_bytes(&self) -> u64 {
        self.state.lock().expect("no holder panics").size
    }

    /// What of the reserve is still there.
    pub(super) fn held_bytes(&self) -> u64 {
        self.state.lock().expect("no holder panics").held
    }

    /// A write found no room: a piece of what is kept back is for it. Whether there was one.
    pub(super) fn found_full(&self) -> bool {
        let mut state = self.state.lock().expect("no holder panics");
        let now = Instant::now();
        state.piece = if now < state.full_until { state.piece.saturating_mul(2) } else { PIECE };
        state.full_until = now + FULL_FOR;
        state.release("a write found no room")
    }
}

impl State {
    /// How large the reserve may become. Not for a little.
    fn larger(&self, free: u64) -> Option<u64> {
        let may_hold = self.wished.min((free.saturating_add(self.held) / 4).max(RESERVE_MIN));
        let is_worth_it = self.size < may_hold && (may_hold == self.wished || self.size < may_hold / 2);
        is_worth_it.then_some(may_hold)
    }

    fn look(&mut self, free: u64, now: Instant) {
        if let Some(larger) = self.larger(free) {
            (self.size, self.is_whole) = (larger, false);
        }
        // A quarter more than what is enough, so that it does not come and go.
        let margin = self.size.max(RESERVE_MIN) / 4;
        let usable = free.saturating_add(self.reusable);
        let (whole, unheld) = (free.saturating_add(self.held), self.size.saturating_sub(self.held));
        match (self.room, self.is_whole) {
            (Room::Enough, _) if usable < self.size => {
                tracing::warn!(free_bytes = free, "the disk is almost full: new transactions are refused");
                self.room = Room::Full;
            }
            (Room::Full, _) if now < self.full_until => {}
            (Room::Full, true) if usable >= self.size + margin => {
                tracing::info!(free_bytes = free, "the disk has room");
                self.room = Room::Enough;
            }
            // Where most of the room is in the database, half a reserve will do: the rest of what is free is the log's.
            (Room::Full, false) if whole >= self.size / 2 + margin && usable >= self.size + margin + unheld => {
                self.make(self.size.min(whole - margin), now);
            }
            // The file does not shrink, so that no reserve may ever fit again: what is empty in it is one.
            (Room::Full, false) if self.reusable >= 2 * self.size + margin => {
                tracing::info!(reusable_bytes = self.reusable, "the database has room");
                self.room = Room::Enough;
            }
            (Room::Enough, false) if now >= self.full_until && free >= unheld + margin => self.make(self.size, now),
            (Room::Enough | Room::Full, _) => {}
        }
    }

    fn release(&mut self, why: &str) -> bool {
        if self.is_whole || self.room == Room::Enough {
            tracing::warn!(
                reserve_bytes = self.held,
                "{why}: it gets some of the reserve, new transactions are refused"
            );
        }
        (self.room, self.is_whole) = (Room::Full, false);
        let had = self.held > 0;
        self.held = self.held.saturating_sub(self.piece);
        self.give_back();
        had
    }

    /// What the file has beyond what is held.
    fn give_back(&self) {
        if let Err(error) = self.file.set_len(self.held) {
            tracing::warn!(%error, "the reserve could not be released");
        }
    }

    fn make(&mut self, bytes: u64, now: Instant) {
        match allocate(&self.file, bytes) {
            Ok(()) => {
                tracing::info!(reserve_bytes = bytes, "there is room, and a part of it is kept back");
                (self.room, self.held, self.is_whole) = (Room::Enough, bytes, true);
            }
            Err(error) => {
                tracing::warn!(%error, "the reserve could not be made");
                self.give_back();
                self.full_until = now + MAKE_AGAIN;
            }
        }
    }
}

/// Whether SQLite failed for want of room. It knows one kind of full disk only: the index of the log has a code of its own,
/// and a quota has none.
pub(super) fn is_why(error: &rusqlite::Error, dir: &Path) -> bool {
    match (error.sqlite_error_code(), error.sqlite_extended_error_code()) {
        (Some(ErrorCode::DiskFull), _) | (_, Some(SQLITE_IOERR_SHMSIZE)) => true,
        (_, Some(SQLITE_IOERR_WRITE)) => finds_none(dir),
        (_, _) => false,
    }
}

/// Whether a small write of our own finds no room either.
fn finds_none(dir: &Path) -> bool {
    let path = dir.join("room-probe");
    let tried = (|| {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all_at(&[0x55; 4096], 0)?;
        file.sync_data()
    })();
    let _ = std::fs::remove_file(&path);
    tried.is_err_and(|error| is_full(&error))
}

/// Whether an error says that there is no room.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Bytes that a process of this user can still write in a folder.
pub(super) fn free_bytes(dir: &Path) -> io::Result<u64> {
    let figures = rustix::fs::statvfs(dir)?;
    Ok(figures.f_bavail.saturating_mul(figures.f_frsize))
}

/// Real blocks: a hole would reserve nothing.
fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Err(rustix::io::Errno::OPNOTSUPP) => write_zeros(file, bytes),
        result => Ok(result?),
    }
}

fn write_zeros(file: &File, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    let mut at = 0;
    while at < bytes {
        let part = zeros.len().min((bytes - at) as usize);
        file.write_all_at(&zeros[..part], at)?;
        at += part as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;
    use tempfile::TempDir;

    const MIB: u64 = 1 << 20;

    fn blocks(dir: &TempDir) -> u64 {
        std::fs::metadata(dir.path().join("reserve")).expect("a reserve").blocks() * 512
    }

    #[test]
    fn the_reserve_is_kept_until_a_write_needs_it_and_made_again_with_a_margin() {
        let dir = TempDir::new().expect("a folder");
        let keeper = RoomKeeper::open(dir.path(), 4 * MIB).expect("a reserve");
        assert_eq!(keeper.room(), Room::Enough);
        assert!(blocks(&dir) >= 4 * MIB, "real blocks");

        let mut state = keeper.state.lock().expect("held by nobody");
        let now = Instant::now();
        let mut after = |free: u64| {
            state.look(free, now);
            (state.room, blocks(&dir) > 0)
        };
        assert_eq!(after(4 * MIB), (Room::Enough, true));
        assert_eq!(after(4 * MIB - 1), (Room::Full, true), "nobody else gets it");
        assert_eq!(after(5 * MIB - 1), (Room::Full, true));
        assert_eq!(after(5 * MIB), (Room::Enough, true));
        assert_eq!(after(0), (Room::Full, true));
        assert!(state.release("a write needs it"));
        assert_eq!((state.held, blocks(&dir)), (3 * MIB, 3 * MIB), "no more than a piece");
        let mut after = |free: u64| {
            state.look(free, now);
            (state.room, blocks(&dir))
        };
        assert_eq!(after(6 * MIB - 1), (Room::Full, 3 * MIB), "what was released is no room");
        assert_eq!(after(6 * MIB), (Room::Enough, 4 * MIB));
        assert_eq!([0; 5].map(|_| state.release("a write needs it")), [true, true, true, true, false]);
        let mut after = |free: u64| {
            state.look(free, now);
            (state.room, blocks(&dir))
        };
        assert_eq!(after(9 * MIB - 1), (Room::Full, 0));
        assert_eq!(after(9 * MIB), (Room::Enough, 4 * MIB));
    }

    #[test]
    fn what_was_too_little_is_doubled() {
        let dir = TempDir::new().expect("a folder");
        let keeper = RoomKeeper::open(dir.path(), 12 * MIB).expect("a reserve");
        let held = [0; 5].map(|_| (keeper.found_full(), keeper.held_bytes() / MIB));
        assert_eq!(held, [(true, 11), (true, 9), (true, 5), (true, 0), (false, 0)]);
    }

    #[test]
    fn a_reserve_that_was_small_for_want_of_room_grows_when_there_is_some() {
        let dir = TempDir::new().expect("a folder");
        let keeper = RoomKeeper::open(dir.path(), 2 * MIB).expect("a reserve");
        let mut state = keeper.state.lock().expect("held by nobody");
        state.wished = 12 * MIB;
        let now = Instant::now();
        state.look(5 * MIB, now);
        assert_eq!((state.size, state.room, blocks(&dir)), (2 * MIB, Room::Enough, 2 * MIB), "not for a little");
        state.look(46 * MIB, now);
        assert_eq!((state.size, state.room, blocks(&dir)), (12 * MIB, Room::Enough, 12 * MIB));
    }

    #[test]
    fn what_was_purged_is_room_too() {
        let dir = TempDir::new().expect("a folder");
        let keeper = RoomKeeper::open(dir.path(), 4 * MIB).expect("a reserve");
        let mut state = keeper.state.lock().expect("held by nobody");
        let now = Instant::now();
        state.look(3 * MIB, now);
        assert_eq!(state.room, Room::Full);
        state.reusable = 2 * MIB;
        state.look(3 * MIB, now);
        assert_eq!(state.room, Room::Enough);
        while state.release("a write needs it") {}
        state.reusable = 8 * MIB;
        state.look(3 * MIB - 1, now);
        assert_eq!((state.room, blocks(&dir)), (Room::Full, 0), "half a reserve and a margin");
        state.look(3 * MIB, now);
        assert_eq!((state.room, blocks(&dir)), (Room::Enough, 2 * MIB));
        while state.release("a write needs it") {}
        state.reusable = 9 * MIB;
        state.look(0, now);
        assert_eq!((state.room, blocks(&dir)), (Room::Enough, 0), "the reserve is in the database");
        state.look(5 * MIB, now);
        assert_eq!((state.room, blocks(&dir)), (Room::Enough, 4 * MIB), "and has room of its own again");
    }

    #[test]
    fn a_write_that_found_no_room_counts_for_more_than_what_is_free() {
        let dir = TempDir::new().expect("a folder");
        let keeper = RoomKeeper::open(dir.path(), MIB).expect("a reserve");
        keeper.found_full();
        assert_eq!(blocks(&dir), 0);
        let mut state = keeper.state.lock().expect("held by nobody");
        let until = state.full_until;
        state.look(u64::MAX, until - Duration::from_millis(1));
        assert_eq!((state.room, blocks(&dir)), (Room::Full, 0));
        state.look(u64::MAX, until);
        assert_eq!(state.room, Room::Enough);
    }

    #[test]
    fn the_reserve_of_an_earlier_session_is_taken_over() {
        let dir = TempDir::new().expect("a folder");
        drop(RoomKeeper::open(dir.path(), 2 * MIB).expect("a reserve"));
        let first = blocks(&dir);
        let keeper = RoomKeeper::open(dir.path(), 2 * MIB).expect("a reserve");
        assert_eq!((keeper.state.lock().expect("held by nobody").size, blocks(&dir)), (2 * MIB, first));
        drop(keeper);
        let keeper = RoomKeeper::open(dir.path(), 8 * MIB).expect("a reserve");
        assert_eq!(keeper.state.lock().expect("held by nobody").size, 8 * MIB, "unless there is room for a larger one");
        drop(keeper);
        let keeper = RoomKeeper::open(dir.path(), MIB).expect("a reserve");
        assert_eq!(keeper.state.lock().expect("held by nobody").size, MIB, "unless it is larger than wished");
        drop(keeper);
        let keeper = RoomKeeper::open(dir.path(), 0).expect("none");
        assert_eq!((keeper.room(), blocks(&dir)), (Room::Enough, 0));
    }
}
