//! A folder that is watched, and what is planned to go wrong in it.
use crate::calls::aside;
use crate::files::Files;
use crate::rng::Rng;
use libc::{EDQUOT, EIO, ENOSPC, c_int, ssize_t};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

static WATCHED: Mutex<Vec<Arc<Watched>>> = Mutex::new(Vec::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A write fails (`EIO`), once.
    Write,
    /// A flush of a file or a folder fails (`EIO`), once.
    Flush,
    /// From some write on no file grows (`ENOSPC`), until [`Disk::mend`].
    NoRoom,
    /// The same by a quota (`EDQUOT`), which the free bytes of the file system do not show.
    Quota,
    /// The power is lost: from some call on all fail, until [`Disk::power_on`].
    Power,
}

/// A folder on a disk that fails as it is told. It is watched until this is dropped.
pub struct Disk(Arc<Watched>);

pub(crate) struct Watched {
    root: PathBuf,
    state: Mutex<State>,
}

struct State {
    rng: Rng,
    files: Files,
    /// The fault, and how many calls of its kind go well before it.
    planned: Option<(Fault, u64)>,
    happened: Option<Fault>,
    /// What a write that makes its file grow fails with.
    no_room: Option<c_int>,
    has_power: bool,
    calls: u64,
    trace: bool,
}

/// What a call does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Write { grows: bool },
    Flush,
    Other,
}

impl Disk {
    /// Watches a folder from now on; all that is in it is durable. With TRACE in the environment it prints every call.
    ///
    /// # Errors
    /// The folder cannot be read.
    ///
    /// # Panics
    /// This program's calls do not come here: it was linked in another way than this crate expects.
    pub fn watch(folder: &Path, seed: u64) -> io::Result<Disk> {
        let root = folder.canonicalize()?;
        let state = State {
            rng: Rng::new(seed),
            files: Files::read(&root)?,
            planned: None,
            happened: None,
            no_room: None,
            has_power: true,
            calls: 0,
            trace: std::env::var_os("TRACE").is_some(),
        };
        let watched = Arc::new(Watched { root, state: Mutex::new(state) });
        all().push(watched.clone());
        COUNT.fetch_add(1, Ordering::SeqCst);
        let disk = Disk(watched);
        std::fs::File::open(folder)?.sync_all()?;
        assert_eq!(disk.calls(), 1, "the flush of a folder is a call of this crate");
        Ok(disk)
    }

    /// A fault happens after so many calls of its kind: of all calls for a loss of power, of those that make a file grow
    /// where there is no room.
    pub fn plan(&self, fault: Fault, after: u64) {
        let mut state = self.0.state();
        (state.planned, state.happened) = (Some((fault, after)), None);
    }

    /// The planned fault, if it has happened.
    pub fn happened(&self) -> Option<Fault> {
        self.0.state().happened
    }

    /// Nothing is planned any more, and there is room.
    pub fn mend(&self) {
        let mut state = self.0.state();
        (state.planned, state.no_room) = (None, None);
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.0.state().calls
    }

    /// The power is lost now.
    pub fn power_off(&self) {
        self.0.state().has_power = false;
    }

    /// The power is back, and the folder holds what the disk has kept. Nobody may have a file of it open.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn power_on(&self) -> io::Result<()> {
        aside(|| {
            let State { rng, files, planned, no_room, has_power, .. } = &mut *self.0.state();
            (*planned, *no_room, *has_power) = (None, None, true);
            files.lose_power(rng)
        })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        all().retain(|watched| !Arc::ptr_eq(watched, &self.0));
        COUNT.fetch_sub(1, Ordering::SeqCst);
    }
}

fn all() -> MutexGuard<'static, Vec<Arc<Watched>>> {
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether any folder is watched.
pub(crate) fn any() -> bool {
    COUNT.load(Ordering::SeqCst) > 0
}

/// Whether a watched folder is below this one: there nothing goes wrong, and nothing is waited for.
pub(crate) fn is_above(path: &Path) -> bool {
    all().iter().any(|watched| watched.root != path && watched.root.starts_with(path))
}

