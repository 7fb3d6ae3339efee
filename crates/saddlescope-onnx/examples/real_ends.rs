//! Products needed for both ends of the spectrum of a network's Hessian, by ways of finding them: rows of a Markdown table.
//!
//! ```text
//! cargo run --release -p saddlescope-onnx --example real_ends -- MODEL DATA [WAY…]
//! ```
//!
//! MODEL is an ONNX file (`FILE.onnx+200`: trained by 200 steps of Adam on all samples before), or a network by name and its weights
//! (`resnet56-b=FILE.safetensors`); DATA is a source (`npz:FILE`), with a split and a number of samples if wanted
//! (`cifar10:DIR,test,128`). WAY is
//!
//! - `space:32` thick-restart Lanczos with a basis of 32 vectors; `space:128:2` in blocks of two;
//! - `davidson` the space grown by residuals, without a preconditioner, in at most 128 vectors (the control: the spaces of Lanczos until it restarts);
//! - `diagonal:30` Davidson with the diagonal of H, estimated with 30 products; `gauss-newton:10` with ten steps of conjugate
//!   gradients on G + |λ|;
//! - `known:16` Davidson from the eigenvectors of the 16 largest eigenvalues; `part:16:4` from those of a quarter of the samples,
//!   `noise:16` from those at parameters that differ by 1 %; `part+:16:4`, `noise+:16` from both ends of these;
//! - `costs` seconds of a product in blocks of one, two and four, and of one of the Gauss–Newton matrix.
//!
//! f32, relative residuals of 1e-1, 1e-2 and 1e-3 for both pairs, at most 400 products with H (`MOST_PRODUCTS` in the environment changes it).
#![allow(clippy::print_stdout)]

use std::cell::Cell;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

use nalgebra::{DMatrix, SymmetricEigen};
use saddlescope_data::weights::TensorMap;
use saddlescope_data::{DataSource, Dataset, Split};
use saddlescope_krylov::{
    BasisLimit, BasisRows, BasisStore, Block, Eigensolution, ExtremeEigen, FnOperator, Precision,
    ProductError, Stream, Sweep, Wanted, extreme_eigenpairs, resume_extreme_eigenpairs,
};
use saddlescope_nn::network::{LossKind, Network};
use saddlescope_nn::risk::{Curvature, Risk, RiskOptions, RiskPoint};
use saddlescope_nn::zoo;
use saddlescope_onnx::{Ending, ImportOptions, OnnxModel, suggest_loss};

type Failure = Box<dyn Error>;

const TOLERANCES: [f64; 3] = [1e-1, 1e-2, 1e-3];
/// Vectors of a basis where nothing else is said, and at most what share of them each end keeps at a restart of Davidson.
const VECTORS: usize = 128;
const KEPT: usize = 5;

/// A network, its loss, its parameters and its data, as the engine takes them.
struct Case {
    network: Network,
    loss: LossKind,
    theta: Vec<f64>,
    data: Dataset,
}

impl Case {
    fn load(model: &str, data: &str) -> Result<Self, Failure> {
        let mut parts = data.split(',');
        let source = DataSource::parse(parts.next().unwrap_or_default())?;
        let split = if parts.next() == Some("test") { Split::Test } else { Split::Train };
        let samples = parts.next().map(str::parse::<usize>).transpose()?;
        let data = source.load(split, samples.map(|n| 0..n), None)?;
        if let Some((name, weights)) = model.split_once('=') {
            let mut network = zoo::by_name(name).ok_or("no network of this name")?;
            let theta = network.load(&TensorMap::read(Path::new(weights))?)?;
            let loss = suggest_loss(&network, Ending::Plain, &data)?.loss;
            return Ok(Self { network, loss, theta, data });
        }
        let (file, steps) = model.split_once(".onnx+").map_or((model, "0"), |(f, steps)| (f, steps));
        let file = Path::new(file).with_extension("onnx");
        let onnx = OnnxModel::load(&file, &ImportOptions::for_dataset(&data))?;
        let loss = onnx.suggest_loss(&data)?.loss;
        let (network, theta) = (onnx.network_for(loss), onnx.theta.to_vec());
        let mut case = Self { network, loss, theta, data: onnx.prepare(&data)? };
        case.train(steps.parse()?)?;
        Ok(case)
    }

