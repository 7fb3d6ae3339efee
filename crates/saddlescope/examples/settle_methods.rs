//! Three ways to ∇L = 0 from the same weights, in f64: what each costs and where it ends.
//!
//! `cargo run --release -p saddlescope --example settle_methods -- MODEL [WEIGHTS [SAMPLES [PRODUCTS]]]` on the embedded
//! digits. Bounded: ours. Newton–MR (Roosta et al. 2018): MINRES without a bound, then a line search on ‖∇L‖². Damped
//! Gauss–Newton on ½‖∇L‖² (Levenberg–Marquardt): conjugate gradients on (H² + μI) p = −Hg, two products an iteration.
#![allow(clippy::print_stdout)]

use saddlescope::data::{DataSource, Split};
use saddlescope::krylov::{LinearOperator, ResidualSpace};
use saddlescope::nn::Dtype;
use saddlescope::nn::risk::RiskOptions;
use saddlescope::{CurvatureOperator, NetworkRisk, Risk, SettleOptions, model, norm, settle};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn row(
    method: &str,
    risk: &dyn Risk,
    start: &[f64],
    theta: &[f64],
    products: usize,
    gradients: usize,
) -> Outcome {
    let mut g = vec![0.0; theta.len()];
    let loss = risk.gradient(theta, &mut g)?.loss;
    let moved: Vec<f64> = theta.iter().zip(start).map(|(a, b)| a - b).collect();
    println!(
        "{method:<34} ‖∇L‖ {:.2e}  loss {loss:.6e}  distance {:.3}  products {products}  gradients {gradients}",
        norm(&g),
        norm(&moved)
    );
    Ok(())
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn plus(theta: &[f64], t: f64, p: &[f64]) -> Vec<f64> {
    theta.iter().zip(p).map(|(x, p)| x + t * p).collect()
}

const TOLERANCE: f64 = 1e-10;

fn newton_mr(risk: &dyn Risk, start: &[f64], most: usize) -> Outcome {
    let (mut theta, mut g) = (start.to_vec(), vec![0.0; start.len()]);
    risk.gradient(&theta, &mut g)?;
    let (mut products, mut gradients) = (0, 1);
    'outer: while norm(&g) > TOLERANCE && products < most {
        let point = risk.at(&theta, 1 << 30)?;
        let hessian = CurvatureOperator::hessian(&*point);
        let minus: Vec<f64> = g.iter().map(|g| -g).collect();
        let mut space = ResidualSpace::new(&hessian, minus)?;
        let mut check = 4;
        while space.dim() < 400 && space.extend(&hessian)? {
            if space.dim() == check {
                if space.solve(f64::INFINITY).residual <= 0.1 * norm(&g) {
                    break;
                }
                check += 1 + check / 3;
            }
        }
        products += space.dim();
        let p = space.vector(&space.solve(f64::INFINITY).coordinates)?;
        let (mut hp, mut t) = (vec![0.0; p.len()], 1.0);
        hessian.apply(&p, &mut hp)?;
        let slope = dot(&hp, &g);
        loop {
            let mut next = vec![0.0; g.len()];
            let there = plus(&theta, t, &p);
            risk.gradient(&there, &mut next)?;
            gradients += 1;
            if dot(&next, &next) <= dot(&g, &g) + 2e-4 * t * slope {
                (theta, g) = (there, next);
                break;
            }
            t *= 0.5;
            if t < 1e-12 {
                break 'outer;
            }
        }
    }
    row("Newton–MR, line search", risk, start, &theta, products, gradients)
}

fn gauss_newton(risk: &dyn Risk, start: &[f64], most: usize) -> Outcome {
    let (mut theta, mut g) = (start.to_vec(), vec![0.0; start.len()]);
    risk.gradient(&theta, &mut g)?;
    let (mut products, mut gradients, mut mu) = (0, 1, 1e-2);
    while norm(&g) > TOLERANCE && products < most && mu < 1e12 {
        let point = risk.at(&theta, 1 << 30)?;
        let hessian = CurvatureOperator::hessian(&*point);
        let apply = |v: &[f64]| -> Result<Vec<f64>, Box<dyn std::error::Error>> {
            let mut out = vec![0.0; v.len()];
            hessian.apply(v, &mut out)?;
            Ok(out)
        };
        let b: Vec<f64> = apply(&g)?.iter().map(|x| -x).collect();
        let (mut p, mut r) = (vec![0.0; b.len()], b.clone());
        let (mut d, mut rr) = (r.clone(), dot(&r, &r));
        products += 1;
        for _ in 0..200 {
            let ad = plus(&apply(&apply(&d)?)?, mu, &d);
            products += 2;
            let alpha = rr / dot(&d, &ad);
            p = plus(&p, alpha, &d);
            r = plus(&r, -alpha, &ad);
            let next = dot(&r, &r);
            if next.sqrt() <= 0.01 * norm(&b) {
                break;
            }
            d = plus(&r, next / rr, &d);
            rr = next;
        }
        let mut next = vec![0.0; g.len()];
        let there = plus(&theta, 1.0, &p);
        risk.gradient(&there, &mut next)?;
        gradients += 1;
        if norm(&next) < norm(&g) {
            (theta, g) = (there, next);
            mu *= 0.3;
        } else {
            mu *= 4.0;
        }
    }
    row("Gauss–Newton on ½‖∇L‖², damped", risk, start, &theta, products, gradients)
}

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let name = arguments.first().map_or("digits-mlp", String::as_str);
    let weights = arguments.get(1).filter(|w| *w != "-").map(std::path::PathBuf::from);
    let samples = arguments.get(2).and_then(|s| s.parse().ok()).unwrap_or(1297);
    let most = arguments.get(3).and_then(|s| s.parse().ok()).unwrap_or(20_000);
    let data = DataSource::parse("digits")?.load(Split::Train, Some(0..samples), None)?;
    let model = model::load(name, weights.as_deref(), Some(&data))?;
    let loss = model.suggest_loss(&data)?.loss;
    let risk = NetworkRisk::new(model.network.objective(loss, &data)?, Dtype::F64, RiskOptions::default())?;
    row("start", &risk, &model.theta, &model.theta, 0, 1)?;
    for dimension in [100, 400, 1600] {
        let options = SettleOptions {
            max_products: most,
            max_dimension: dimension,
            tolerance: TOLERANCE,
            radius: None,
            downhill: false,
        };
        let found = settle(&risk, &model.theta, &options, &mut |_| Ok(()))?;
        let name = format!("bounded, space of {dimension} at most");
        row(&name, &risk, &model.theta, &found.theta, found.products, found.gradients)?;
    }
    newton_mr(&risk, &model.theta, most)?;
    gauss_newton(&risk, &model.theta, most)
}
