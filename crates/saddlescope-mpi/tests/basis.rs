//! Krylov bases whose rows are split over ranks: solvers come to the bits of one process. The ranks are threads.

use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicUsize, Ordering};

use saddlescope_krylov::{
    BasisLimit, DOT_BLOCK, DensityOptions, Eigensolution, ExtremeEigen, LanczosError, LanczosState, Observer,
    Precision, Progress, ResidualSpace, SnapshotWriter, Status, TraceOptions, algorithm1, extreme_eigenpairs,
    hutch_plus_plus, read_snapshot, read_snapshot_for, resume_extreme_eigenpairs, spectral_density, xtrace,
};
use saddlescope_landscape::{
    ChunkedPoint, ChunkedRisk, Curvature, CurvatureOperator, Evaluation, NodeSum, Offers, ParameterLayout,
    PartialSums, Point, Product, Risk, RiskError,
};
use saddlescope_mpi::{CommunicationError, Communicator, LocalRank, LocalRanks, Root, serve};

/// Five and a half blocks: with 2 to 7 ranks there are ranks with whole nodes of several levels, and some without rows.
const N: usize = 5 * DOT_BLOCK + DOT_BLOCK / 2 + 3;
const CHUNKS: usize = 5;

/// A sum of diagonal matrices, one for each of five chunks, with outliers at both ends.
struct Diagonals {
    layout: ParameterLayout,
}

impl Diagonals {
    fn new() -> Self {
        Self { layout: ParameterLayout::flat(N) }
    }

    fn entry(chunk: usize, i: usize) -> f64 {
        let bulk = ((i * 7919 + chunk * 104_729) % 10_007) as f64 / 10_007.0 - 0.4;
        let outlier = match i {
            100 => 9.0,
            20_000 => 7.0,
            45_000 => 6.5,
            30_000 => -4.0,
            44_444 => -3.0,
            _ => 0.0,
        };
        (outlier + bulk) / CHUNKS as f64
    }
}

fn not_offered<T>(what: &str) -> Result<T, RiskError> {
    Err(RiskError::NotOffered { what: what.into() })
}

impl Risk for Diagonals {
    fn layout(&self) -> &ParameterLayout {
        &self.layout
    }

    fn offers(&self) -> Offers {
        Offers {
            gradient: false,
            curvatures: vec![Curvature::Hessian],
            accuracy: false,
            chunks: false,
            repeatable: true,
            precision: Precision::F64,
        }
    }

    fn evaluate(&self, _: &[f64]) -> Result<Evaluation, RiskError> {
        not_offered("a loss")
    }

    fn gradient(&self, _: &[f64], _: &mut [f64]) -> Result<Evaluation, RiskError> {
        not_offered("a gradient")
    }

    fn at<'a>(&'a self, _: &[f64], _: usize) -> Result<Box<dyn Point + 'a>, RiskError> {
        Ok(Box::new(Whole(self)))
    }
}

impl ChunkedRisk for Diagonals {
    fn chunks(&self) -> usize {
        CHUNKS
    }

    fn evaluate_chunks(&self, _: &[f64], _: Range<usize>) -> Result<PartialSums, RiskError> {
        not_offered("a loss")
    }

    fn whole_evaluation(&self, _: &[f64], _: PartialSums) -> Result<Evaluation, RiskError> {
        not_offered("a loss")
    }

    fn gradient_chunks(&self, _: &[f64], _: Range<usize>) -> Result<PartialSums, RiskError> {
        not_offered("a gradient")
    }

    fn whole_gradient(&self, _: &[f64], _: PartialSums, _: &mut [f64]) -> Result<Evaluation, RiskError> {
        not_offered("a gradient")
    }

    fn at_chunks<'a>(
        &'a self,
        _: &[f64],
        chunks: Range<usize>,
        _: usize,
    ) -> Result<Box<dyn ChunkedPoint + 'a>, RiskError> {
        Ok(Box::new(Part(chunks)))
    }

    fn whole_product(
        &self,
        _: Curvature,
        _: &[f64],
        sums: PartialSums,
        out: &mut [f64],
    ) -> Result<Product, RiskError> {
        let (sums, _) = sums.finish();
        out.copy_from_slice(&sums[0]);
        Ok(Product::default())
    }
}

