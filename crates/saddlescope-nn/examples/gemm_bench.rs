//! GFLOP/s of matrix products on one thread: ours beside the `gemm` crate.
//!
//! ```text
//! cargo run --release -p saddlescope-nn --example gemm_bench
//! ```
//!
//! Shapes are (rows, inner, columns); the letters say which factors are read transposed. Best of many short timings.
#![allow(clippy::print_stdout, unsafe_code)]

use std::time::Instant;

use saddlescope_nn::bench::{Scratch, matmul};

/// Best rate of a product of 2·m·n·k operations.
fn rate(flops: f64, mut f: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    let begin = Instant::now();
    while begin.elapsed().as_secs_f64() < 0.15 {
        let start = Instant::now();
        f();
        best = best.min(start.elapsed().as_secs_f64());
    }
    flops / best / 1e9
}

fn main() {
    let mut scratch = Scratch::new();
    for [m, k, n] in [
        [16, 256, 1024],
        [64, 64, 64],
        [65, 64, 65],
        [128, 256, 256],
        [256, 256, 768],
        [256, 256, 1024],
        [256, 1024, 256],
        [256, 256, 1000],
        [512, 192, 768],
        [256, 768, 3072],
        [1024, 256, 1024],
    ] {
        for [at, bt] in [[false, false], [false, true], [true, false]] {
            let a: Vec<f32> = (0..m * k).map(|i| (i % 17) as f32 - 8.0).collect();
            let b: Vec<f32> = (0..k * n).map(|i| (i % 13) as f32 - 6.0).collect();
            let (sa, sb) = (if at { [1, m] } else { [k, 1] }, if bt { [1, k] } else { [n, 1] });
            let mut c = vec![0.0_f32; m * n];
            let flops = 2.0 * (m * n * k) as f64;
            let ours = rate(flops, || matmul(m, n, k, &a, sa, &b, sb, &mut c, n, 1.0, true, &mut scratch));
            let mut d = vec![0.0_f32; m * n];
            let [[ar, ac], [br, bc]] = [sa, sb].map(|s| s.map(|s| s as isize));
            let theirs = rate(flops, || {
                // SAFETY: the matrices have the shapes and strides given.
                unsafe {
                    gemm::gemm(
                        m,
                        n,
                        k,
                        d.as_mut_ptr(),
                        1,
                        n as isize,
                        true,
                        a.as_ptr(),
                        ac,
                        ar,
                        b.as_ptr(),
                        bc,
                        br,
                        1.0,
                        1.0,
                        false,
                        false,
                        false,
                        gemm::Parallelism::None,
                    );
                }
            });
            let letters = format!("{}{}", if at { "t" } else { "n" }, if bt { "t" } else { "n" });
            println!("{m:>5} {k:>5} {n:>5} {letters}: ours {ours:6.1}, gemm {theirs:6.1} GFLOP/s");
        }
    }
}
