//! Data larger than memory: the same results as in memory, within `--memory`.
#![cfg(target_os = "linux")]

mod common;

use std::path::Path;

use common::{npy, peak, results, succeed};

/// Samples of 100 numbers: 600 MB.
const SAMPLES: usize = 1_500_000;
const WIDTH: usize = 100;

/// A number between 0 and 1 without a pattern.
fn noise(i: usize) -> f32 {
    let mut z = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((z ^ (z >> 27)) >> 40) as f32 / (1 << 24) as f32
}

fn samples(dir: &Path, name: &str, count: usize) -> String {
    let (x, y) = (dir.join(format!("{name}-x.npy")), dir.join(format!("{name}-y.npy")));
    let sample =
        |s: usize| (0..WIDTH).flat_map(move |i| noise(s * WIDTH + i).to_le_bytes()).collect::<Vec<u8>>();
    npy(&x, "<f4", &format!("({count}, {WIDTH})"), (0..count).map(sample));
    let label = |s: usize| vec![u8::from(noise(s * WIDTH) > 0.5) + 2 * u8::from(noise(s * WIDTH + 1) > 0.5)];
    npy(&y, "|i1", &format!("({count},)"), (0..count).map(label));
    format!("npy:{},{}", x.display(), y.display())
}

#[test]
fn a_file_ten_times_as_large_as_the_memory_for_data_gives_the_bits_of_one_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let text = |name: &str| dir.path().join(name).display().to_string();
    let (few, many) = (samples(dir.path(), "few", 2000), samples(dir.path(), "many", SAMPLES));
    let weights = text("net.safetensors");
    let model = "mlp:100-16-4";
    succeed(&["train", "--model", model, "--data", &few, "--epochs", "2", "--out", &weights]);
    let run = |out: &str, memory: &str| {
        let peak = peak(&[
            "eigs",
            "--model",
            model,
            "--weights",
            &weights,
            "--data",
            &many,
            "--largest",
            "1",
            "--smallest",
            "0",
            "--tol",
            "0.5",
            "--max-products",
            "4",
            "--threads",
            "2",
            "--memory",
            memory,
            "--out",
            out,
        ]);
        let mut found = results(Path::new(out));
        // Seconds, and what the limit is.
        found.as_object_mut().unwrap().remove("cost");
        (peak, found)
    };
    // A quarter is for data: 64 MiB of 600 MB, and all of them.
    let (low, stored) = run(&text("stored"), "256");
    let (high, held) = run(&text("held"), "3000");
    assert!(low <= 256, "{low} MiB where 256 were allowed");
    assert!(high > 600, "{high} MiB: the data were not in memory");
    assert_eq!(stored, held);
}
