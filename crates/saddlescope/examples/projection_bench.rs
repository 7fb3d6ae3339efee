//! Figure 3's ensembles against the clock: 20,000 random planes of loss (2.23) and of loss (2.28), N = 1001, through
//! real Hessian products with fresh Gaussian directions.
//!
//! ```text
//! cargo run --release -p saddlescope --example projection_bench [draws] [threads]
//! ```
//!
//! Prints the seconds of each ensemble (best and median of several) and its means. `docs/performance.md` compares
//! them with NumPy in the same run.
#![allow(clippy::print_stdout)]

use saddlescope::analytic::{KnownCriticalPoint, SignedSquares};
use saddlescope::projection::{EnsembleOptions, PlaneShape, sample_planes};
use saddlescope::{Risk, Threading};
use std::ops::ControlFlow;
use std::time::Instant;

const REPEATS: u64 = 7;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let draws = arguments.next().map_or(Ok(20_000), |text| text.parse())?;
    let threads = arguments.next().map_or(Ok(2), |text| text.parse())?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    for (name, loss) in [("(2.23)", SignedSquares::balanced(500)?), ("(2.28)", SignedSquares::new(500, 800)?)]
    {
        let point = loss.at(&loss.critical_point(), 0)?;
        let mut seconds = Vec::new();
        let mut last = None;
        for seed in 0..REPEATS {
            let options = EnsembleOptions { draws, seed, threading: Threading::Spread };
            let start = Instant::now();
            let ensemble = sample_planes(&*point, loss.dim(), options, &mut |_| ControlFlow::Continue(()))?;
            seconds.push(start.elapsed().as_secs_f64());
            last = Some(ensemble);
        }
        seconds.sort_by(f64::total_cmp);
        if let Some(ensemble) = last {
            let (plus, minus) = ensemble.normal_approximations();
            println!(
                "loss {name}: {:.4} s best, {:.4} s median for {draws} planes on {threads} threads; \
                 mean k+ {:.2}, k- {:.2}, saddles {:.4}",
                seconds[0],
                seconds[seconds.len() / 2],
                plus.mean,
                minus.mean,
                ensemble.fraction(PlaneShape::Saddle).value(),
            );
        }
    }
    Ok(())
}