struct Part(Range<usize>);

impl ChunkedPoint for Part {
    fn product_chunks(&self, _: Curvature, vs: &[f64]) -> Result<PartialSums, RiskError> {
        let mut all = PartialSums::default();
        for number in self.0.clone() {
            let values = vs.iter().enumerate().map(|(i, v)| Diagonals::entry(number, i % N) * v).collect();
            let node = NodeSum { level: 0, number, values };
            all.append(PartialSums { sums: vec![vec![node]], rows: Vec::new() });
        }
        Ok(all)
    }
}

struct Whole<'a>(&'a Diagonals);

impl Point for Whole<'_> {
    fn dim(&self) -> usize {
        N
    }

    fn product(&self, curvature: Curvature, vs: &[f64], out: &mut [f64]) -> Result<Product, RiskError> {
        self.0.whole_product(curvature, vs, Part(0..CHUNKS).product_chunks(curvature, vs)?, out)
    }
}

/// What `work` gives with the Hessian over so many ranks.
fn on_ranks<R: Send>(size: usize, work: impl Fn(&dyn Risk) -> R + Sync) -> R {
    on_communicators(LocalRanks::new(size), |rank| rank, work)
}

fn on_communicators<R: Send, C: Communicator + Send + 'static>(
    ranks: Vec<LocalRank>,
    first: impl FnOnce(LocalRank) -> C,
    work: impl Fn(&dyn Risk) -> R + Sync,
) -> R {
    let own = Diagonals::new();
    let mut ranks = ranks.into_iter();
    let zero = first(ranks.next().unwrap());
    std::thread::scope(|scope| {
        for rank in ranks {
            // Where rank 0 fails the others do too.
            scope.spawn(move || serve(&rank, &[&Diagonals::new() as &dyn ChunkedRisk]));
        }
        let root = Root::new(zero);
        work(&root.risk(0, &own))
    })
}

fn options(precision: Precision, block_size: usize) -> ExtremeEigen {
    ExtremeEigen {
        precision,
        block_size,
        tolerance: 1e-4,
        basis_limit: BasisLimit::Vectors(12),
        seed: 3,
        ..ExtremeEigen::ends(2, 1)
    }
}

/// Values, residuals, vectors, to the bit.
fn bits(solution: &Eigensolution) -> (Vec<u64>, usize, usize) {
    let numbers = |p: &saddlescope_krylov::Eigenpair| {
        [p.value, p.residual]
            .into_iter()
            .chain(p.vector.iter().copied())
            .map(f64::to_bits)
            .collect::<Vec<_>>()
    };
    (solution.pairs.iter().flat_map(numbers).collect(), solution.products, solution.restarts)
}

fn solve(risk: &dyn Risk, options: &ExtremeEigen) -> Eigensolution {
    let point = risk.at(&[0.0; N], 0).unwrap();
    extreme_eigenpairs(&CurvatureOperator::hessian(&*point), options, &mut ()).unwrap()
}

#[test]
fn eigenpairs_over_any_number_of_ranks_have_the_bits_of_one_process() {
    for precision in [Precision::F32, Precision::F64] {
        for block_size in [1, 2] {
            let options = options(precision, block_size);
            let expected = solve(&Diagonals::new(), &options);
            assert!(expected.status == Status::Converged && expected.restarts > 0, "{}", expected.status);
            for size in [1, 2, 3, 4, 7] {
                let found = on_ranks(size, |risk| bits(&solve(risk, &options)));
                assert!(found == bits(&expected), "{precision:?}, blocks of {block_size}, {size} ranks");
            }
        }
    }
}

