//! Products that the three methods need for the largest and the smallest eigenvalue: prints a Markdown table.
//!
//! `cargo run --release -p saddlescope-krylov --example solver_table`

#![allow(clippy::print_stdout)]

use saddlescope_krylov::testkit::PrescribedSpectrum;
use saddlescope_krylov::{
    BasisLimit, ExtremeEigen, PowerIteration, Shifted, Status, SymmetricOperator, algorithm1,
    extreme_eigenpairs, power_iteration,
};

/// Relative tolerance of every residual, ‖Av − λv‖ ≤ tolerance·|λ|.
const TOLERANCES: [f64; 2] = [1e-3, 1e-6];
/// Basis vectors ARPACK (and with it `scipy.sparse.linalg.eigsh`) keeps by default for one pair.
const ARPACK_DEFAULT: usize = 20;
const POWER_LIMIT: usize = 200_000;
const SEEDS: u64 = 5;

/// A bulk near zero with some outliers above it: what Hessians of trained networks look like.
fn network(n: usize, low: f64, high: f64, outliers: usize, bulk: f64) -> Vec<f64> {
    let mut v: Vec<f64> = (0..n).map(|i| bulk * (2.0 * (i as f64 + 0.5) / n as f64 - 1.0).powi(3)).collect();
    v[0] = low;
    for i in 0..outliers {
        v[1 + i] = high * (0.15f64.ln() * i as f64 / (outliers - 1).max(1) as f64).exp();
    }
    v
}

fn matrices() -> Vec<(&'static str, Vec<f64>)> {
    let n = 20_000;
    let analytic = |plus: usize| -> Vec<f64> {
        (0..1001)
            .map(|i| {
                if i < plus {
                    1.0
                } else if i < 1000 {
                    -1.0
                } else {
                    0.0
                }
            })
            .collect()
    };
    let mut close = network(n, -6.0, 10.0, 1, 5.0);
    close[2] = 9.99;
    vec![
        (
            "λmin −16.4, λmax 5007.9, 10 outliers, bulk ±5 (paper's ResNet-56)",
            network(n, -16.4, 5007.9, 10, 5.0),
        ),
        (
            "λmin −109.1, λmax 1937.5, 10 outliers, bulk ±50 (paper's DenseNet-121)",
            network(n, -109.1, 1937.5, 10, 50.0),
        ),
        ("λmin −6.57, λmax 166, 30 outliers, bulk ±3", network(n, -6.57, 166.0, 30, 3.0)),
        ("λmin −6, λmax 10 and 9.99, bulk ±5", close),
        ("−1 or 0 or 1, trace 600 (2.28)", analytic(800)),
    ]
}

/// Products and the larger of the two relative residuals; no products: not converged.
struct Row {
    products: Option<usize>,
    residual: f64,
}

fn relative(residual: f64, value: f64) -> f64 {
    residual / value.abs()
}

fn one_space(a: &dyn SymmetricOperator, o: &ExtremeEigen) -> Row {
    let s = extreme_eigenpairs(a, o, &mut ()).expect("the request is sound");
    let residual = s.pairs.iter().map(|p| relative(p.residual, p.value)).fold(0.0, f64::max);
    Row { products: s.is_converged().then_some(s.products), residual }
}

fn two_solves(a: &dyn SymmetricOperator, o: &ExtremeEigen) -> Row {
    let s = algorithm1(a, o, &mut ()).expect("the request is sound");
    let pairs = [&s.first, &s.second];
    let residual =
        pairs.iter().filter_map(|p| p.as_ref()).map(|p| relative(p.residual, p.value)).fold(0.0, f64::max);
    Row { products: (s.status == Status::Converged).then_some(s.products), residual }
}

fn power(a: &dyn SymmetricOperator, o: &ExtremeEigen) -> Row {
    let options = PowerIteration {
        tolerance: o.tolerance,
        max_products: POWER_LIMIT,
        seed: o.seed,
        ..PowerIteration::default()
    };
    let not_converged = Row { products: None, residual: f64::NAN };
    let one = power_iteration(a, &options, &mut ()).expect("the request is sound");
    let Some(first) = one.pair.filter(|p| p.converged) else { return not_converged };
    let shifted = Shifted::new(a, -first.value);
    let options = PowerIteration { offset: first.value, ..options };
    let two = power_iteration(&shifted, &options, &mut ()).expect("the request is sound");
    let Some(second) = two.pair.filter(|p| p.converged) else { return not_converged };
    let residual =
        relative(first.residual, first.value).max(relative(second.residual, second.value + first.value));
    Row { products: Some(one.products + two.products), residual }
}

type Method = fn(&dyn SymmetricOperator, &ExtremeEigen) -> Row;

fn main() {
    let methods: [(&str, Method, usize); 5] = [
        ("one space", one_space, 300),
        ("Algorithm 1", two_solves, 300),
        ("one space, 20 vectors", one_space, ARPACK_DEFAULT),
        ("Algorithm 1, 20 vectors", two_solves, ARPACK_DEFAULT),
        ("power iteration, twice", power, 300),
    ];
    print!("| matrix | tolerance |");
    methods.iter().for_each(|(name, ..)| print!(" {name} |"));
    println!("\n| --- | --- |{}", " --- |".repeat(methods.len()));
    for (name, values) in matrices() {
        let a = PrescribedSpectrum::new(values, 1);
        for tolerance in TOLERANCES {
            print!("| {name} | {tolerance:.0e} |");
            for (_, method, vectors) in methods {
                let mut products = Vec::new();
                let mut worst = 0.0f64;
                // Power iteration needs thousands of products: one start is enough to see that.
                let seeds = if std::ptr::fn_addr_eq(method, power as Method) { 1 } else { SEEDS };
                for seed in 0..seeds {
                    let options = ExtremeEigen {
                        tolerance,
                        seed,
                        max_products: 5000,
                        basis_limit: BasisLimit::Vectors(vectors),
                        check_every: Some(1),
                        ..ExtremeEigen::ends(1, 1)
                    };
                    let row = method(&a, &options);
                    products.push(row.products);
                    worst = worst.max(row.residual);
                }
                assert!(worst <= tolerance || worst.is_nan() || products.contains(&None));
                products.sort();
                match products[products.len() / 2] {
                    Some(p) if !products.contains(&None) => print!(" {p} |"),
                    _ => print!(" not converged |"),
                }
            }
            println!();
        }
    }
}
