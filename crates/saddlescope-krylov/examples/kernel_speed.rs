//! Speed of the random numbers and of the orthogonalisation, on one thread and on all: prints a few lines.
//!
//! `cargo run --release -p saddlescope-krylov --example kernel_speed`

#![allow(clippy::print_stdout)]

use std::time::Instant;

use saddlescope_krylov::{BasisLimit, ExtremeEigen, FnOperator, Precision, Stream, extreme_eigenpairs};

fn main() {
    let mut x = vec![0.0; 1 << 14];
    let mut single = vec![0.0f32; 1 << 14];
    let mut stream = Stream::new(1, "speed", 0);
    let count = x.len();
    report("normal numbers, f64", count, &mut || stream.fill_normal(&mut x));
    report("normal numbers, f32", count, &mut || stream.fill_normal_f32(&mut single));
    report("signs", count, &mut || stream.fill_rademacher(&mut x));

    let n = 855_770;
    let diagonal = FnOperator::new(n, |x: &[f64], y: &mut [f64]| {
        y.iter_mut().zip(x).enumerate().for_each(|(i, (y, x))| *y = (i as f64).sqrt() * x);
    });
    for precision in [Precision::F32, Precision::F64] {
        for threads in [1, 2] {
            let pool =
                rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started");
            let options = ExtremeEigen {
                max_products: 62,
                tolerance: 0.0,
                absolute_tolerance: Some(0.0),
                precision,
                basis_limit: BasisLimit::Vectors(64),
                ..ExtremeEigen::ends(1, 1)
            };
            let start = Instant::now();
            let s = pool
                .install(|| extreme_eigenpairs(&diagonal, &options, &mut ()).expect("the request is sound"));
            let seconds = start.elapsed().as_secs_f64();
            println!(
                "{} products, n = {n}, {precision:?}, {threads} threads: {seconds:.2} s, {:.1} ms a product",
                s.products,
                1e3 * seconds / s.products as f64
            );
        }
    }
}

/// The best of many short runs: what other processes do on the machine does not count.
fn report(what: &str, count: usize, run: &mut dyn FnMut()) {
    let best = (0..4000)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min);
    println!("{what}: {:.0} million/s on one core", count as f64 / best / 1e6);
}
