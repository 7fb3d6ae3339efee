//! What a Hessian-vector product and a step of Lanczos cost on several ranks, and what their messages do.
//!
//! ```text
//! cargo build --release -p saddlescope-mpi --features mpi --example rank_bench
//! mpirun -n 2 target/release/examples/rank_bench resnet56-b WEIGHTS cifar10:DIR 128 [VECTORS] [THREADS]
//! ```

use std::error::Error;
use std::io::Write;
use std::time::Instant;

use saddlescope::data::{DataSource, Split};
use saddlescope::nn::{Dtype, risk::RiskOptions};
use saddlescope::{ChunkedRisk, Curvature, NetworkRisk, Point, Risk, model};
use saddlescope_krylov::{
    BasisStore, ExtremeEigen, LinearOperator, Precision, ProductError, SymmetricOperator, extreme_eigenpairs,
};
use saddlescope_mpi::{Communicator, MpiSession, Root, serve};

/// Repetitions; the least time counts.
const TIMES: usize = 5;

fn least(mut work: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let mut least = f64::INFINITY;
    for _ in 0..TIMES {
        let start = Instant::now();
        work()?;
        least = least.min(start.elapsed().as_secs_f64());
    }
    Ok(least)
}

/// A matrix that costs nothing, whose Krylov basis is kept where that of the Hessian would be.
struct Cheap<'a>(&'a dyn Point);

impl LinearOperator for Cheap<'_> {
    fn nrows(&self) -> usize {
        self.0.dim()
    }

    fn ncols(&self) -> usize {
        self.0.dim()
    }

    fn apply(&self, x: &[f64], y: &mut [f64]) -> Result<(), ProductError> {
        y.iter_mut().zip(x).enumerate().for_each(|(i, (y, x))| *y = (i % 1009) as f64 * x);
        Ok(())
    }
}

impl SymmetricOperator for Cheap<'_> {
    fn new_basis(&self, precision: Precision) -> Result<Box<dyn BasisStore>, ProductError> {
        Ok(self.0.new_basis(precision)?)
    }
}

/// Seconds of a step of Lanczos beside the product, with 64 vectors on average: the second half of so many to 96.
fn lanczos_step(point: &dyn Point) -> Result<f64, Box<dyn Error>> {
    let a = Cheap(point);
    let seconds = |products: usize| -> Result<f64, Box<dyn Error>> {
        let options = ExtremeEigen {
            max_products: products,
            tolerance: 0.0,
            absolute_tolerance: Some(0.0),
            precision: Precision::F32,
            ..ExtremeEigen::ends(1, 1)
        };
        let start = Instant::now();
        let found = extreme_eigenpairs(&a, &options, &mut ())?;
        assert_eq!(found.products, products, "{}", found.status);
        Ok(start.elapsed().as_secs_f64())
    };
    let (mut x, mut y) = (vec![1.0; point.dim()], vec![0.0; point.dim()]);
    let own = least(|| {
        a.apply(&x, &mut y)?;
        std::mem::swap(&mut x, &mut y);
        x.iter_mut().for_each(|x| *x = x.signum());
        Ok(())
    })?;
    Ok((seconds(98)? - seconds(34)?) / 64.0 - own)
}

fn main() -> Result<(), Box<dyn Error>> {
    let session = MpiSession::start()?;
    let ranks = session.rank();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, weights, data, samples, more @ ..] = arguments.as_slice() else {
        return Err("MODEL WEIGHTS DATA SAMPLES [VECTORS] [THREADS]".into());
    };
    let number = |i: usize| more.get(i).map_or(Ok(1), |text| text.parse::<usize>());
    let (vectors, threads) = (number(0)?, number(1)?);
    let data = DataSource::parse(data)?.load(Split::Train, Some(0..samples.parse()?), None)?;
    let model = model::load(name, Some(weights.as_ref()), Some(&data))?;
    let loss = model.suggest_loss(&data)?.loss;
    let options = RiskOptions { threads, ..RiskOptions::default() };
    let own = NetworkRisk::new(model.network.objective(loss, &data)?, Dtype::F32, options)?;
    let n = model.theta.len();

    // The messages alone: a vector to all, and one from rank 1 to rank 0 (and back, so that it has arrived).
    let mut bytes = vec![0; 8 * n];
    let to_all = least(|| Ok(ranks.broadcast(&mut bytes)?))?;
    let mut to_one = || -> Result<f64, Box<dyn Error>> {
        least(|| {
            match ranks.rank() {
                0 if ranks.size() > 1 => {
                    ranks.receive(&mut bytes, 1)?;
                    ranks.send(&[], 1)?;
                }
                1 => {
                    ranks.send(&bytes, 0)?;
                    ranks.receive(&mut [], 0)?;
                }
                _ => {}
            }
            Ok(())
        })
    };
    let to_one = to_one()?;

    if ranks.rank() > 0 {
        serve(ranks, &[&own as &dyn ChunkedRisk])?;
        return Ok(());
    }
    let root = Root::new(ranks);
    let risk = root.risk(0, &own);
    let point = risk.at(&model.theta, 0)?;
    let vs: Vec<f64> = (0..vectors * n).map(|i| ((i as f64 + 0.5) * 12.9898).sin()).collect();
    let mut out = vec![0.0; vs.len()];
    let product = least(|| Ok(point.product(Curvature::Hessian, &vs, &mut out).map(|_| ())?))?;
    let evaluation = least(|| Ok(risk.evaluate(&model.theta).map(|_| ())?))?;
    let step = lanczos_step(&*point)?;
    // Nothing but the sum's place in the output shows that all ranks have the same.
    let sum: f64 = out.iter().sum();
    writeln!(
        std::io::stdout(),
        "{} ranks, {threads} threads each, {} chunks: a product of {vectors} {product:.4} s, an evaluation {evaluation:.4} s, a step of Lanczos over 64 vectors {:.1} ms; {n} f64 to all {:.2} ms, to one {:.2} ms; sum {:016x}",
        ranks.size(),
        own.chunks(),
        1e3 * step,
        1e3 * to_all,
        1e3 * to_one,
        sum.to_bits()
    )?;
    Ok(())
}
