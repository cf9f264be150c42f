//! The C library's calls that change files, in whose place these stand for the whole program.
use crate::disk::{self, Watched};
use libc::{c_char, c_int, c_void, off_t, size_t, ssize_t};
use std::cell::Cell;
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

thread_local! {
    /// This thread works for the disk itself: its calls go straight to the kernel.
    static ASIDE: Cell<bool> = const { Cell::new(false) };
}

/// What is done in `work` is done by nobody that is watched.
pub(crate) fn aside<T>(work: impl FnOnce() -> T) -> T {
    let before = ASIDE.replace(true);
    let done = work();
    ASIDE.set(before);
    done
}

/// Which disk a path is on, and the rest of the path.
fn on_disk<T>(path: impl FnOnce() -> Option<PathBuf>, then: impl FnOnce(Arc<Watched>, &Path) -> T) -> Option<T> {
    if !disk::any() || ASIDE.get() {
        return None;
    }
    aside(|| {
        let path = path()?;
        disk::of(&path).map(|disk| then(disk, &path))
    })
}

fn path_of(fd: c_int) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()
}

fn fail(errno: c_int) -> c_int {
    // SAFETY: the address of this thread's own errno, which is always there.
    unsafe { *libc::__errno_location() = errno };
    -1
}

/// Writes at an offset, or where the file stands.
fn write_to(fd: c_int, bytes: &[u8], at: Option<off_t>) -> ssize_t {
    // SAFETY: a slice is readable for its whole length.
    let for_real = |part: &[u8]| unsafe {
        match at {
            Some(at) => libc::syscall(libc::SYS_pwrite64, fd, part.as_ptr(), part.len(), at) as ssize_t,
            None => libc::syscall(libc::SYS_write, fd, part.as_ptr(), part.len()) as ssize_t,
        }
    };
    let watched = on_disk(
        || path_of(fd),
        |disk, path| {
            // SAFETY: asks where an open file stands.
            let place = at.unwrap_or_else(|| unsafe { libc::lseek(fd, 0, libc::SEEK_CUR) });
            disk.write(path, place as u64, bytes, |part| for_real(part)).unwrap_or_else(|errno| fail(errno) as ssize_t)
        },
    );
    watched.unwrap_or_else(|| for_real(bytes))
}

fn flush(fd: c_int, call: libc::c_long) -> c_int {
    // What a watched file holds is durable when its disk says so: the machine's own need not be asked.
    if disk::any() && !ASIDE.get() && aside(|| path_of(fd).is_some_and(|path| disk::is_above(&path))) {
        return 0;
    }
    let watched = on_disk(|| path_of(fd), |disk, path| disk.flush(path).map_or_else(fail, |()| 0));
    // SAFETY: takes a number and no memory.
    watched.unwrap_or_else(|| unsafe { libc::syscall(call, fd) as c_int })
}

fn cut(fd: c_int, length: off_t) -> c_int {
    // SAFETY: takes numbers and no memory.
    let for_real = || unsafe { libc::syscall(libc::SYS_ftruncate, fd, length) as c_int };
    let watched = on_disk(|| path_of(fd), |disk, path| disk.cut(path, length as u64, for_real).unwrap_or_else(fail));
    watched.unwrap_or_else(for_real)
}

/// # Safety
/// As of `write(2)`: `bytes` points to `count` readable bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn write(fd: c_int, bytes: *const c_void, count: size_t) -> ssize_t {
    // SAFETY: the caller's promise.
    write_to(fd, unsafe { slice(bytes, count) }, None)
}

/// # Safety
/// As of `pwrite(2)`: `bytes` points to `count` readable bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite(fd: c_int, bytes: *const c_void, count: size_t, at: off_t) -> ssize_t {
    // SAFETY: the caller's promise.
    write_to(fd, unsafe { slice(bytes, count) }, Some(at))
}

/// # Safety
/// As of `pwrite(2)`: `bytes` points to `count` readable bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(fd: c_int, bytes: *const c_void, count: size_t, at: off_t) -> ssize_t {
    // SAFETY: the caller's promise.
    write_to(fd, unsafe { slice(bytes, count) }, Some(at))
}

#[unsafe(no_mangle)]
extern "C" fn fsync(fd: c_int) -> c_int {
    flush(fd, libc::SYS_fsync)
}

#[unsafe(no_mangle)]
extern "C" fn fdatasync(fd: c_int) -> c_int {
    flush(fd, libc::SYS_fdatasync)
}

#[unsafe(no_mangle)]
extern "C" fn ftruncate(fd: c_int, length: off_t) -> c_int {
    cut(fd, length)
}

#[unsafe(no_mangle)]
extern "C" fn ftruncate64(fd: c_int, length: off_t) -> c_int {
    cut(fd, length)
}

/// # Safety
/// As of `unlink(2)`: `path` is a C string.
#[unsafe(no_mangle)]
unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    // SAFETY: the caller's string goes on to the kernel as it is.
    let for_real = || unsafe { libc::syscall(libc::SYS_unlinkat, libc::AT_FDCWD, path, 0) as c_int };
    if path.is_null() {
        return for_real();
    }
    // SAFETY: the caller's promise.
    let name = || unsafe { CStr::from_ptr(path) };
    let watched = on_disk(
        || Some(PathBuf::from(OsStr::from_bytes(name().to_bytes()))),
        |disk, path| disk.remove(path, for_real).unwrap_or_else(fail),
    );
    watched.unwrap_or_else(for_real)
}

/// # Safety
/// `bytes` points to `count` readable bytes, unless there are none.
unsafe fn slice<'a>(bytes: *const c_void, count: size_t) -> &'a [u8] {
    if bytes.is_null() || count == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(bytes.cast(), count) }
}
