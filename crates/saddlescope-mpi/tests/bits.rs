//! A network's risk over any number of ranks has the bits of the risk itself. The ranks are threads; the same with processes is in
//! the tests of the command.

use saddlescope::data::{DataSource, Split};
use saddlescope::nn::{Dtype, network::LossKind, risk::RiskOptions, zoo};
use saddlescope::{ChunkedRisk, Curvature, NetworkRisk, Product, Risk, RiskError};
use saddlescope_mpi::{Communicator, LocalRank, LocalRanks, Root, serve};

/// A network of the zoo on so many of the embedded digits, and a θ.
fn risk(name: &str, samples: usize, threads: usize, dtype: Dtype) -> (NetworkRisk, Vec<f64>) {
    let data = DataSource::Digits.load(Split::Train, Some(0..samples), None).unwrap();
    let network = zoo::by_name(name).unwrap();
    let objective = network.objective(LossKind::CrossEntropy, &data).unwrap();
    let options = RiskOptions { threads, ..RiskOptions::default() };
    (NetworkRisk::new(objective, dtype, options).unwrap(), network.initialise(7))
}

/// A vector without a pattern.
fn vectors(n: usize) -> Vec<f64> {
    (0..n).map(|i| ((i as f64 + 0.5) * 12.9898).sin()).collect()
}

#[derive(Debug, PartialEq)]
struct Everything {
    loss: (u64, Option<(u64, u64)>),
    gradient: Vec<u64>,
    products: Vec<(Vec<u64>, Product)>,
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// What an analysis asks of a risk, each product twice: primal values are kept between them.
fn everything(risk: &dyn Risk, theta: &[f64], keep_bytes: usize) -> Result<Everything, RiskError> {
    let evaluation = risk.evaluate(theta)?;
    let mut gradient = vec![0.0; theta.len()];
    let again = risk.gradient(theta, &mut gradient)?;
    assert_eq!(again, evaluation);
    let point = risk.at(theta, keep_bytes)?;
    let mut products = Vec::new();
    for curvature in risk.offers().curvatures {
        for block in [1, 3, 1] {
            let vs = vectors(block * theta.len());
            let mut out = vec![0.0; vs.len()];
            let product = point.product(curvature, &vs, &mut out)?;
            products.push((bits(&out), product));
        }
    }
    drop(point);
    // A second point while others are long gone.
    risk.at(theta, 0)?.product(Curvature::Hessian, theta, &mut gradient)?;
    Ok(Everything {
        loss: (evaluation.loss.to_bits(), evaluation.correct),
        gradient: bits(&gradient),
        products,
    })
}

/// The same with so many ranks, each with a risk of its own.
fn on_ranks<R: Send>(
    size: usize,
    risk: impl Fn(usize) -> (NetworkRisk, Vec<f64>) + Sync,
    work: impl Fn(&dyn Risk, &[f64]) -> R + Sync,
) -> R {
    let work = |rank: LocalRank| {
        let (own, theta) = risk(rank.rank());
        if rank.rank() > 0 {
            serve(&rank, &[&own as &dyn ChunkedRisk]).unwrap();
            return None;
        }
        let root = Root::new(rank);
        Some(work(&root.risk(0, &own), &theta))
    };
    std::thread::scope(|scope| {
        let work = &work;
        let handles: Vec<_> =
            LocalRanks::new(size).into_iter().map(|rank| scope.spawn(move || work(rank))).collect();
        handles.into_iter().filter_map(|handle| handle.join().unwrap()).next().unwrap()
    })
}

#[test]
fn any_number_of_ranks_and_threads_gives_the_bits_of_one() {
    // Samples that make 1 to 33 chunks, with full and with short last ones.
    for (name, samples, dtype) in [
        ("digits-mlp", 1000, Dtype::F32),
        ("digits-mlp", 3, Dtype::F32),
        ("digits-mlp", 29, Dtype::F64),
        ("digits-cnn", 150, Dtype::F32),
    ] {
        for keep_bytes in [0, 1 << 20] {
            let (alone, theta) = risk(name, samples, 1, dtype);
            let expected = everything(&alone, &theta, keep_bytes).unwrap();
            for size in [1, 2, 3, 4, 7] {
                let found = on_ranks(
                    size,
                    |rank| risk(name, samples, 1 + rank % 2, dtype),
                    |risk, theta| everything(risk, theta, keep_bytes).unwrap(),
                );
                assert!(
                    found == expected,
                    "{name}, {samples} samples, {size} ranks, {} chunks",
                    alone.chunks()
                );
            }
        }
    }
}

#[test]
fn an_error_on_another_rank_reaches_rank_0() {
    let error = on_ranks(
        3,
        // Rank 2 has another network.
        |rank| risk(if rank == 2 { "digits-cnn" } else { "digits-mlp" }, 64, 1, Dtype::F32),
        |risk, theta| {
            let error = risk.evaluate(theta).unwrap_err().to_string();
            // And nothing hangs afterwards.
            assert!(risk.evaluate(theta).is_err());
            error
        },
    );
    assert!(error.starts_with("rank 2 on this machine: "), "{error}");
}
