//! Names and instants.
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Why a name is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Nothing at all.
    #[error("must not be empty")]
    Empty,
    /// More bytes of UTF-8 than the field holds.
    #[error("must be at most {0} bytes long")]
    TooLong(usize),
    /// A control character.
    #[error("must not contain control characters")]
    Control,
    /// A character that changes the direction of the text around it: two names could look alike, and a line of a log could
    /// read as another one.
    #[error("must not contain characters that change the direction of text")]
    Turning,
    /// `.` or `..`: a URL's path would swallow it.
    #[error("must not be '.' or '..'")]
    Dots,
}

fn check(name: &str, bytes_max: usize) -> Result<(), BadName> {
    match name {
        "" => Err(BadName::Empty),
        "." | ".." => Err(BadName::Dots),
        _ if name.len() > bytes_max => Err(BadName::TooLong(bytes_max)),
        _ if name.chars().any(char::is_control) => Err(BadName::Control),
        _ => Ok(()),
    }
}

/// The marks, embeddings, overrides and isolates of bidirectional text.
fn turns_text(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $bytes_max:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The longest one, in bytes of UTF-8.
            pub const BYTES_MAX: usize = $bytes_max;

            /// Checks the name.
            ///
            /// # Errors
            /// Empty, too long, a control character, `.` or `..`.
            pub fn new(name: &str) -> Result<Self, BadName> {
                check(name, Self::BYTES_MAX)?;
                Ok(Self(name.into()))
            }

            /// Checks a name that is given to something new. What has one already keeps it: it is read with `new`.
            ///
            /// # Errors
            /// As `new`; a character that changes the direction of text.
            pub fn given(name: &str) -> Result<Self, BadName> {
                let checked = Self::new(name)?;
                if name.chars().any(turns_text) { Err(BadName::Turning) } else { Ok(checked) }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

name! {
    /// The global id of a transaction: 1–128 bytes of UTF-8 without control characters, not `.` or `..`.
    Gid, 128
}
name! {
    /// The id of a branch within its transaction: 1–64 bytes, otherwise as [`Gid`].
    BranchId, 64
}
name! {
    /// Whom a branch's calls go to, as bounds and lists count them: `scheme://host:port`.
    Participant, 512
}

impl BranchId {
    pub(crate) fn text(&mut self) -> &mut Arc<str> {
        &mut self.0
    }
}

/// A branch's place in its transaction: a handle inside one process, never shown to anyone.
pub type BranchIndex = u32;

/// Milliseconds since the Unix epoch, by the clock of whoever runs the rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// So many milliseconds later.
    #[must_use]
    pub fn after(self, ms: u64) -> Timestamp {
        Timestamp(self.0.saturating_add(ms))
    }
}