#[test]
fn no_rank_holds_more_than_its_rows() {
    for (size, most) in [(1, N), (2, 3 * DOT_BLOCK), (3, 2 * DOT_BLOCK), (4, 2 * DOT_BLOCK), (7, DOT_BLOCK)] {
        let (rows, basis) = on_ranks(size, |risk| {
            let point = risk.at(&[0.0; N], 0).unwrap();
            (risk.basis_rows(), format!("{:?}", point.new_basis(Precision::F32).unwrap()))
        });
        assert_eq!(rows, most, "{size} ranks");
        if size > 1 {
            assert_eq!(basis, format!("0 vectors of {N} rows over {size} ranks"));
        }
    }
}

/// Other solvers with a basis, one after the other.
fn others(risk: &dyn Risk) -> Vec<f64> {
    let point = risk.at(&[0.0; N], 0).unwrap();
    let a = CurvatureOperator::hessian(&*point);
    let mut found = Vec::new();
    for reorthogonalise in [true, false] {
        let steps = DensityOptions {
            probes: 2,
            steps: 5,
            block_size: 2,
            reorthogonalise,
            ..DensityOptions::default()
        };
        let density = spectral_density(&a, &steps, &mut ()).unwrap();
        density.probes.iter().for_each(|q| found.extend(q.nodes.iter().chain(&q.weights)));
    }
    let trace = TraceOptions { max_products: 12, block_size: 3, ..TraceOptions::default() };
    found.extend(hutch_plus_plus(&a, &trace, &mut ()).unwrap().per_probe);
    found.extend(xtrace(&a, &trace, &mut ()).unwrap().per_probe);
    let two = algorithm1(&a, &options(Precision::F64, 1), &mut ()).unwrap();
    found.extend(two.first.iter().chain(&two.second).flat_map(|p| [p.value, p.residual, p.vector[N - 1]]));
    let mut space = ResidualSpace::new(&a, (0..N).map(|i| (i as f64).sin()).collect()).unwrap();
    for _ in 0..4 {
        assert!(space.extend(&a).unwrap());
    }
    let step = space.solve(1.0).coordinates;
    found.extend(space.vector(&step).unwrap());
    found.extend(space.image(&step).unwrap());
    found
}

#[test]
fn every_solver_over_ranks_has_the_bits_of_one_process() {
    let expected = others(&Diagonals::new());
    assert!(expected.iter().all(|x| x.is_finite()));
    for size in [2, 3, 4] {
        assert!(on_ranks(size, others) == expected, "{size} ranks");
    }
}

/// Saves every state, and stops after so many products.
struct Saver {
    stop_at: usize,
    log: SnapshotWriter<Vec<u8>>,
    last: Option<LanczosState>,
}

