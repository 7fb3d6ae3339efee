//! The command on several ranks, with a real `mpirun`: `cargo test -p saddlescope-cli --features mpi --test ranks`.
#![cfg(feature = "mpi")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{assert_same, assert_same_but_memory, kept, succeed};

/// An analysis of the embedded digits with every kind of stage, in about a second.
const ANALYSIS: [&str; 13] = [
    "analyze",
    "--model",
    "digits-mlp",
    "--samples",
    "0..200",
    "--probes",
    "4",
    "--grid",
    "5",
    "--density-probes",
    "1",
    "--density-steps",
    "8",
];

fn mpirun(ranks: usize) -> Command {
    let mut command = Command::new(std::env::var_os("MPIRUN").unwrap_or_else(|| "mpirun".into()));
    // Open MPI asks for these; MPICH does not know them.
    command
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .env("OMPI_MCA_rmaps_base_oversubscribe", "1")
        .env("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe")
        .args(["-n", &ranks.to_string()]);
    command
}

/// The command on so many ranks with one thread each.
fn start(ranks: usize, arguments: &[&str]) -> Command {
    let mut command = mpirun(ranks);
    command.arg(env!("CARGO_BIN_EXE_saddlescope")).args(["--threads", "1"]).args(arguments);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Ends within a time in which nothing that is right is still at work.
fn ended(mut child: Child) -> Output {
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() > Duration::from_secs(120) {
            child.kill().unwrap();
            panic!("the ranks hang: {}", text(&child.wait_with_output().unwrap().stderr));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

fn run(ranks: usize, arguments: &[&str]) -> Output {
    let mut command = start(ranks, arguments);
    ended(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

fn with_out<'a>(arguments: &[&'a str], out: &'a Path) -> Vec<&'a str> {
    [arguments, &["--out", out.to_str().unwrap()]].concat()
}

/// Where a run of one process has left its results.
fn alone(dir: &Path) -> PathBuf {
    let out = dir.join("alone");
    succeed(&[&["--threads", "1"], with_out(&ANALYSIS, &out).as_slice()].concat());
    out
}

#[test]
fn any_number_of_ranks_leaves_the_folder_of_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let expected = alone(dir.path());
    for ranks in [1, 2, 3, 4] {
        let out = dir.path().join(ranks.to_string());
        let output = run(ranks, &with_out(&ANALYSIS, &out));
        assert!(output.status.success(), "{ranks} ranks: {}", text(&output.stderr));
        // Only rank 0 prints.
        assert_eq!(text(&output.stdout).matches("Report: ").count(), 1);
        assert_same(&out, &expected);
    }
}

/// The processes that `mpirun` started, by rank.
fn processes(mpirun: &Child, out: &Path) -> BTreeMap<usize, u32> {
    let mut found = BTreeMap::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let path = process.path();
        let Some(pid) = process.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        let name = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
        let environment = std::fs::read(path.join("environ")).unwrap_or_default();
        // The mark that `begun` leaves in the environment: tests run side by side.
        let mark = format!("SADDLESCOPE_TEST={}", out.display());
        let variables: Vec<String> = environment.split(|b| *b == 0).map(text).collect();
        if name.trim() == "saddlescope" && pid != mpirun.id() && variables.contains(&mark) {
            let rank = |name: &str| variables.iter().find_map(|v| v.strip_prefix(name)?.parse().ok());
            if let Some(rank) = rank("OMPI_COMM_WORLD_RANK=").or_else(|| rank("PMI_RANK=")) {
                found.insert(rank, pid);
            }
        }
    }
    found
}

/// Starts an analysis on so many ranks and waits until a few of its stages are kept.
fn begun(ranks: usize, out: &Path) -> Child {
    let mut command = start(ranks, &with_out(&ANALYSIS, out));
    command.env("SADDLESCOPE_TEST", out);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(
        common::wait_for(&mut child, || kept(out, "", "msgpack").len() >= 3),
        "it has ended before it could be stopped"
    );
    child
}

#[test]
fn a_killed_rank_ends_the_job_and_any_number_of_ranks_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let expected = alone(dir.path());
    let out = dir.path().join("out");
    let child = begun(3, &out);
    let victim = processes(&child, &out)[&1];
    assert!(Command::new("kill").args(["-9", &victim.to_string()]).status().unwrap().success());
    let output = ended(child);
    assert!(!output.status.success());
    let said = text(&output.stderr) + &text(&output.stdout);
    assert!(said.contains("signal 9") || said.contains("EXIT CODE: 9"), "{said}");
    let output = run(2, &with_out(&ANALYSIS, &out));
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_same(&out, &expected);
}

#[test]
fn a_termination_signal_ends_clean_and_the_folder_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let expected = alone(dir.path());
    let out = dir.path().join("out");
    let child = begun(2, &out);
    // As Slurm does: to every rank.
    for pid in processes(&child, &out).values() {
        Command::new("kill").args(["-TERM", &pid.to_string()]).status().unwrap();
    }
    let output = ended(child);
    let said = text(&output.stderr);
    assert_eq!(said.matches("interrupted: the same command continues").count(), 1, "{said}");
    let output = run(4, &with_out(&ANALYSIS, &out));
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_same(&out, &expected);
}

