//! What of a folder's files is durable, and what was done to them since.
use crate::rng::Rng;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

const SECTOR: u64 = 512;

pub(crate) struct Files {
    root: PathBuf,
    files: Vec<File>,
    /// The files that have a name now, by their inode.
    by_inode: HashMap<u64, usize>,
    /// The names that are durable, relative to the root.
    names: BTreeMap<PathBuf, Named>,
    changes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    Folder,
    File(usize),
}

#[derive(Default)]
struct File {
    durable: Vec<u8>,
    /// In order; none of them flushed.
    pending: Vec<Change>,
}

/// With its number among the changes of all files.
struct Change(u64, What);

enum What {
    Write(u64, Vec<u8>),
    Cut(u64),
}

/// What a loss of power leaves of that which was not flushed.
#[derive(Clone, Copy)]
enum Left {
    Nothing,
    All,
    /// All before this change, and a part of it.
    Before(u64),
    /// Any sectors, so many of a thousand.
    Any(u64),
}

impl Files {
    /// All that is there is durable.
    pub(crate) fn read(root: &Path) -> io::Result<Files> {
        let mut files =
            Files { root: root.into(), files: vec![], by_inode: HashMap::new(), names: BTreeMap::new(), changes: 0 };
        let names = files.names_now(Path::new(""), true)?;
        for (name, named) in &names {
            if let Named::File(file) = named {
                files.files[*file].durable = std::fs::read(root.join(name))?;
            }
        }
        files.names = names;
        Ok(files)
    }

    pub(crate) fn wrote(&mut self, path: &Path, at: u64, bytes: &[u8]) {
        self.change(path, What::Write(at, bytes.into()));
    }

    pub(crate) fn cut(&mut self, path: &Path, length: u64) {
        self.change(path, What::Cut(length));
    }

    /// A name is gone; what it named goes on until its folder is flushed.
    pub(crate) fn removed(&mut self, inode: u64) {
        self.by_inode.remove(&inode);
    }

    /// A flush that succeeded, of a file or of a folder's names.
    pub(crate) fn flushed(&mut self, path: &Path) {
        if path.is_dir() {
            let folder = path.strip_prefix(&self.root).expect("it is watched").to_owned();
            let now = self.names_now(&folder, false).expect("a folder that can be read");
            self.names.retain(|name, _| name.parent() != Some(&folder));
            self.names.extend(now);
        } else if let Some(file) = self.file_at(path) {
            let File { durable, pending } = &mut self.files[file];
            pending.drain(..).for_each(|Change(_, what)| what.happens_to(durable, |_| true));
        }
    }

    /// A flush that failed: what it did not write is lost, though it is still read.
    pub(crate) fn flush_failed(&mut self, path: &Path, rng: &mut Rng) {
        if path.is_dir() {
            return;
        }
        let left = [Left::Nothing, Left::Any(500), Left::Any(900)][rng.below(3) as usize];
        if let Some(file) = self.file_at(path) {
            let File { durable, pending } = &mut self.files[file];
            pending.drain(..).for_each(|Change(number, what)| what.happens_to(durable, |_| left.keeps(number, rng)));
        }
    }

    /// The power is back: puts into the folder what the disk has kept.
    pub(crate) fn lose_power(&mut self, rng: &mut Rng) -> io::Result<()> {
        let first = self.files.iter().filter_map(|file| file.pending.first()).map(|change| change.0).min();
        let left = match (rng.below(5), first) {
            (0, _) | (_, None) => Left::Nothing,
            (1, _) => Left::All,
            (2, Some(first)) => Left::Before(first + rng.below(self.changes + 1 - first)),
            (_, Some(_)) => Left::Any([100, 500, 900][rng.below(3) as usize]),
        };
        let now = self.names_now(Path::new(""), true)?;
        let kept = self.names_kept(&now, &left, rng);
        let mut contents = Vec::new();
        for (name, named) in kept {
            let content = match named {
                Named::Folder => None,
                Named::File(_) if is_mapped(&name) => match rng.below(3) {
                    0 => continue,
                    1 => Some(std::fs::read(self.root.join(&name)).unwrap_or_default()),
                    _ => Some((0..32 << 10).map(|_| rng.below(256) as u8).collect()),
                },
                Named::File(file) => {
                    let File { durable, pending } = &mut self.files[file];
                    let mut content = durable.clone();
                    for Change(number, what) in pending.drain(..) {
                        what.happens_to(&mut content, |_| left.keeps(number, rng));
                    }
                    Some(content)
                }
            };
            contents.push((name, content));
        }
        self.write_back(contents)?;
        *self = Files::read(&self.root)?;
        Ok(())
    }