    /// Steps of Adam with the gradient on all samples; the rate is 1e-3.
    fn train(&mut self, steps: i32) -> Result<(), Failure> {
        let risk = self.risk(self.data.samples())?;
        let mut gradient = vec![0.0; risk.dim()];
        let (mut mean, mut square) = (gradient.clone(), gradient.clone());
        for step in 1..=steps {
            let loss = risk.gradient(&self.theta, &mut gradient).loss;
            let (a, b) = (1.0 - 0.9_f64.powi(step), 1.0 - 0.999_f64.powi(step));
            for (((x, g), m), s) in self.theta.iter_mut().zip(&gradient).zip(&mut mean).zip(&mut square) {
                *m += 0.1 * (g - *m);
                *s += 0.001 * (g * g - *s);
                *x -= 1e-3 * *m / a / ((*s / b).sqrt() + 1e-8);
            }
            if step % 50 == 1 || step == steps {
                println!("step {step}: loss {loss:.5}, ‖∇L‖ {:.2e}", dot(&gradient, &gradient).sqrt());
            }
        }
        Ok(())
    }

    /// The risk on the first `samples`.
    fn risk(&self, samples: usize) -> Result<Risk<f32>, Failure> {
        let objective = self.network.objective(self.loss, &self.data.select(0..samples)?)?;
        let options = RiskOptions { threads: 2, micro_batch: None, keep_bytes: 1 << 30 };
        Ok(Risk::new(objective, options)?)
    }
}

fn product(
    point: &RiskPoint<'_, f32>,
    of: Curvature,
    xs: &[f64],
    ys: &mut [f64],
) -> Result<(), ProductError> {
    point.product(of, xs, ys).map(|_| ()).map_err(ProductError::failed)
}

fn hessian<'a>(point: &'a RiskPoint<'_, f32>, n: usize) -> FnOperator<'a> {
    FnOperator::fallible_block(n, |xs: &[f64], ys: &mut [f64]| product(point, Curvature::Hessian, xs, ys))
}

fn options(largest: usize, smallest: usize, tolerance: f64) -> ExtremeEigen {
    ExtremeEigen {
        wanted: Wanted::Ends { largest, smallest },
        tolerance,
        absolute_tolerance: Some(0.0),
        max_products: most(),
        basis_limit: BasisLimit::Vectors(VECTORS),
        precision: Precision::F32,
        product_precision: Precision::F32,
        ..ExtremeEigen::default()
    }
}

fn most() -> usize {
    std::env::var("MOST_PRODUCTS").ok().and_then(|n| n.parse().ok()).unwrap_or(400)
}

/// λ and ‖Hv − λv‖ of a pair.
type Found = (f64, f64);

/// One row: `of_g` products with the Gauss–Newton matrix beside `of_h` with H, of which `first` were made for the start.
fn row(way: &str, tolerance: f64, status: &str, counts: [usize; 3], seconds: f64, ends: [Found; 2]) {
    let [of_h, of_g, first] = counts;
    print!("| {way} | {tolerance:.0e} | {status} | {of_h} | {of_g} | {first} | {seconds:.1} |");
    for (value, residual) in ends {
        print!(" {value:.6} | {:.1e} |", residual / value.abs());
    }
    println!();
}

fn ends(s: &Eigensolution) -> [Found; 2] {
    [s.largest().first(), s.smallest().last()]
        .map(|p| p.map_or((f64::NAN, f64::NAN), |p| (p.value, p.residual)))
}

fn one_space(way: &str, hessian: &FnOperator<'_>, vectors: usize, block_size: usize) -> Result<(), Failure> {
    let begin = Instant::now();
    let mut state = None;
    for tolerance in TOLERANCES {
        let basis_limit = BasisLimit::Vectors(vectors);
        let options = ExtremeEigen { basis_limit, block_size, ..options(1, 1, tolerance) };
        let s = match state.take() {
            None => extreme_eigenpairs(hessian, &options, &mut ())?,
            Some(state) => resume_extreme_eigenpairs(hessian, &options, state, &mut ())?,
        };
        let status = format!("{:?}", s.status);
        row(way, tolerance, &status, [s.products, 0, 0], begin.elapsed().as_secs_f64(), ends(&s));
        if !s.is_converged() {
            break;
        }
        state = Some(s.state);
    }
    Ok(())
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

fn add(a: f64, x: &[f64], y: &mut [f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += a * x);
}

/// A space V with its images W = H V and the projection VᵀH V; grows by any vector.
struct Space<'a> {
    point: &'a RiskPoint<'a, f32>,
    n: usize,
    v: BasisRows,
    w: BasisRows,
    projection: DMatrix<f64>,
    products: usize,
}

