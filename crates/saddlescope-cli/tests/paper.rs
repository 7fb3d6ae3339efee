//! `saddlescope paper` from the outside: files, exit codes, interruption.

use std::path::Path;
use std::process::{Command, Output};

fn saddlescope(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_saddlescope")).args(arguments).output().unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_figure_comes_as_data_and_pictures_with_the_table_and_the_same_bytes_on_any_number_of_threads() {
    let temp = tempfile::tempdir().unwrap();
    let run = |threads: &str| {
        let dir = temp.path().join(threads);
        let out = dir.to_str().unwrap();
        let output = saddlescope(&["paper", "--figure", "3", "--out", out, "--threads", threads]);
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("printed 0.25; exact 0.2927"), "{text}");
        assert!(!text.contains("Figure 1:"));
        let files = names(&dir);
        for name in [
            "figure-3.json",
            "figure-3.npz",
            "figure-3.png",
            "figure-3.svg",
            "numbers.json",
            "numbers.md",
            "report.html",
        ] {
            assert!(files.iter().any(|file| file == name), "{name} in {files:?}");
        }
        assert!(files.iter().all(|file| !file.starts_with(".partial")), "{files:?}");
        files
            .into_iter()
            .map(|file| (file.clone(), std::fs::read(dir.join(file)).unwrap()))
            .collect::<Vec<_>>()
    };
    assert!(run("1") == run("3"), "the files differ between 1 and 3 threads");
}

#[test]
fn bad_input_is_refused_with_exit_code_2_and_leaves_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("out");
    let out = out.to_str().unwrap();
    let refused = |arguments: &[&str], part: &str| {
        let output = saddlescope(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains(part), "{message}");
    };
    refused(&["paper", "--figure", "9", "--out", out], "Figures 1 to 7");
    refused(&["paper", "--figure", "5", "--out", out], "--weights and --data");
    refused(&["paper", "--figure", "one", "--out", out], "--figure");
    refused(&["paper", "--seed=-1", "--out", out], "--seed");
    refused(&["paper", "--threads", "0", "--out", out], "--threads 0");
    refused(&["paper", "--no-such-flag"], "--no-such-flag");
    assert!(names(temp.path()).is_empty());

    let file = temp.path().join("file");
    std::fs::write(&file, "kept").unwrap();
    let inside = file.join("deeper");
    refused(&["paper", "--out", file.to_str().unwrap()], "--out");
    refused(&["paper", "--out", inside.to_str().unwrap()], "--out");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "kept");
}

#[cfg(unix)]
#[test]
fn an_interrupt_keeps_what_was_finished_and_exits_with_130() {
    use std::time::{Duration, Instant};
    let temp = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_saddlescope"))
        .args(["paper", "--threads", "1", "--out", temp.path().to_str().unwrap()])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let first = temp.path().join("figure-1.png");
    let start = Instant::now();
    while !first.exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "Figure 1 was not made");
        std::thread::sleep(Duration::from_millis(5));
    }
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let files = names(temp.path());
    assert!(files.contains(&"figure-1.png".to_owned()) && files.contains(&"figure-1.json".to_owned()));
    assert!(files.iter().all(|file| !file.starts_with(".partial")), "{files:?}");
    // The table and the report are of what was finished.
    let table = std::fs::read_to_string(temp.path().join("numbers.md")).unwrap();
    assert!(table.contains("Fig. 1"), "{table}");
    assert!(std::fs::read_to_string(temp.path().join("report.html")).unwrap().contains("id=\"figure-1\""));
}