impl Observer for Saver {
    fn progress(&mut self, _: &Progress<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn snapshot(&mut self, state: &LanczosState) -> ControlFlow<()> {
        self.log.write(state).unwrap();
        self.last = Some(state.clone());
        if state.products() >= self.stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// What a solve that was stopped has written, and whether the copy of its state is equal to it.
fn stopped(risk: &dyn Risk, options: &ExtremeEigen, stop_at: usize) -> Vec<u8> {
    let point = risk.at(&[0.0; N], 0).unwrap();
    let a = CurvatureOperator::hessian(&*point);
    let mut saver = Saver { stop_at, log: SnapshotWriter::new(Vec::new()), last: None };
    let solution = extreme_eigenpairs(&a, options, &mut saver).unwrap();
    assert_eq!(solution.status, Status::Cancelled);
    let log = saver.log.into_inner();
    let here = read_snapshot(&log[..]).unwrap();
    let there = read_snapshot_for(&a, std::io::Cursor::new(&log)).unwrap();
    assert!(here == solution.state && there == solution.state && saver.last.as_ref() == Some(&here));
    // The copy is its own: the other one goes on.
    let copy = there.clone();
    let rest = resume_extreme_eigenpairs(&a, options, there, &mut ()).unwrap();
    assert!(copy == here && rest.state != here);
    log
}

#[test]
fn a_stopped_solve_goes_on_with_any_number_of_ranks() {
    for (precision, block_size, stop_at) in
        [(Precision::F32, 1, 7), (Precision::F64, 1, 14), (Precision::F64, 2, 14)]
    {
        let tolerance = if precision == Precision::F32 { 1e-4 } else { 1e-9 };
        let options = ExtremeEigen { tolerance, ..options(precision, block_size) };
        let whole = solve(&Diagonals::new(), &options);
        assert!(whole.products > stop_at + 3 && whole.restarts > 0, "{}", whole.products);
        let log = stopped(&Diagonals::new(), &options, stop_at);
        for (before, after) in [(2, 1), (3, 4), (1, 3), (4, 2)] {
            // What is written does not tell from how many ranks it comes.
            assert!(on_ranks(before, |risk| stopped(risk, &options, stop_at)) == log, "{before} ranks");
            let rest = on_ranks(after, |risk| {
                let point = risk.at(&[0.0; N], 0).unwrap();
                let a = CurvatureOperator::hessian(&*point);
                let state = read_snapshot_for(&a, std::io::Cursor::new(&log)).unwrap();
                bits(&resume_extreme_eigenpairs(&a, &options, state, &mut ()).unwrap())
            });
            assert!(rest == bits(&whole), "{before}, then {after} ranks");
        }
    }
}

#[test]
fn a_snapshot_of_another_dimension_is_refused() {
    let log = stopped(&Diagonals::new(), &options(Precision::F32, 1), 3);
    let small = saddlescope_krylov::DenseOperator::from_diagonal(&[1.0; 9]);
    let error = read_snapshot_for(&small, std::io::Cursor::new(&log)).unwrap_err().to_string();
    assert!(error.contains(&N.to_string()) && error.contains("expected 9"), "{error}");
}

/// Fails from a certain message on.
struct Failing {
    inner: LocalRank,
    left: AtomicUsize,
}

impl Failing {
    fn next(&self) -> Result<(), CommunicationError> {
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        let host = self.host().to_string();
        left.map(|_| ()).map_err(|_| CommunicationError { rank: 0, host, problem: "cut off".into() })
    }
}

impl Communicator for Failing {
    fn rank(&self) -> usize {
        self.inner.rank()
    }

    fn size(&self) -> usize {
        self.inner.size()
    }

    fn host(&self) -> &str {
        self.inner.host()
    }

    fn send(&self, bytes: &[u8], to: usize) -> Result<(), CommunicationError> {
        self.next()?;
        self.inner.send(bytes, to)
    }

    fn receive(&self, bytes: &mut [u8], from: usize) -> Result<(), CommunicationError> {
        self.next()?;
        self.inner.receive(bytes, from)
    }
}

#[test]
fn ranks_that_cannot_be_reached_end_a_solve_with_an_error() {
    // Whatever it is that fails: nearly every message of the first steps.
    for messages in (2..90).step_by(4) {
        let first = |inner| Failing { inner, left: AtomicUsize::new(messages) };
        let error = on_communicators(LocalRanks::new(2), first, |risk| {
            let point = risk.at(&[0.0; N], 0).map_err(|e| e.to_string())?;
            let a = CurvatureOperator::hessian(&*point);
            match extreme_eigenpairs(&a, &options(Precision::F32, 1), &mut ()) {
                Ok(solution) => Ok(solution.status),
                Err(LanczosError::Product(error)) => Err(error.to_string()),
                Err(other) => panic!("{other}"),
            }
        });
        let error = error.unwrap_err();
        assert!(error.contains("cut off") || error.contains("cannot be reached"), "{messages}: {error}");
    }
}

#[test]
fn what_outlives_the_ranks_fails_and_does_not_wait() {
    let state = on_ranks(2, |risk| {
        let point = risk.at(&[0.0; N], 0).unwrap();
        let few = ExtremeEigen { max_products: 3, ..options(Precision::F32, 1) };
        extreme_eigenpairs(&CurvatureOperator::hessian(&*point), &few, &mut ()).unwrap().state
    });
    assert!(state.basis_len() > 0);
    for error in [state.basis_vector(0).unwrap_err().to_string(), state.to_bytes().unwrap_err().to_string()] {
        assert!(error.contains("the other ranks have finished"), "{error}");
    }
    assert!(state.clone() != state);
}