/// Ritz pairs, ascending.
struct Ritz {
    values: Vec<f64>,
    coordinates: Vec<Vec<f64>>,
}

impl<'a> Space<'a> {
    fn new(point: &'a RiskPoint<'a, f32>, n: usize) -> Self {
        let basis = || BasisRows::new(n, Precision::F32);
        Self { point, n, v: basis(), w: basis(), projection: DMatrix::zeros(0, 0), products: 0 }
    }

    fn multiply(&mut self, x: &[f64]) -> Result<Vec<f64>, ProductError> {
        let mut image = vec![0.0; self.n];
        product(self.point, Curvature::Hessian, x, &mut image)?;
        self.products += 1;
        Ok(image)
    }

    /// Takes a direction into the space, for one product.
    fn grow(&mut self, mut t: Vec<f64>) -> Result<(), ProductError> {
        let m = self.v.len();
        let mut c = vec![0.0; m];
        for pass in 0..3 {
            let minus = if pass == 0 { 0..0 } else { 0..m };
            let sweep = Sweep { minus: minus.clone(), c: &c[minus], dots: 0..m, squares: false };
            c = self.v.sweep(&mut Block { values: &mut t, first: 0 }, &sweep)?;
        }
        self.v.push(1.0 / dot(&t, &t).sqrt(), &t);
        self.v.column(m, &mut t);
        let mut image = self.multiply(&t)?;
        let sweep = Sweep { minus: 0..0, c: &[], dots: 0..m + 1, squares: false };
        let column = self.v.sweep(&mut Block { values: &mut image, first: 0 }, &sweep)?;
        self.w.push(1.0, &image);
        let old = std::mem::replace(&mut self.projection, DMatrix::zeros(0, 0));
        self.projection = old.resize(m + 1, m + 1, 0.0);
        for (i, x) in column.into_iter().enumerate() {
            (self.projection[(i, m)], self.projection[(m, i)]) = (x, x);
        }
        Ok(())
    }

    fn ritz(&self) -> Ritz {
        let eigen = SymmetricEigen::new(self.projection.clone());
        let mut order: Vec<usize> = (0..self.v.len()).collect();
        order.sort_by(|&i, &j| eigen.eigenvalues[i].total_cmp(&eigen.eigenvalues[j]));
        Ritz {
            values: order.iter().map(|&i| eigen.eigenvalues[i]).collect(),
            coordinates: order
                .iter()
                .map(|&i| eigen.eigenvectors.column(i).iter().copied().collect())
                .collect(),
        }
    }

    /// Hu − θu of Ritz pair i, from the images.
    fn residual(&self, ritz: &Ritz, i: usize) -> Result<Vec<f64>, ProductError> {
        let (mut r, mut u) = (vec![0.0; self.n], vec![0.0; self.n]);
        BasisStore::combine(&self.w, self.w.len(), &ritz.coordinates[i], &mut r)?;
        BasisStore::combine(&self.v, self.v.len(), &ritz.coordinates[i], &mut u)?;
        add(-ritz.values[i], &u, &mut r);
        Ok(r)
    }

    /// The pair with its residual from a product of its own.
    fn check(&mut self, ritz: &Ritz, i: usize) -> Result<Found, ProductError> {
        let mut u = vec![0.0; self.n];
        BasisStore::combine(&self.v, self.v.len(), &ritz.coordinates[i], &mut u)?;
        let norm = dot(&u, &u).sqrt();
        u.iter_mut().for_each(|x| *x /= norm);
        let mut r = self.multiply(&u)?;
        let value = dot(&u, &r);
        add(-value, &u, &mut r);
        Ok((value, dot(&r, &r).sqrt()))
    }

    /// Keeps the Ritz vectors at both ends.
    fn restart(&mut self, ritz: &Ritz) {
        let (m, each) = (self.v.len(), self.v.len() / KEPT);
        let kept: Vec<usize> = (0..each).chain(m - each..m).collect();
        let s: Vec<f64> = kept.iter().flat_map(|&i| ritz.coordinates[i].iter().copied()).collect();
        self.v.rotate(m, &s);
        self.w.rotate(m, &s);
        let diagonal = kept.iter().map(|&i| ritz.values[i]).collect::<Vec<_>>();
        self.projection = DMatrix::from_diagonal(&diagonal.into());
    }
}

