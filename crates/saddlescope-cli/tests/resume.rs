//! A run that is killed or interrupted and started again comes to the same bytes; verbs share a folder, and other subjects are refused.
#![cfg(unix)]

mod common;

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use common::{assert_same, assert_same_but_memory, kept, refused, results, start, succeed, wait_for};

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
const MOMENTS: [(&str, &str); 8] = [
    ("krylov-space-", ".lanczos"),
    ("probes-", ".msgpack"),
    ("density-", ".products-0"),
    ("split-", "GaussNewton"),
    ("split-", "Residual"),
    ("cut-lambda-max-", ".msgpack"),
    ("surface-hessian-train-", ".rows"),
    ("surface-random-test-", ".rows"),
];

/// Starts the analysis, sends `signal` when a moment's file has something in it, and returns whether it was still running.
fn stop_at(dir: &Path, moment: (&str, &str), signal: &str) -> Option<(std::process::ExitStatus, String)> {
    let mut child = start(&command(dir));
    let running = wait_for(&mut child, || {
        kept(dir, moment.0, moment.1).iter().any(|f| std::fs::metadata(f).is_ok_and(|m| m.len() > 0))
    });
    if !running {
        assert!(child.wait().unwrap().success(), "stopped by itself before {moment:?}");
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
    assert_same_but_memory(&undisturbed, &other);
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
fn another_subject_in_the_same_folder_is_refused_and_nothing_is_changed() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("run");
    let at = out.to_str().unwrap();
    let base = ["eigs", "--model", "digits-mlp", "--largest", "1", "--smallest", "1", "--tol", "1e-2"];
    let with = |more: &[&'static str]| -> Vec<&str> {
        base.iter().chain(more).copied().chain(["--out", at]).collect()
    };
    let first = with(&["--samples", "0..96"]);
    succeed(&first);
    let before = std::fs::read(out.join("results.json")).unwrap();
    let text = refused(&with(&["--samples", "0..97"]));
    assert!(text.contains("samples was 96, now 97") && text.contains("data.sha256"), "{text}");
    let text = refused(&with(&["--samples", "0..96", "--dtype", "f64"]));
    assert!(text.contains("dtype was \"f32\", now \"f64\""), "{text}");
    assert!(text.contains("start over"), "{text}");
    assert_eq!(std::fs::read(out.join("results.json")).unwrap(), before);
    // The question it was made for is answered at once, and to the same bytes.
    succeed(&first);
    assert_eq!(std::fs::read(out.join("results.json")).unwrap(), before);
    // Starting over takes another subject.
    succeed(&with(&["--samples", "0..97", "--force"]));
    assert_eq!(results(&out)["samples"], 97);
    succeed(&with(&["--samples", "0..97"]));
}

#[test]
fn verbs_share_a_folder_and_only_what_is_new_is_computed() {
    let temp = tempfile::tempdir().unwrap();
    let (shared, once) = (temp.path().join("shared"), temp.path().join("once"));
    let small = ["--model", "digits-mlp", "--samples", "0..96", "--slice-samples", "32"];
    let run = |verb: &str, more: &[&str], out: &Path| {
        let mut all = vec![verb];
        all.extend(small);
        all.extend(more);
        all.extend(["--out", out.to_str().unwrap()]);
        succeed(&all)
    };
    run("eigs", &["--largest", "2", "--smallest", "2", "--tol", "1e-2"], &shared);
    run("trace", &["--probes", "4", "--fit-points", "5"], &shared);
    let found = results(&shared);
    assert_eq!(found["eigenpairs"].as_array().unwrap().len(), 4, "the report of a folder shows both verbs");
    assert!(found["trace"].is_object());
    let kept_before: Vec<_> =
        kept(&shared, "", ".msgpack").into_iter().map(|p| (std::fs::read(&p).unwrap(), p)).collect();
    let analyze = [
        "--largest",
        "2",
        "--smallest",
        "2",
        "--tol",
        "1e-2",
        "--probes",
        "8",
        "--density-steps",
        "8",
        "--grid",
        "5",
    ];
    run("analyze", &analyze, &shared);
    run("analyze", &analyze, &once);
    let (a, b) = (results(&shared), results(&once));
    for part in ["eigenpairs", "density", "split", "escape", "surfaces", "cuts", "random_planes"] {
        assert_eq!(a[part], b[part], "{part}");
    }
    assert_eq!(a["trace"]["hutchinson"], b["trace"]["hutchinson"]);
    for (bytes, path) in kept_before {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // The probes were gone on with, and the fits lie on them; everything else was read, not written.
        if !name.starts_with("probes-") && !name.starts_with("fits-") {
            assert!(std::fs::read(&path).unwrap() == bytes, "{name} was computed again");
        }
    }
    // Another grid: its surfaces are new, every other stage is as it was.
    let before: Vec<_> =
        kept(&shared, "", ".msgpack").into_iter().map(|p| (std::fs::read(&p).unwrap(), p)).collect();
    let mut finer = analyze;
    finer[11] = "7";
    run("analyze", &finer, &shared);
    assert_eq!(results(&shared)["surfaces"][0]["shape"], serde_json::json!([7, 7]));
    let new: Vec<String> = kept(&shared, "", ".msgpack")
        .iter()
        .filter(|p| !before.iter().any(|(_, old)| old == *p))
        .map(|p| p.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert!(new.len() == 5 && new.iter().all(|n| n.starts_with("surface-")), "{new:?}");
    for (bytes, path) in before {
        assert!(std::fs::read(&path).unwrap() == bytes, "{} was written again", path.display());
    }
    // The page is written again from what is saved, also after stages were recomputed.
    let page = std::fs::read(shared.join("report.html")).unwrap();
    succeed(&["report", shared.to_str().unwrap()]);
    assert!(std::fs::read(shared.join("report.html")).unwrap() == page);
    let status = succeed(&["status", shared.to_str().unwrap()]);
    for stage in ["eigenpairs", "probes", "density", "surface-hessian-train", "complete"] {
        assert!(status.contains(stage), "no {stage} in\n{status}");
    }
}

#[test]
fn a_second_command_in_a_folder_waits_for_nobody_and_changes_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("run");
    let mut child = start(&command(&out));
    assert!(wait_for(&mut child, || !kept(&out, "probes-", ".msgpack").is_empty()));
    let text = refused(&command(&out));
    assert!(text.contains("in use by another command"), "{text}");
    assert!(child.wait().unwrap().success());
    let undisturbed = temp.path().join("undisturbed");
    succeed(&command(&undisturbed));
    assert_same(&undisturbed, &out);
}

#[test]
fn a_full_disk_loses_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let (undisturbed, full) = (temp.path().join("undisturbed"), temp.path().join("full"));
    succeed(&command(&undisturbed));
    // No file may grow beyond so many KiB: writing fails as on a full disk, at a place that depends on the limit.
    let mut failures = 0;
    for limit in [1, 8, 40, 120, 400] {
        let mut shell = Command::new("bash");
        let script = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" \"$@\"");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_saddlescope")]).args(command(&full));
        let output = shell.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            assert!(
                text.contains("File too large") && text.contains(full.to_str().unwrap()),
                "{limit} KiB: {text}"
            );
            failures += 1;
        }
    }
    assert!(failures >= 3, "only {failures} limits stopped the analysis");
    succeed(&command(&full));
    assert_same(&undisturbed, &full);
}

/// What a solve to the errors over the data was allowed must not end one to a tolerance.
#[test]
fn a_tolerance_after_a_default_solve_gives_what_it_gives_at_once() {
    let temp = tempfile::tempdir().unwrap();
    let (shared, once) = (temp.path().join("shared"), temp.path().join("once"));
    let eigs = |out: &Path, tolerance: &str| {
        let out = out.to_str().unwrap();
        succeed(&["eigs", "--model", "digits-mlp", "--seed", "1", "--tol", tolerance, "--out", out]);
    };
    eigs(&shared, "auto");
    let by_data = results(&shared)["eigen"].clone();
    eigs(&shared, "1e-3");
    eigs(&once, "1e-3");
    let (a, b) = (results(&shared), results(&once));
    assert!(a["eigen"]["pairs"].is_array() && a["eigen"] == b["eigen"], "{}\n{}", a["eigen"], b["eigen"]);
    assert!(by_data["products"].as_u64() < a["eigen"]["products"].as_u64(), "{by_data}\n{}", a["eigen"]);
}
