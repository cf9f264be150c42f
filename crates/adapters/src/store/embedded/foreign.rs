//! Whether a folder holds another program's database, or that of a newer one of ours: looked at in the file's first bytes,
//! before anything is made or opened, so that a start that is refused leaves the folder as it was.
use super::OpenError;
use super::schema::{APPLICATION_ID, VERSION};
use super::start::database;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

const MAGIC: &[u8] = b"SQLite format 3\0";
/// The file's header, and that of its first page, which is where the schema begins.
const HEADER: usize = 108;
const USER_VERSION: usize = 60;
const APPLICATION: usize = 68;
const FIRST_PAGE: usize = 100;
/// The kind of a page that holds rows and refers to no others.
const LEAF: u8 = 13;

/// Refuses what is certainly none of ours; what else there may be is found when it is opened.
pub(super) fn check(dir: &Path) -> Result<(), OpenError> {
    let path = database(dir);
    let mut journal = path.clone().into_os_string();
    journal.push("-journal");
    // A journal puts back what was there before the file was half written.
    if Path::new(&journal).exists() {
        return Ok(());
    }
    let mut header = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(HEADER as u64).read_to_end(&mut header));
    match read {
        Ok(0) => return Ok(()),
        Ok(_) => {}
        // A folder that is not there is made, and one that cannot be read says so when it is.
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => return Ok(()),
        Err(source) => return Err(OpenError::Io { path, source }),
    }
    if header.len() < HEADER || !header.starts_with(MAGIC) {
        return Err(OpenError::Corrupt("unanim.db is not a database".into()));
    }
    let number = |at: usize| i32::from_be_bytes(header[at..at + 4].try_into().expect("four bytes"));
    let is_empty = header[FIRST_PAGE] == LEAF && header[FIRST_PAGE + 3..FIRST_PAGE + 5] == [0, 0];
    match (number(APPLICATION), number(USER_VERSION)) {
        // Ours may have all its tables in the log.
        (0, 0) if is_empty => Ok(()),
        (APPLICATION_ID, found) if found > VERSION => Err(OpenError::Newer { found, known: VERSION }),
        (APPLICATION_ID, 1..) => Ok(()),
        _ => Err(OpenError::NotOurs),
    }
}