/// Makes a direction of θ and the residual of the lowest pair.
type Preconditioner<'a> = &'a dyn Fn(f64, Vec<f64>) -> Result<Vec<f64>, ProductError>;

/// Davidson's method for both ends, from a start: the largest pair first, by its residual, then the smallest. `spent`: products
/// made before, with H and, as they are made, with G.
fn davidson(
    way: &str,
    mut space: Space<'_>,
    start: Vec<Vec<f64>>,
    precondition: Preconditioner<'_>,
    spent: (usize, &Cell<usize>),
) -> Result<(), Failure> {
    let begin = Instant::now();
    let n = space.n;
    let mut noise = vec![0.0; n];
    Stream::new(0, "start", 0).fill_normal(&mut noise);
    let first = if start.is_empty() { 0 } else { start.len() };
    for t in start.into_iter().chain([noise]) {
        space.grow(t)?;
    }
    // Products that only check are not a part of the way to the next tolerance.
    let (mut checks, mut tighten) = (0, 1.0);
    let mut tolerances = TOLERANCES.into_iter().peekable();
    while let Some(&tolerance) = tolerances.peek() {
        let ritz = space.ritz();
        let counts = |products| [products + spent.0, spent.1.get(), first + spent.0];
        let (top, mut open) = (ritz.values.len() - 1, None);
        for (i, factor) in [(top, 1.0), (0, tighten)] {
            let r = space.residual(&ritz, i)?;
            if dot(&r, &r).sqrt() > factor * tolerance * ritz.values[i].abs() {
                open = Some((i, r));
                break;
            }
        }
        let over = space.products - checks + 2 + spent.0 >= most();
        if open.is_none() || over {
            let ends = [space.check(&ritz, top)?, space.check(&ritz, 0)?];
            checks += 2;
            let reached = ends.iter().all(|(value, residual)| *residual <= tolerance * value.abs());
            let floor = !reached && tighten < 0.2;
            if reached || over || floor {
                let status = if reached {
                    "Converged"
                } else if floor {
                    "Floor"
                } else {
                    "MaxMatvecs"
                };
                let made = space.products - checks + 2;
                row(way, tolerance, status, counts(made), begin.elapsed().as_secs_f64(), ends);
                tolerances.next();
                if !reached {
                    break;
                }
            } else {
                tighten *= 0.5;
                checks -= 2;
            }
            continue;
        }
        if space.v.len() == VECTORS {
            space.restart(&ritz);
        }
        if let Some((i, r)) = open {
            space.grow(if i == 0 { precondition(ritz.values[0], r)? } else { r })?;
        }
    }
    Ok(())
}

/// (D − θ)⁻¹ r with the diagonal D = E[z ∘ Hz]; denominators are at least |θ|.
fn by_diagonal(diagonal: &[f64], value: f64, mut r: Vec<f64>) -> Vec<f64> {
    r.iter_mut().zip(diagonal).for_each(|(r, d)| *r /= (d - value).abs().max(value.abs()));
    r
}

/// (G + |θ|)⁻¹ r by some steps of conjugate gradients.
fn by_gauss_newton(
    point: &RiskPoint<'_, f32>,
    steps: usize,
    made: &Cell<usize>,
    value: f64,
    mut r: Vec<f64>,
) -> Result<Vec<f64>, ProductError> {
    let (mut x, mut p, mut image) = (vec![0.0; r.len()], r.clone(), vec![0.0; r.len()]);
    let mut square = dot(&r, &r);
    for _ in 0..steps {
        product(point, Curvature::GaussNewton, &p, &mut image)?;
        made.set(made.get() + 1);
        add(value.abs(), &p, &mut image);
        let a = square / dot(&p, &image);
        add(a, &p, &mut x);
        add(-a, &image, &mut r);
        let next = dot(&r, &r);
        p.iter_mut().zip(&r).for_each(|(p, r)| *p = r + next / square * *p);
        square = next;
    }
    Ok(x)
}

/// Eigenvectors of a neighbour of the problem, and the products it took to find them.
fn start_from(
    case: &Case,
    samples: usize,
    theta: &[f64],
    largest: usize,
    smallest: usize,
    tolerance: f64,
) -> Result<(Vec<Vec<f64>>, usize), Failure> {
    let risk = case.risk(samples)?;
    let point = risk.at(theta);
    let options = options(largest, smallest, tolerance);
    let s = extreme_eigenpairs(&hessian(&point, risk.dim()), &options, &mut ())?;
    Ok((s.pairs.into_iter().map(|p| p.vector).collect(), s.products))
}

