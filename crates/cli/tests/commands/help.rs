//! Help, completions, and arguments that nobody understands.

use crate::support::unanim;

#[test]
fn completions_for_three_shells() {
    for shell in ["bash", "zsh", "fish"] {
        let output = unanim().args(["completions", shell]).output().unwrap();
        assert!(output.status.success());
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(script.contains("demo-participant") && script.contains("inquire-after"), "{shell}");
    }
}

#[test]
fn a_typo_is_an_error_with_a_suggestion_and_no_abort() {
    let output = unanim().args(["tx", "submti"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("submit"));
}
