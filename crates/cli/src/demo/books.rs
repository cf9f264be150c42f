//! The audit: do the books of all services tell the same story?

use std::collections::BTreeMap;

use super::shop::Role;
use crate::participant::Books;

/// The outcome of every order that was handed in, as its client was told.
pub(super) type Outcomes = BTreeMap<String, String>;

/// All that is wrong, in words; nothing when the books add up.
pub(super) fn audit(outcomes: &Outcomes, books: &[Books; 3]) -> Vec<String> {
    let mut wrong = Vec::new();
    let committed = outcomes.values().filter(|outcome| *outcome == "committed").count() as i64;
    for (role, books) in Role::ALL.into_iter().zip(books) {
        let name = role.name();
        let expected = role.first() + committed * role.change();
        match books.accounts.get(role.account()) {
            Some(balance) if *balance == expected => {}
            Some(balance) => {
                wrong.push(format!("{name} has {balance} {}, and should have {expected}", role.account()));
            }
            None => wrong.push(format!("{name} has no account {}", role.account())),
        }
        if books.held != 0 {
            wrong.push(format!("{name} still holds {}", books.held));
        }
        for (gid, outcome) in outcomes {
            let state = books.transactions.get(gid).map_or("never heard of it", String::as_str);
            let fits = match outcome.as_str() {
                "committed" => state == "committed",
                "aborted" => matches!(state, "rolled_back" | "never heard of it"),
                _ => false,
            };
            if !fits {
                wrong.push(format!("{gid} is {outcome}, and {name} says: {state}"));
            }
        }
        for gid in books.transactions.keys().filter(|gid| !outcomes.contains_key(*gid)) {
            wrong.push(format!("{name} knows of {gid}, which nobody ordered"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn books(role: Role, balance: i64, held: i64, states: [&str; 2]) -> Books {
        let transactions = [("a", states[0]), ("b", states[1])].map(|(gid, state)| (gid.to_owned(), state.to_owned()));
        let accounts = [(role.account().to_owned(), balance)].into();
        Books { name: role.name().to_owned(), accounts, held, transactions: transactions.into() }
    }

    fn outcomes() -> Outcomes {
        [("a", "committed"), ("b", "aborted")].map(|(gid, outcome)| (gid.to_owned(), outcome.to_owned())).into()
    }

    fn good() -> [Books; 3] {
        Role::ALL.map(|role| books(role, role.first() + role.change(), 0, ["committed", "rolled_back"]))
    }

    #[test]
    fn books_that_add_up_are_fine() {
        assert_eq!(audit(&outcomes(), &good()), Vec::<String>::new());
    }

    #[test]
    fn every_kind_of_wrong_is_seen() {
        let mut seen = good();
        seen[1] = books(Role::Stock, Role::Stock.first(), 0, ["committed", "rolled_back"]);
        assert_eq!(audit(&outcomes(), &seen), ["stock has 166 widgets, and should have 164"]);
        let mut seen = good();
        seen[2].held = 50;
        assert_eq!(audit(&outcomes(), &seen), ["payment still holds 50"]);
        let mut seen = good();
        seen[0].transactions.insert("a".into(), "rolled_back".into());
        seen[0].transactions.insert("b".into(), "committed".into());
        seen[0].transactions.insert("c".into(), "prepared".into());
        let expected = [
            "a is committed, and order says: rolled_back",
            "b is aborted, and order says: committed",
            "order knows of c, which nobody ordered",
        ];
        assert_eq!(audit(&outcomes(), &seen), expected);
    }
}
