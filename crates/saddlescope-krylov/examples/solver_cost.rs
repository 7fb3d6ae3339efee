//! Time and memory of the eigensolver beside the products: prints a few lines.
//!
//! The operator is diagonal, in f32 as an engine would compute it, and costs next to nothing; its own time is
//! measured and taken off. Arguments: length of the vectors, products, most basis vectors, and a file that the state is
//! saved to after every product, if it is to be saved.
//!
//! `cargo run --release -p saddlescope-krylov --example solver_cost -- 3400000 130 128 /tmp/solver.log`

#![allow(clippy::print_stdout)]

use std::fs::File;
use std::io::BufWriter;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rayon::prelude::*;
use saddlescope_krylov::{
    BasisLimit, ExtremeEigen, FnOperator, LanczosState, Observer, Precision, Progress, SnapshotWriter,
    extreme_eigenpairs,
};

/// Saves the state after every product, if asked to, and measures how long that takes.
struct Saver {
    writer: Option<SnapshotWriter<BufWriter<File>>>,
    seconds: f64,
}

impl Observer for Saver {
    fn progress(&mut self, _: &Progress<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn snapshot(&mut self, state: &LanczosState) -> ControlFlow<()> {
        let start = Instant::now();
        if let Some(writer) = &mut self.writer {
            writer.write(state).expect("the log can be written");
        }
        self.seconds += start.elapsed().as_secs_f64();
        ControlFlow::Continue(())
    }
}

fn main() {
    let mut numbers = std::env::args().skip(1).take(3).map(|a| a.parse::<usize>().expect("a whole number"));
    let n = numbers.next().unwrap_or(3_400_000);
    let products = numbers.next().unwrap_or(130);
    let vectors = numbers.next().unwrap_or(128);
    let log = std::env::args().nth(4);
    let file = |path| BufWriter::new(File::create(path).expect("the log can be made"));
    let mut saver = Saver { writer: log.map(|path| SnapshotWriter::new(file(path))), seconds: 0.0 };
    let nanoseconds = AtomicU64::new(0);
    // Ten outliers over a bulk that is dense at zero.
    let eigenvalue = |i: usize| {
        if i < 10 { 5.5 / (1 + i) as f64 } else { 2e-2 * (2.0 * i as f64 / n as f64 - 1.0).powi(3) }
    };
    let diagonal = FnOperator::new(n, |x: &[f64], y: &mut [f64]| {
        let start = Instant::now();
        y.par_iter_mut().zip(x).enumerate().with_min_len(4096).for_each(|(i, (y, x))| {
            *y = f64::from((eigenvalue(i) * x) as f32);
        });
        nanoseconds.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
    });
    let options = ExtremeEigen {
        max_products: products,
        tolerance: 0.0,
        absolute_tolerance: Some(0.0),
        precision: Precision::F32,
        basis_limit: BasisLimit::Vectors(vectors),
        ..ExtremeEigen::ends(1, 1)
    };
    let start = Instant::now();
    let solution = extreme_eigenpairs(&diagonal, &options, &mut saver).expect("the request is sound");
    let all = start.elapsed().as_secs_f64();
    let own = all - saver.seconds - 1e-9 * nanoseconds.load(Ordering::Relaxed) as f64;
    println!(
        "n = {n}, {} products, {} restarts, {} threads: {:.1} ms a product beside the products, {:.1} ms to save ({:.1} ms in all)",
        solution.products,
        solution.restarts,
        rayon::current_num_threads(),
        1e3 * own / solution.products as f64,
        1e3 * saver.seconds / solution.products as f64,
        1e3 * all / solution.products as f64
    );
    println!("λ {:?}", solution.pairs.iter().map(|p| (p.value, p.residual)).collect::<Vec<_>>());
    // Linux only; elsewhere the line is left out.
    if let Some(peak) = std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|s| s.lines().find(|l| l.starts_with("VmHWM")).map(str::to_owned))
    {
        let basis = options.basis_bytes(n) >> 20;
        println!(
            "peak memory {}; a full basis takes {basis} MiB, a vector in f64 {} MiB",
            peak.trim(),
            n >> 17
        );
    }
}