fn costs(point: &RiskPoint<'_, f32>, n: usize) -> Result<(), Failure> {
    let mut xs = vec![0.0; 4 * n];
    Stream::new(1, "costs", 0).fill_normal(&mut xs);
    let mut ys = xs.clone();
    let kinds = [
        (Curvature::Hessian, 1),
        (Curvature::Hessian, 2),
        (Curvature::Hessian, 4),
        (Curvature::GaussNewton, 1),
    ];
    let mut seconds = vec![Vec::new(); kinds.len()];
    for _ in 0..6 {
        for ((of, block), seconds) in kinds.iter().zip(&mut seconds) {
            let begin = Instant::now();
            product(point, *of, &xs[..block * n], &mut ys[..block * n])?;
            seconds.push(begin.elapsed().as_secs_f64() / *block as f64);
        }
    }
    for ((of, block), seconds) in kinds.iter().zip(&mut seconds) {
        seconds.sort_by(f64::total_cmp);
        println!(
            "{of:?} in a block of {block}: at least {:.4} s, mostly {:.4} s a vector",
            seconds[0], seconds[3]
        );
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, data, ways @ ..] = &arguments[..] else {
        return Err("expected MODEL DATA [WAY…]".into());
    };
    let case = Case::load(model, data)?;
    let samples = case.data.samples();
    let risk = case.risk(samples)?;
    let n = risk.dim();
    println!("{model}: {n} parameters, {samples} samples");
    println!(
        "| way | tolerance | status | products with H | with G | of those with H for the start | seconds | λ_max | residual | λ_min | residual |"
    );
    println!("|{}", " --- |".repeat(11));
    let point = risk.at(&case.theta);
    let plain = |_: f64, r: Vec<f64>| Ok(r);
    for way in ways {
        let (name, numbers) = way.split_once(':').unwrap_or((way, ""));
        let numbers: Vec<usize> =
            numbers.split(':').filter(|s| !s.is_empty()).map(str::parse).collect::<Result<_, _>>()?;
        let number = |i: usize, default: usize| numbers.get(i).copied().unwrap_or(default);
        let of_g = Cell::new(0);
        let space = Space::new(&point, n);
        match name {
            "costs" => costs(&point, n)?,
            "space" => one_space(way, &hessian(&point, n), number(0, VECTORS), number(1, 1))?,
            "davidson" => davidson(way, space, Vec::new(), &plain, (0, &of_g))?,
            "diagonal" => {
                let probes = number(0, 30);
                let (mut z, mut image, mut diagonal) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
                for i in 0..probes {
                    Stream::new(0, "diagonal", i as u64).fill_rademacher(&mut z);
                    product(&point, Curvature::Hessian, &z, &mut image)?;
                    diagonal
                        .iter_mut()
                        .zip(z.iter().zip(&image))
                        .for_each(|(d, (z, h))| *d += z * h / probes as f64);
                }
                let by = |value: f64, r: Vec<f64>| Ok(by_diagonal(&diagonal, value, r));
                davidson(way, space, Vec::new(), &by, (probes, &of_g))?;
            }
            "gauss-newton" => {
                let by = |value: f64, r: Vec<f64>| by_gauss_newton(&point, number(0, 10), &of_g, value, r);
                davidson(way, space, Vec::new(), &by, (0, &of_g))?;
            }
            "known" | "part" | "part+" | "noise" | "noise+" => {
                let largest = number(0, 16);
                let smallest = usize::from(name.ends_with('+'));
                let part = if name.starts_with("part") { number(1, 4) } else { 1 };
                let tolerance = if name == "known" { 1e-3 } else { 1e-1 };
                let mut theta = case.theta.clone();
                if name.starts_with("noise") {
                    let mut noise = vec![0.0; n];
                    Stream::new(0, "noise", 0).fill_normal(&mut noise);
                    theta.iter_mut().zip(noise).for_each(|(x, z)| *x *= 1.0 + 0.01 * z);
                }
                let (start, before) =
                    start_from(&case, samples.div_ceil(part), &theta, largest, smallest, tolerance)?;
                println!("{way}: the start took {before} products on 1/{part} of the samples");
                davidson(way, space, start, &plain, (0, &of_g))?;
            }
            _ => return Err(format!("{way} is no way").into()),
        }
    }
    Ok(())
}
