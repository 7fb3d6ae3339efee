//! Damaged model files: an import either succeeds or says what is wrong; it never panics, hangs or takes much memory.
//!
//! Every fixture is damaged at random, see `damage`.
//! `SADDLESCOPE_MUTATIONS=N` tries N per fixture.
#![allow(clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use saddlescope_onnx::model::Model;
use saddlescope_onnx::tensor::ExternalFolder;
use saddlescope_onnx::{ImportOptions, OnnxModel};

mod damage;
use damage::{Random, damaged};

/// Longest time an import of a few kilobytes may take on a busy machine.
const LONGEST: Duration = Duration::from_secs(10);

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|f| f.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "onnx"))
        .collect();
    files.sort();
    files
}

fn import(bytes: Vec<u8>, folder: &ExternalFolder, samples: &ImportOptions) -> bool {
    Model::decode(bytes, folder).and_then(|m| OnnxModel::import(&m, "damaged", samples)).is_ok()
}

/// Peak memory of this process in MiB, where the system tells. The kernel reads it from counters that lag behind a little: a
/// later value may be smaller.
fn peak_mib() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM"))?;
    line.split_whitespace().nth(1)?.parse::<usize>().ok().map(|kib| kib / 1024)
}

#[test]
fn damaged_models_are_refused_in_bounded_time_and_memory() {
    let count: u64 = std::env::var("SADDLESCOPE_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    let verbose = std::env::var_os("SADDLESCOPE_MUTATIONS").is_some();
    let (send_job, jobs) = mpsc::channel::<(Vec<u8>, ExternalFolder)>();
    let (send_done, done) = mpsc::channel();
    std::thread::spawn(move || {
        for (bytes, folder) in jobs {
            if send_done.send(import(bytes, &folder, &ImportOptions::default())).is_err() {
                return;
            }
        }
    });
    let (mut imported, mut tried) = (0, 0);
    for file in fixtures() {
        let original = std::fs::read(&file).unwrap();
        let folder = ExternalFolder::of_model(&file);
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        for seed in 0..count {
            let mut rng = Random::seed_from_u64(seed);
            let bytes = damaged(&mut rng, &original);
            let before = peak_mib();
            let keep = || {
                let kept = std::env::temp_dir().join(format!("damaged-{seed}-{name}"));
                std::fs::write(&kept, damaged(&mut Random::seed_from_u64(seed), &original)).unwrap();
                kept.display().to_string()
            };
            let start = Instant::now();
            send_job.send((bytes, folder.clone())).unwrap();
            match done.recv_timeout(LONGEST) {
                Ok(ok) => imported += usize::from(ok),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    panic!("{name}, seed {seed}: not finished; {}", keep())
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    panic!("{name}, seed {seed}: a panic; {}", keep())
                }
            }
            tried += 1;
            let (seconds, grown) =
                (start.elapsed().as_secs_f64(), peak_mib().zip(before).map(|(a, b)| a.saturating_sub(b)));
            if verbose && (seconds > 0.5 || grown.is_some_and(|g| g > 100)) {
                eprintln!("{name}, seed {seed}: {seconds:.1} s, {grown:?} MiB more; {}", keep());
            }
        }
    }
    // The checks would be worth nothing if nearly all files were refused at once or nearly none were damaged.
    assert!(imported > tried / 50 && imported < tried * 9 / 10, "{imported} of {tried} imported");
    if let Some(peak) = peak_mib() {
        assert!(peak < 1024, "{peak} MiB at the peak");
    }
}

/// What the fuzz target `onnx` has found, under a name that says what was wrong.
#[test]
fn files_found_by_fuzzing_are_refused_or_imported() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fuzz/onnx");
    let mut tried = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        // What counts is that it ends: the file may be a valid model.
        import(bytes, &ExternalFolder::default(), &ImportOptions::default());
        tried += 1;
    }
    assert!(tried > 0);
}
