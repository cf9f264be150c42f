//! What the audience sees: colour and ticks in a terminal, plain words in a pipe.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "1;31";
const GREEN: &str = "32";
const CYAN: &str = "36";

/// Writes to standard output. A reader who has gone away does not stop the demo: it ends by itself, and cleans up.
pub(super) struct Narrator {
    fancy: bool,
}

impl Narrator {
    pub(super) fn new() -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { fancy: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() && !dumb }
    }

    /// The first lines.
    pub(super) fn title(&self, title: &str, lines: &[&str]) {
        self.line(&self.paint(BOLD, title));
        for line in lines {
            self.line(line);
        }
    }

    /// A scene begins.
    pub(super) fn scene(&self, number: usize, title: &str) {
        let number = format!("{number}");
        self.line(&format!("\n{}  {}", self.paint(CYAN, &number), self.paint(BOLD, title)));
    }

    /// What is going on.
    pub(super) fn say(&self, text: &str) {
        self.line(&format!("   {} {text}", if self.fancy { self.paint(DIM, "·") } else { "-".into() }));
    }

    /// Something that had to be true, and is.
    pub(super) fn tick(&self, text: &str) {
        self.line(&format!("   {} {text}", if self.fancy { self.paint(GREEN, "✓") } else { "ok".into() }));
    }

    /// Something that had to be true, and is not.
    pub(super) fn wrong(&self, text: &str) {
        self.line(&format!("\n   {} {text}", if self.fancy { self.paint(RED, "✗") } else { "WRONG".into() }));
    }

    /// A row of a table, under the text of the scene.
    pub(super) fn row(&self, cells: [&dyn Display; 4]) {
        let [name, first, now, why] = cells;
        self.line(&format!("     {name:<10} {first:>9} {now:>9}   {why}"));
    }

    /// The end of a process's log, after something went wrong.
    pub(super) fn log(&self, name: &str, text: &str) {
        self.line(&self.paint(BOLD, &format!("\nthe last lines of {name}:")));
        self.line(text.trim_end());
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.fancy { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn line(&self, text: &str) {
        let _ = writeln!(std::io::stdout(), "{text}");
    }
}