/// The disk that a path is on.
pub(crate) fn of(path: &Path) -> Option<Arc<Watched>> {
    all().iter().find(|watched| path.starts_with(&watched.root)).cloned()
}

impl Watched {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(
        &self,
        path: &Path,
        at: u64,
        bytes: &[u8],
        for_real: impl Fn(&[u8]) -> ssize_t,
    ) -> Result<ssize_t, c_int> {
        let grows = path.metadata().is_ok_and(|file| file.len() < at + bytes.len() as u64);
        let mut state = self.state();
        let (part, failed) = match state.next(Call::Write { grows }, path, || format!("{} at {at}", bytes.len())) {
            Ok(()) => (bytes, None),
            Err(errno) if state.has_power => {
                // What a write that fails has written before.
                let part = state.rng.below(bytes.len() as u64 * 2 + 1).saturating_sub(bytes.len() as u64) as usize;
                (if errno == EIO { &bytes[..part] } else { &[] }, Some(errno))
            }
            Err(errno) => return Err(errno),
        };
        let written = for_real(part);
        if written > 0 {
            state.files.wrote(path, at, &part[..written as usize]);
        }
        failed.map_or(Ok(written), Err)
    }

    pub(crate) fn cut(&self, path: &Path, length: u64, for_real: impl Fn() -> c_int) -> Result<c_int, c_int> {
        let mut state = self.state();
        state.next(Call::Other, path, || format!("cut to {length}"))?;
        let done = for_real();
        if done == 0 {
            state.files.cut(path, length);
        }
        Ok(done)
    }

    pub(crate) fn flush(&self, path: &Path) -> Result<(), c_int> {
        let mut state = self.state();
        let next = state.next(Call::Flush, path, || "flush".into());
        let State { files, rng, has_power, .. } = &mut *state;
        match next {
            Ok(()) => files.flushed(path),
            Err(_) if *has_power => files.flush_failed(path, rng),
            Err(_) => {}
        }
        next
    }

    pub(crate) fn remove(&self, path: &Path, for_real: impl Fn() -> c_int) -> Result<c_int, c_int> {
        let inode = path.symlink_metadata().map(|file| file.ino());
        let mut state = self.state();
        state.next(Call::Other, path, || "remove".into())?;
        let done = for_real();
        if let (0, Ok(inode)) = (done, inode) {
            state.files.removed(inode);
        }
        Ok(done)
    }
}

impl State {
    /// Counts a call; whether it goes well.
    fn next(&mut self, call: Call, path: &Path, what: impl FnOnce() -> String) -> Result<(), c_int> {
        self.calls += 1;
        let result = self.judge(call);
        if self.trace {
            let name = path.file_name().unwrap_or_default().display();
            eprintln!("{:5} {name} {}: {result:?}", self.calls, what());
        }
        result
    }

    fn judge(&mut self, call: Call) -> Result<(), c_int> {
        if let Some((fault, after)) = &mut self.planned {
            let counts = match fault {
                Fault::Write => matches!(call, Call::Write { .. }),
                Fault::Flush => call == Call::Flush,
                Fault::NoRoom | Fault::Quota => call == Call::Write { grows: true },
                Fault::Power => true,
            };
            match (counts, *after) {
                (false, _) => {}
                (true, 1..) => *after -= 1,
                (true, 0) => {
                    let fault = *fault;
                    (self.planned, self.happened) = (None, Some(fault));
                    match fault {
                        Fault::Write | Fault::Flush => return Err(EIO),
                        Fault::NoRoom => self.no_room = Some(ENOSPC),
                        Fault::Quota => self.no_room = Some(EDQUOT),
                        Fault::Power => self.has_power = false,
                    }
                }
            }
        }
        match self.no_room {
            _ if !self.has_power => Err(EIO),
            Some(errno) if call == (Call::Write { grows: true }) => Err(errno),
            Some(_) | None => Ok(()),
        }
    }
}
