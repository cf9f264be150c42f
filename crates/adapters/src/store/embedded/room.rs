//! A full disk: while there is too little room, only what is already open may write, and a reserve covers that.
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
/// How often the file system is asked.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Bytes that a process of this user can still write in a folder.
pub(super) fn free_bytes(dir: &Path) -> io::Result<u64> {
    let figures = rustix::fs::statvfs(dir)?;
    Ok(figures.f_bavail.saturating_mul(figures.f_frsize))
}

/// Knows whether there is room, and keeps the reserve.
pub(super) struct RoomKeeper {
    dir: PathBuf,
    free_bytes: fn(&Path) -> io::Result<u64>,
    state: Mutex<State>,
}

struct State {
    file: File,
    /// How large the reserve is when it is there; none is kept where this is 0.
    size: u64,
    room: Room,
    looked_at: Instant,
}

impl RoomKeeper {
    /// Makes the reserve, or takes over the one that an earlier session left, whole as it is.
    pub(super) fn open(
        dir: &Path,
        wished_bytes: u64,
        free_bytes: fn(&Path) -> io::Result<u64>,
    ) -> io::Result<RoomKeeper> {
        let path = dir.join("reserve");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let held = file.metadata()?.len();
        let kept = (RESERVE_MIN..=wished_bytes).contains(&held);
        let mut state = State { size: held, room: Room::Enough, looked_at: Instant::now(), file };
        if !kept {
            state.file.set_len(0)?;
            state.size = wished_bytes.min(free_bytes(dir)? / 4).max(RESERVE_MIN.min(wished_bytes));
            state.room = Room::Full;
            state.try_make(free_bytes(dir)?);
            if state.room == Room::Full {
                tracing::warn!("the disk is full: new transactions are refused until there is room");
            }
        }
        Ok(RoomKeeper { dir: dir.into(), free_bytes, state: Mutex::new(state) })
    }

    /// Whether new transactions may be written.
    pub(super) fn room(&self) -> Room {
        let mut state = self.state.lock().expect("no holder panics");
        if state.looked_at.elapsed() >= LOOK_EVERY {
            state.looked_at = Instant::now();
            // A file system that does not answer leaves things as they are: a write will say more.
            if let Ok(free) = (self.free_bytes)(&self.dir) {
                state.look(free);
            }
        }
        state.room
    }

    /// A write found no room: what is kept back is for it.
    pub(super) fn found_full(&self) {
        let mut state = self.state.lock().expect("no holder panics");
        state.looked_at = Instant::now();
        state.release("a write found no room");
    }
}

impl State {
    fn look(&mut self, free: u64) {
        match self.room {
            Room::Enough if free < self.size => self.release("little room is left"),
            Room::Full => self.try_make(free),
            Room::Enough => {}
        }
    }

    fn release(&mut self, why: &str) {
        if self.room == Room::Enough {
            tracing::warn!(
                why,
                reserve_bytes = self.size,
                "the disk is full: new transactions are refused until there is room"
            );
        }
        self.room = Room::Full;
        if let Err(error) = self.file.set_len(0) {
            tracing::warn!(%error, "the reserve could not be released");
        }
    }

    /// Once as much again as the reserve stays free beside it, and a quarter, so that it does not come and go.
    fn try_make(&mut self, free: u64) {
        if free < self.size.max(RESERVE_MIN) / 4 * 9 {
            return;
        }
        match allocate(&self.file, self.size) {
            Ok(()) => {
                tracing::info!(reserve_bytes = self.size, "there is room");
                self.room = Room::Enough;
            }
            Err(error) => {
                tracing::warn!(%error, "the reserve could not be made");
                let _ = self.file.set_len(0);
            }
        }
    }
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