/// Rank 0 with some arguments, rank 1 with others; exit code and complaints.
fn unlike(first: &[&str], second: &[&str]) -> (Option<i32>, String) {
    let program = env!("CARGO_BIN_EXE_saddlescope");
    let mut command = mpirun(1);
    command.arg(program).args(first).args([":", "-n", "1", program]).args(second);
    let output = ended(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    (output.status.code(), text(&output.stderr))
}

#[test]
fn ranks_that_would_compute_something_else_are_noticed_before_anything_is_computed() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let arguments = with_out(&ANALYSIS, &out);
    let with = |more: &[&'static str]| [arguments.as_slice(), more].concat();

    let (code, said) = unlike(&arguments, &with(&["--split", "test"]));
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("error: rank 1 on ")
            && said.contains("differs from rank 0")
            && said.contains("data.sha256 is "),
        "{said}"
    );

    let (code, said) = unlike(&arguments, &with(&["--seed", "3"]));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("arguments is ") && said.contains("--seed 3"), "{said}");

    let (code, said) = unlike(&arguments, &with(&["--weights", "nowhere.safetensors"]));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("error: rank 1 on ") && said.contains("nowhere.safetensors"), "{said}");

    let (code, said) = unlike(&with(&["--weights", "nowhere.safetensors"]), &arguments);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("nowhere.safetensors") && said.matches("error: ").count() == 1, "{said}");

    let (code, said) = unlike(&arguments, &["analyze", "--nonsense"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("rank 1 on ") && said.contains("--nonsense"), "{said}");
    assert!(!out.exists(), "something was computed");
}

#[test]
fn ranks_that_find_themselves_alone_do_not_each_do_the_whole_work() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    // As a launcher does whose MPI library is another than the program's.
    let output = Command::new(env!("CARGO_BIN_EXE_saddlescope"))
        .args(with_out(&ANALYSIS, &out))
        .env("OMPI_COMM_WORLD_SIZE", "2")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(
        said.contains("has started 2 processes (OMPI_COMM_WORLD_SIZE is set), but MPI finds 1 here"),
        "{said}"
    );
    assert!(!out.exists(), "something was computed");
}

#[test]
fn what_chooses_its_own_samples_is_the_same_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let [alone, together] = ["alone", "together"].map(|name| dir.path().join(name));
    let chosen =
        ["slice", "--model", "digits-mlp", "--samples", "0..300", "--slice-samples", "auto", "--grid", "5"];
    succeed(&[&["--threads", "1"], with_out(&chosen, &alone).as_slice()].concat());
    let output = run(2, &with_out(&chosen, &together));
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_same(&together, &alone);
    let out = dir.path().join("refused");
    let output = run(2, &with_out(&["eigs", "--model", "digits-mlp", "--samples", "auto"], &out));
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--samples auto works in one process, not in 2"));
    assert!(!out.exists(), "something was computed");
}

#[test]
fn what_only_rank_0_can_notice_ends_all_ranks() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let output = run(3, &with_out(&ANALYSIS, &file.join("below")));
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    let output = run(2, &["info", "digits-mlp"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("`info` runs in one process, not in 2"),
        "{}",
        text(&output.stderr)
    );
}

/// A network of 42,282 parameters, six blocks of rows, and extreme eigenpairs of it, to a tolerance that takes a while.
const EIGENPAIRS: [&str; 11] = [
    "eigs",
    "--model",
    "mlp:1x8x8-256-96-10:tanh",
    "--data",
    "digits",
    "--samples",
    "0..64",
    "--largest",
    "4",
    "--tol",
    "1e-5",
];

/// How many MiB of memory the plan says.
fn planned_memory(output: &Output) -> usize {
    let said = text(&output.stderr);
    let line = said.lines().find(|line| line.contains("MiB of memory")).unwrap_or_else(|| panic!("{said}"));
    line.split_whitespace().rev().nth(3).unwrap().parse().unwrap_or_else(|_| panic!("{line}"))
}

#[test]
fn a_split_krylov_basis_leaves_the_folder_of_one_process_also_after_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let weights = dir.path().join("w.safetensors");
    let weights = weights.to_str().unwrap();
    succeed(&["train", "--model", EIGENPAIRS[2], "--data", "digits", "--epochs", "1", "--out", weights]);
    let arguments = [EIGENPAIRS.as_slice(), &["--weights", weights]].concat();
    let expected = dir.path().join("alone");
    let one = run(1, &with_out(&arguments, &expected));
    assert!(one.status.success(), "{}", text(&one.stderr));
    for ranks in [2, 3, 4] {
        let out = dir.path().join(ranks.to_string());
        let output = run(ranks, &with_out(&arguments, &out));
        assert!(output.status.success(), "{ranks} ranks: {}", text(&output.stderr));
        assert_same_but_memory(&out, &expected);
        // 128 vectors of f32: three, two and two of six blocks of 8,192 rows are left to a rank.
        let rows = if ranks == 2 { 3 * 8192 } else { 2 * 8192 };
        let saved = (128 * 4 * (42_282 - rows)) >> 20;
        let found = planned_memory(&one) - planned_memory(&output);
        assert!(found.abs_diff(saved) <= 1, "{ranks} ranks: {found} MiB less, expected {saved}");
    }
    // Stopped once some vectors are saved, and gone on with by other numbers of ranks.
    for (before, after) in [(3, 2), (2, 1), (1, 4)] {
        let out = dir.path().join(format!("{before}-{after}"));
        let mut command = start(before, &with_out(&arguments, &out));
        command.env("SADDLESCOPE_TEST", &out);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let saved = || kept(&out, "krylov-space", "lanczos").iter().any(|f| long(f, 8 * 4 * 42_282));
        assert!(common::wait_for(&mut child, saved), "it has ended before it could be stopped");
        for pid in processes(&child, &out).values() {
            Command::new("kill").args(["-TERM", &pid.to_string()]).status().unwrap();
        }
        let output = ended(child);
        assert!(!output.status.success(), "it was not stopped: {}", text(&output.stderr));
        let output = run(after, &with_out(&arguments, &out));
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_same_but_memory(&out, &expected);
    }
}

/// Whether a file has more than so many bytes.
fn long(path: &Path, bytes: u64) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.len() > bytes)
}
