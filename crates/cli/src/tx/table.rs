//! Tables for people, and the texts in them.

use std::time::Duration;

use comfy_table::{ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle};
use jiff::Timestamp;

use crate::duration::brief;

/// Narrower, a table is no table.
const WIDTH_MIN: u16 = 60;
/// Between two columns.
const GAP: u16 = 2;

const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));

/// What a cell holds when there is nothing to tell.
pub(super) const NOTHING: &str = "–";

/// As wide as the terminal; in a pipe a line is a row. A column that tells nothing about any row is left out.
pub(super) fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let width = rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| size.ws_col);
    arranged(header, rows.into_iter().collect(), width)
}

fn arranged<const N: usize>(header: [&str; N], rows: Vec<[String; N]>, width: Option<u16>) -> String {
    let tells = |at: &usize| rows.iter().any(|row| !matches!(row[*at].as_str(), "" | NOTHING));
    let shown: Vec<usize> = (0..N).filter(tells).collect();
    let mut table = Table::new();
    table.load_style(STYLE);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.max(WIDTH_MIN));
    }
    table.set_header(shown.iter().map(|at| header[*at]));
    table.add_rows(rows.iter().map(|row| shown.iter().map(|at| row[*at].as_str())));
    let name_width = rows.iter().map(|row| row[0].chars().count()).max().unwrap_or(0);
    for (at, column) in table.column_iter_mut().enumerate() {
        // A name that is broken cannot be copied.
        if at == 0 && width.is_some_and(|width| name_width <= usize::from(width / 2)) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        column.set_padding((0, if at + 1 < shown.len() { GAP } else { 0 }));
    }
    table.trim_fmt()
}

/// `in 2s`, `3m ago`; what is no instant is shown as it is.
pub(super) fn relative(at: &str, now: Timestamp) -> String {
    let Ok(instant) = at.parse::<Timestamp>() else { return printable(at) };
    let millis = instant.as_millisecond() - now.as_millisecond();
    let span = brief(Duration::from_millis(millis.unsigned_abs()));
    match millis {
        0 => "now".to_owned(),
        1.. => format!("in {span}"),
        _ => format!("{span} ago"),
    }
}

/// Participants as people write them: most speak plain HTTP.
pub(super) fn participant(name: &str) -> String {
    printable(name.strip_prefix("http://").unwrap_or(name))
}

/// Names come from clients: what a terminal would obey is shown escaped.
pub(super) fn printable(text: &str) -> String {
    text.chars().flat_map(|char| if char.is_control() { char.escape_default().collect() } else { vec![char] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eighty_columns_hold_a_usual_branch() {
        let header = ["branch", "participant", "state", "op", "attempts", "last reply", "next"];
        let row = ["payment", "127.0.0.1:5001", "yes", "rollback", "12", "timeout, 31s ago", "in 29s"];
        let shown = arranged(header, vec![row.map(str::to_owned)], Some(80));
        assert_eq!(shown.lines().count(), 3, "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= 80 && !line.ends_with(' ')), "{shown}");
        assert_eq!(shown, arranged(header, vec![row.map(str::to_owned)], None));
    }

    #[test]
    fn what_is_too_wide_is_broken_in_a_terminal_and_never_in_a_pipe() {
        let long = "https://payments.eu-central.shop.internal:8443 ".repeat(3);
        let row = || vec![["pay".to_owned(), long.trim().to_owned()]];
        let shown = arranged(["branch", "participant"], row(), Some(80));
        assert!(shown.lines().count() > 3 && shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
        assert_eq!(arranged(["branch", "participant"], row(), None).lines().count(), 3);
    }

    #[test]
    fn a_gid_is_not_broken() {
        let gid = "0192f0c1-2a3b-7c4d-8e5f-0123456789ab";
        let row = [gid, "committing", "31m ago", "31m ago", "STUCK, HEURISTIC: mixed, the deadline passed"];
        let header = ["gid", "phase", "created", "ended", "remarks"];
        let shown = arranged(header, vec![row.map(str::to_owned)], Some(80));
        assert!(shown.contains(gid) && shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    }

    #[test]
    fn a_column_that_tells_nothing_is_left_out() {
        let rows = [["a", "", "–", "x"], ["b", "", "", ""]].map(|row| row.map(str::to_owned)).to_vec();
        assert_eq!(arranged(["one", "two", "three", "four"], rows, None), "one  four\n─────────\na    x\nb");
    }

    #[test]
    fn instants_are_seen_from_now() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        for (at, shown) in [
            ("2026-11-21T12:00:00Z", "now"),
            ("2026-11-21T11:59:56.973Z", "3s ago"),
            ("2026-11-21T12:00:02Z", "in 2s"),
            ("some\u{7}day", "some\\u{7}day"),
        ] {
            assert_eq!(relative(at, now), shown);
        }
    }
}
