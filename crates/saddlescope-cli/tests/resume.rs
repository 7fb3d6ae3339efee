//! A run that is killed or interrupted and started again comes to the same bytes; another run in its folder is refused.
#![cfg(unix)]

mod common;

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use common::{assert_same, contents, refused, start, succeed, wait_for};

/// A small analysis with every stage in it.
const ANALYZE: [&str; 21] = [
    "analyze",
    "--model",
    "digits-mlp",
    "--samples",
    "0..192",
    "--slice-samples",
    "64",
    "--grid",
    "9",
    "--probes",
    "8",
    "--largest",
    "2",
    "--smallest",
    "2",
    "--density-steps",
    "10",
    "--tol",
    "1e-2",
    "--threads",
    "2",
];

fn command(dir: &Path) -> Vec<&str> {
    let mut all = ANALYZE.to_vec();
    all.extend(["--out", dir.to_str().unwrap()]);
    all
}

/// Files whose first appearance means that a stage is in flight, in the order of the stages.
const MOMENTS: [&str; 8] = [
    "work/lanczos.log",
    "work/probes.json",
    "work/density.products",
    "work/split-GaussNewton.products",
    "work/split-Residual.products",
    "work/cut-lambda-max.json",
    "work/surface-hessian-train.rows",
    "work/surface-random-test.rows",
];

/// Starts the analysis, sends `signal` when a moment's file has something in it, and returns whether it was still running.
fn stop_at(dir: &Path, moment: &str, signal: &str) -> Option<(std::process::ExitStatus, String)> {
    let file = dir.join(moment);
    let mut child = start(&command(dir));
    let running = wait_for(&mut child, || std::fs::metadata(&file).is_ok_and(|m| m.len() > 0));
    if !running {
        assert!(child.wait().unwrap().success(), "stopped by itself before {moment}");
        return None;
    }
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    let status = child.wait().unwrap();
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    // A process that had just finished cannot be signalled.
    (sent.success() && !status.success()).then_some((status, text))
}

#[test]
fn killed_at_every_stage_and_started_again_it_comes_to_the_same_bytes() {
    let temp = tempfile::tempdir().unwrap();
    let (undisturbed, killed) = (temp.path().join("undisturbed"), temp.path().join("killed"));
    succeed(&command(&undisturbed));
    let mut kills = 0;
    for moment in MOMENTS {
        if let Some((status, _)) = stop_at(&killed, moment, "-KILL") {
            assert_eq!(status.signal(), Some(9));
            kills += 1;
        }
    }
    assert!(kills >= 5, "only {kills} of {} kills hit a running analysis", MOMENTS.len());
    succeed(&command(&killed));
    assert_same(&undisturbed, &killed);
    // Threads change nothing either, except for the memory that they take.
    let other = temp.path().join("threads");
    let mut one = command(&other);
    let place = one.iter().position(|a| *a == "--threads").unwrap() + 1;
    one[place] = "1";
    succeed(&one);
    let without_bytes = |dir: &Path| {
        let mut found = contents(dir);
        let name = Path::new("results.json");
        let text = String::from_utf8(found.remove(name).unwrap()).unwrap();
        let kept: Vec<&str> = text.lines().filter(|l| !l.trim_start().starts_with("\"bytes\":")).collect();
        found.insert(name.into(), kept.join("\n").into_bytes());
        found
    };
    assert!(without_bytes(&undisturbed) == without_bytes(&other), "1 and 2 threads differ");
}

#[test]
fn interrupted_it_says_so_with_130_and_goes_on_to_the_same_bytes() {
    let temp = tempfile::tempdir().unwrap();
    let (undisturbed, stopped) = (temp.path().join("undisturbed"), temp.path().join("stopped"));
    succeed(&command(&undisturbed));
    let mut stops = 0;
    for moment in MOMENTS {
        if let Some((status, text)) = stop_at(&stopped, moment, "-INT") {
            assert_eq!(status.code(), Some(130), "{text}");
            assert!(text.contains("interrupted: the same command continues where it stopped"), "{text}");
            stops += 1;
        }
    }
    assert!(stops >= 4, "only {stops} of {} interrupts hit a running analysis", MOMENTS.len());
    succeed(&command(&stopped));
    assert_same(&undisturbed, &stopped);
}

#[test]
fn another_question_in_the_same_folder_is_refused_and_nothing_is_changed() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("run");
    let at = out.to_str().unwrap();
    let base =
        ["eigs", "--model", "digits-mlp", "--largest", "1", "--smallest", "1", "--tol", "1e-2", "--out", at];
    let with = |more: &[&'static str]| -> Vec<String> {
        base.iter().chain(more).map(|s| (*s).to_string()).collect()
    };
    let run = |more: &[&'static str]| {
        let all = with(more);
        refused(&all.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let first = with(&["--samples", "0..96"]);
    succeed(&first.iter().map(String::as_str).collect::<Vec<_>>());
    let before = std::fs::read(out.join("results.json")).unwrap();
    let text = run(&["--samples", "0..96", "--seed", "1"]);
    assert!(text.contains("option.seed was 0, now 1"), "{text}");
    let text = run(&["--samples", "0..97"]);
    assert!(text.contains("samples was 96, now 97") && text.contains("data.sha256"), "{text}");
    let text = run(&["--samples", "0..96", "--dtype", "f64"]);
    assert!(text.contains("dtype was \"f32\", now \"f64\""), "{text}");
    let text = refused(&["trace", "--model", "digits-mlp", "--samples", "0..96", "--out", at]);
    assert!(text.contains("option.verb was \"eigs\", now \"trace\""), "{text}");
    assert_eq!(std::fs::read(out.join("results.json")).unwrap(), before);
    // The question it was made for is answered at once.
    succeed(&first.iter().map(String::as_str).collect::<Vec<_>>());
}
