//! What may be a name, and where an operation is called.
use crate::driven::{called, spec};
use unanim_engine::{BadName, BranchId, Gid, Op, Target};

#[test]
fn a_name_is_short_visible_and_no_dots() {
    assert_eq!(Gid::new(""), Err(BadName::Empty));
    assert_eq!(Gid::new("."), Err(BadName::Dots));
    assert_eq!(Gid::new(".."), Err(BadName::Dots));
    for odd in ["a\nb", "\u{0}", "a\u{7f}", "\u{85}"] {
        assert_eq!(Gid::new(odd), Err(BadName::Control), "{odd:?}");
        assert_eq!(Gid::given(odd), Err(BadName::Control), "{odd:?}");
    }
    for good in ["...", "a/b", "הזמנה", "\u{200d}", "it's \"quoted\"", "ünï-çødé ✓", " ", "?#%2F"] {
        assert_eq!(Gid::new(good).map(|gid| gid.to_string()), Ok(good.to_owned()));
        assert_eq!(Gid::given(good), Gid::new(good));
    }
}

#[test]
fn what_turns_text_is_no_new_name_and_an_old_one_stays_one() {
    for turning in ["a\u{202e}b", "\u{2066}", "\u{200f}", "\u{61c}"] {
        assert_eq!(Gid::given(turning), Err(BadName::Turning), "{turning:?}");
        assert_eq!(BranchId::given(turning), Err(BadName::Turning), "{turning:?}");
        assert_eq!(Gid::new(turning).map(|gid| gid.to_string()), Ok(turning.to_owned()));
        assert!(BranchId::new(turning).is_ok());
    }
}

#[test]
fn its_length_counts_in_bytes() {
    assert!(Gid::new(&"x".repeat(128)).is_ok());
    assert_eq!(Gid::new(&"x".repeat(129)), Err(BadName::TooLong(128)));
    assert!(Gid::new(&"ä".repeat(64)).is_ok());
    assert_eq!(Gid::new(&"ä".repeat(65)), Err(BadName::TooLong(128)));
    assert!(BranchId::new(&"x".repeat(64)).is_ok());
    assert_eq!(BranchId::new(&"x".repeat(65)), Err(BadName::TooLong(64)));
}

#[test]
fn one_url_serves_every_operation_and_one_phase_falls_back_to_commit() {
    let one = Target::One("u".into());
    assert_eq!([Op::Prepare, Op::Commit, Op::Rollback, Op::CommitOnePhase].map(|op| one.url(op)), [Some("u"); 4]);
    let each = Target::Each(Box::new([(Op::Prepare, "p".into()), (Op::Commit, "c".into())]));
    let urls = [Op::Prepare, Op::Commit, Op::Rollback, Op::CommitOnePhase].map(|op| each.url(op));
    assert_eq!(urls, [Some("p"), Some("c"), None, Some("c")]);
    let own = Target::Each(Box::new([(Op::Commit, "c".into()), (Op::CommitOnePhase, "o".into())]));
    assert_eq!(own.url(Op::CommitOnePhase), Some("o"));
}

#[test]
fn what_a_client_gave_counts_by_its_size() {
    let bare = spec("a").bytes();
    let mut heavy = spec("a");
    heavy.payload = Some(vec![0; 1_000].into());
    assert_eq!(heavy.bytes(), bare + 1_000);
    let headers = Box::new([("x".into(), "y".repeat(500).into())]);
    assert!(spec("a").with_headers(headers).bytes() > bare + 500);
    let target = Target::Each(Box::new([(Op::Commit, "u".repeat(700).into())]));
    assert!(called(spec("a"), |callee| callee.target = target).bytes() > bare + 600);
}