    /// Of the names that were made or removed and not flushed, any may be there or not.
    fn names_kept(&self, now: &BTreeMap<PathBuf, Named>, left: &Left, rng: &mut Rng) -> BTreeMap<PathBuf, Named> {
        let mut kept: BTreeMap<PathBuf, Named> = BTreeMap::new();
        let names: BTreeSet<&PathBuf> = now.keys().chain(self.names.keys()).collect();
        for name in names {
            let (before, after) = (self.names.get(name), now.get(name));
            let named = match left {
                _ if before == after => before,
                Left::Nothing => before,
                Left::All => after,
                Left::Before(_) | Left::Any(_) if rng.permille(500) => before,
                Left::Before(_) | Left::Any(_) => after,
            };
            let folder = name.parent().expect("relative to the root");
            if let Some(named) = named
                && (folder == Path::new("") || kept.contains_key(folder))
            {
                kept.insert(name.clone(), *named);
            }
        }
        kept
    }

    fn write_back(&self, contents: Vec<(PathBuf, Option<Vec<u8>>)>) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.root)? {
            let path = entry?.path();
            if path.is_dir() { std::fs::remove_dir_all(path)? } else { std::fs::remove_file(path)? }
        }
        for (name, content) in contents {
            let path = self.root.join(name);
            let mode = match content {
                None => std::fs::create_dir(&path).map(|()| 0o700)?,
                Some(content) => std::fs::write(&path, content).map(|()| 0o600)?,
            };
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
        }
        Ok(())
    }

    fn change(&mut self, path: &Path, what: What) {
        self.changes += 1;
        let number = self.changes;
        if let Some(file) = self.file_at(path) {
            self.files[file].pending.push(Change(number, what));
        }
    }

    fn file_at(&mut self, path: &Path) -> Option<usize> {
        // What has no name any more is gone after a loss of power, whatever is written to it.
        let inode = std::fs::symlink_metadata(path).ok()?.ino();
        Some(self.file(inode))
    }

    fn file(&mut self, inode: u64) -> usize {
        *self.by_inode.entry(inode).or_insert_with(|| {
            self.files.push(File::default());
            self.files.len() - 1
        })
    }

    fn names_now(&mut self, folder: &Path, and_below: bool) -> io::Result<BTreeMap<PathBuf, Named>> {
        let mut names = BTreeMap::new();
        for entry in std::fs::read_dir(self.root.join(folder))? {
            let entry = entry?;
            let name = folder.join(entry.file_name());
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                if and_below {
                    names.extend(self.names_now(&name, true)?);
                }
                names.insert(name, Named::Folder);
            } else {
                names.insert(name, Named::File(self.file(metadata.ino())));
            }
        }
        Ok(names)
    }
}

/// Shared memory of SQLite's processes: it reaches the disk or not, whenever the kernel likes.
fn is_mapped(name: &Path) -> bool {
    name.to_str().is_some_and(|name| name.ends_with("-shm"))
}

impl What {
    /// Of a write those sectors that `kept` says, by the offset of their first byte.
    fn happens_to(self, content: &mut Vec<u8>, mut kept: impl FnMut(u64) -> bool) {
        match self {
            What::Cut(length) => {
                if kept(length) {
                    content.resize(length as usize, 0);
                }
            }
            What::Write(at, bytes) => {
                let end = at + bytes.len() as u64;
                let mut from = at;
                while from < end {
                    let to = end.min((from / SECTOR + 1) * SECTOR);
                    if kept(from) {
                        if content.len() < to as usize {
                            content.resize(to as usize, 0);
                        }
                        let part = &bytes[(from - at) as usize..(to - at) as usize];
                        content[from as usize..to as usize].copy_from_slice(part);
                    }
                    from = to;
                }
            }
        }
    }
}

impl Left {
    fn keeps(&self, change: u64, rng: &mut Rng) -> bool {
        match *self {
            Left::Nothing => false,
            Left::All => true,
            Left::Before(last) => change < last || (change == last && rng.permille(500)),
            Left::Any(permille) => rng.permille(permille),
        }
    }
}
