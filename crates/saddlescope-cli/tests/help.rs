//! The help texts as a whole, so that no change of them goes unseen.
//!
//! `INSTA_UPDATE=always cargo test -p saddlescope-cli --test help` writes the snapshots anew.

mod common;

use common::succeed;

#[test]
fn help_of_every_verb() {
    let overview = succeed(&["--help"]);
    insta::assert_snapshot!("saddlescope", overview);
    let verbs: Vec<&str> = overview
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .collect();
    assert!(verbs.len() >= 12, "{verbs:?}");
    for verb in verbs {
        insta::assert_snapshot!(format!("saddlescope-{verb}"), succeed(&[verb, "--help"]));
    }
}
