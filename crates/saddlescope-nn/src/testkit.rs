//! Checks of an operation's four passes against finite differences, for our tests and for users' own operations.

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::op::{AnyOp, Context, Element, Operand, Packed, Reads, Slot, numel};
use crate::scratch::Scratch;

/// What to check an operation on.
pub(crate) struct OpCheck<'a> {
    /// The operation.
    pub op: &'a dyn AnyOp,
    /// Shapes of the inputs.
    pub shapes: Vec<Vec<usize>>,
    /// Values of the inputs; where `None`, uniform random numbers of absolute value 0.05 to 2 (away from kinks at 0).
    pub values: Vec<Option<Vec<f64>>>,
    /// Which inputs are differentiated (indices, labels and masks are not).
    pub differentiable: Vec<bool>,
    /// Step of the central differences in f64. Truncation is O(h²), rounding O(ε/h): 1e-5 gives about 1e-10.
    pub step: f64,
    /// Allowed difference to finite differences, relative to the largest entry (at least 1).
    pub tolerance: f64,
    /// Allowed difference between f32 and f64, relative to the largest entry (at least 1).
    pub f32_tolerance: f64,
}

impl<'a> OpCheck<'a> {
    /// A check with random values in which every input is differentiated.
    pub(crate) fn new(op: &'a dyn AnyOp, shapes: &[&[usize]]) -> Self {
        Self {
            op,
            shapes: shapes.iter().map(|s| s.to_vec()).collect(),
            values: vec![None; shapes.len()],
            differentiable: vec![true; shapes.len()],
            step: 1e-5,
            tolerance: 1e-7,
            f32_tolerance: 2e-4,
        }
    }

    /// The same check with given values of input `i`.
    pub(crate) fn values(mut self, i: usize, values: Vec<f64>) -> Self {
        self.values[i] = Some(values);
        self
    }

    /// The same check with input `i` not differentiated.
    pub(crate) fn constant(mut self, i: usize) -> Self {
        self.differentiable[i] = false;
        self
    }

    /// Runs the check; the error says which pass of which input differs, where and by how much.
    pub(crate) fn run(&self) -> Result<(), String> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
        let values: Vec<Vec<f64>> = (self.shapes.iter().zip(&self.values))
            .map(|(shape, given)| given.clone().unwrap_or_else(|| random(&mut rng, numel(shape))))
            .collect();
        let shapes: Vec<&[usize]> = self.shapes.iter().map(Vec::as_slice).collect();
        let out = self.op.infer(&shapes).map_err(|e| e.to_string())?;
        let len = numel(&out);
        let k = 3;
        let tangents: Vec<Option<Vec<f64>>> = (values.iter().zip(&self.differentiable))
            .map(|(v, &d)| d.then(|| random(&mut rng, k * v.len())))
            .collect();
        let gy = random(&mut rng, len);
        let dgy = random(&mut rng, k * len);
        let case = Case { op: self.op, shapes: &shapes, out: &out, k };
        let full = case.run::<f64>(&values, &tangents, &gy, &dgy, &Run::default());
        let unpacked = case.run::<f64>(&values, &tangents, &gy, &dgy, &Run { pack: false, ..Run::default() });
        full.compare(&unpacked, 1e-12, "parameters prepared against computed values")?;
        let accumulated =
            case.run::<f64>(&values, &tangents, &gy, &dgy, &Run { prefill: Some(0.5), ..Run::default() });
        full.shifted(0.5).compare(&accumulated, 1e-12, "adding to adjoints against overwriting them")?;
        for (unread, what) in [(Unread::Nan, "NaN"), (Unread::Absent, "nothing")] {
            let run = Run { unread, ..Run::default() };
            let got = case.run::<f64>(&values, &tangents, &gy, &dgy, &run);
            full.compare(&got, 1e-12, &format!("{what} in the place of what `reads` says is not read"))?;
        }
        for i in 0..values.len() {
            let run = Run { unwanted: Some(i), ..Run::default() };
            let others = case.run::<f64>(&values, &tangents, &gy, &dgy, &run);
            let what = format!("adjoint of input {i} not wanted");
            full.compare(&others, 1e-12, &what)?;
            for o in (0..values.len()).filter(|&o| o != i) {
                if full.gx[o].is_some() != others.gx[o].is_some()
                    || full.dgx[o].is_some() != others.dgx[o].is_some()
                {
                    return Err(format!("{what}: whether input {o} gets an adjoint changes"));
                }
            }
        }
        let single = case.run::<f32>(&values, &tangents, &gy, &dgy, &Run::default());
        full.compare(&single, self.f32_tolerance, "f64 against f32")?;

        // Tangent and adjoint's tangent against central differences, one input at a time and all at once.
        let h = self.step;
        let inputs = values.len();
        for only in (0..inputs).map(Some).chain([None]) {
            let chosen: Vec<Option<Vec<f64>>> = (tangents.iter().enumerate())
                .map(|(i, t)| t.clone().filter(|_| only.is_none_or(|o| o == i)))
                .collect();
            if chosen.iter().all(Option::is_none) {
                continue;
            }
            let got = case.run::<f64>(&values, &chosen, &gy, &dgy, &Run::default());
            for j in 0..k {
                let shift = |sign: f64| -> Passes {
                    let moved: Vec<Vec<f64>> = (values.iter().zip(&chosen))
                        .map(|(v, t)| match t {
                            Some(t) => {
                                (v.iter().zip(&t[j * v.len()..])).map(|(v, t)| v + sign * h * t).collect()
                            }
                            None => v.clone(),
                        })
                        .collect();
                    let gy: Vec<f64> =
                        gy.iter().zip(&dgy[j * len..]).map(|(g, d)| g + sign * h * d).collect();
                    case.run::<f64>(&moved, &tangents, &gy, &dgy, &Run::default())
                };
                let (plus, minus) = (shift(1.0), shift(-1.0));
                let what = match only {
                    Some(i) => format!("tangent {j} of input {i}"),
                    None => format!("tangent {j} of all inputs"),
                };
                let difference = |a: &[f64], b: &[f64]| -> Vec<f64> {
                    a.iter().zip(b).map(|(a, b)| (a - b) / (2.0 * h)).collect()
                };
                let dy = difference(&plus.y, &minus.y);
                close(&dy, &got.dy[j * len..(j + 1) * len], self.tolerance, &format!("ẏ, {what}"))?;
                for i in 0..inputs {
                    if let (Some(p), Some(m), Some(g)) = (&plus.gx[i], &minus.gx[i], &got.dgx[i]) {
                        let n = p.len();
                        close(
                            &difference(p, m),
                            &g[j * n..(j + 1) * n],
                            self.tolerance,
                            &format!("x̄˙ of input {i}, {what}"),
                        )?;
                    }
                }
            }
        }
        // The adjoint is the transpose of the tangent: ⟨ȳ, ẏ⟩ = ⟨x̄ᵢ, ẋᵢ⟩ for each input alone.
        for i in (0..inputs).filter(|&i| self.differentiable[i]) {
            let chosen: Vec<Option<Vec<f64>>> =
                tangents.iter().enumerate().map(|(o, t)| t.clone().filter(|_| o == i)).collect();
            let got = case.run::<f64>(&values, &chosen, &gy, &dgy, &Run::default());
            let (Some(gx), Some(dx)) = (&got.gx[i], &chosen[i]) else { continue };
            for j in 0..k {
                let left = dot(&gy, &got.dy[j * len..(j + 1) * len]);
                let right = dot(gx, &dx[j * gx.len()..(j + 1) * gx.len()]);
                let scale = dot(&abs(&gy), &abs(&got.dy[j * len..(j + 1) * len])).max(1.0);
                if (left - right).abs() > 1e-11 * scale {
                    return Err(format!(
                        "adjoint of input {i}: ⟨ȳ, ẏ⟩ = {left} differs from ⟨x̄, ẋ⟩ = {right}"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Checks an operation on random inputs, all differentiated. See [`OpCheck`].
pub(crate) fn check_op(op: &dyn AnyOp, shapes: &[&[usize]]) -> Result<(), String> {
    OpCheck::new(op, shapes).run()
}

fn random(rng: &mut Xoshiro256PlusPlus, n: usize) -> Vec<f64> {
    (0..n)
        .map(|_| {
            let magnitude = 0.05 + 1.95 * (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
            if rng.next_u64() >> 63 == 0 { magnitude } else { -magnitude }
        })
        .collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn abs(a: &[f64]) -> Vec<f64> {
    a.iter().map(|a| a.abs()).collect()
}

fn close(expected: &[f64], found: &[f64], tolerance: f64, what: &str) -> Result<(), String> {
    if expected.len() != found.len() {
        return Err(format!("{what}: {} numbers expected, {} found", expected.len(), found.len()));
    }
    let scale = expected.iter().fold(1.0_f64, |m, x| m.max(x.abs()));
    for (i, (e, f)) in expected.iter().zip(found).enumerate() {
        if (e - f).abs() > tolerance * scale || e.is_nan() != f.is_nan() {
            return Err(format!("{what}: entry {i} is {f}, expected {e}"));
        }
    }
    Ok(())
}

/// Results of all passes, in f64.
struct Passes {
    y: Vec<f64>,
    dy: Vec<f64>,
    gx: Vec<Option<Vec<f64>>>,
    dgx: Vec<Option<Vec<f64>>>,
}

impl Passes {
    fn shifted(&self, by: f64) -> Passes {
        let shift = |v: &Option<Vec<f64>>| v.as_ref().map(|v| v.iter().map(|x| x + by).collect());
        Passes {
            y: self.y.clone(),
            dy: self.dy.clone(),
            gx: self.gx.iter().map(shift).collect(),
            dgx: self.dgx.iter().map(shift).collect(),
        }
    }

    fn compare(&self, other: &Passes, tolerance: f64, what: &str) -> Result<(), String> {
        close(&self.y, &other.y, tolerance, &format!("{what}: y"))?;
        close(&self.dy, &other.dy, tolerance, &format!("{what}: ẏ"))?;
        for (name, a, b) in [("x̄", &self.gx, &other.gx), ("x̄˙", &self.dgx, &other.dgx)] {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                if let (Some(a), Some(b)) = (a, b) {
                    close(a, b, tolerance, &format!("{what}: {name} of input {i}"))?;
                }
            }
        }
        Ok(())
    }
}

/// How the passes are run.
struct Run {
    /// Whether parameters are prepared (see [`crate::op::Op::pack`]).
    pack: bool,
    /// Adjoint slots already hold this number.
    prefill: Option<f64>,
    /// The input whose adjoint is not wanted.
    unwanted: Option<usize>,
    /// What the backward passes find where the operation says it does not read.
    unread: Unread,
}

/// What stands in the place of what is not read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unread {
    /// What was there.
    Kept,
    /// NaN.
    Nan,
    /// Empty slices.
    Absent,
}

impl Default for Run {
    fn default() -> Self {
        Self { pack: true, prefill: None, unwanted: None, unread: Unread::Kept }
    }
}

struct Case<'a> {
    op: &'a dyn AnyOp,
    shapes: &'a [&'a [usize]],
    out: &'a [usize],
    k: usize,
}

impl Case<'_> {
    /// Runs all four passes.
    fn run<T: Element>(
        &self,
        values: &[Vec<f64>],
        tangents: &[Option<Vec<f64>>],
        gy: &[f64],
        dgy: &[f64],
        run: &Run,
    ) -> Passes {
        let Run { pack, prefill, unwanted, unread } = *run;
        let op = T::op(self.op);
        let cast = |v: &[f64]| -> Vec<T> { v.iter().map(|&x| T::from_f64(x)).collect() };
        let values: Vec<Vec<T>> = values.iter().map(|v| cast(v)).collect();
        let tangents: Vec<Option<Vec<T>>> = tangents.iter().map(|t| t.as_deref().map(cast)).collect();
        let (gy, dgy) = (cast(gy), cast(dgy));
        let mut scratch = Scratch::new();
        let packed: Vec<Option<Packed>> = (values.iter().enumerate())
            .map(|(i, v)| if pack { op.pack(self.shapes, i, v) } else { None })
            .collect();
        let packed_tangents: Vec<Vec<Packed>> = (tangents.iter().enumerate())
            .map(|(i, t)| match t {
                Some(t) if pack => (t.chunks_exact(values[i].len().max(1)))
                    .filter_map(|t| op.pack(self.shapes, i, t))
                    .collect(),
                _ => Vec::new(),
            })
            .collect();
        let inputs: Vec<Operand<'_, T>> = (0..values.len())
            .map(|i| Operand {
                shape: self.shapes[i],
                value: &values[i],
                tangent: tangents[i].as_deref(),
                packed: packed[i].as_ref(),
                packed_tangents: &packed_tangents[i],
            })
            .collect();
        let len = numel(self.out);
        let mut y = vec![T::from_f64(f64::NAN); len];
        let mut dy = vec![T::from_f64(f64::NAN); self.k * len];
        let mut context = Context {
            inputs: &inputs,
            shape: self.out,
            tangents: self.k,
            y: &[],
            dy: &[],
            gy: &[],
            dgy: &[],
        };
        if self.op.is_reshape() {
            y.copy_from_slice(&values[0]);
        } else {
            op.forward(&context, &mut y, &mut scratch);
        }
        context.y = &y;
        let reads = self.op.reads();
        let nan = |v: &[T]| -> Vec<T> {
            if unread == Unread::Nan { vec![T::from_f64(f64::NAN); v.len()] } else { Vec::new() }
        };
        let (nan_values, nan_y): (Vec<Vec<T>>, _) = (values.iter().map(|v| nan(v)).collect(), nan(&y));
        if self.op.is_reshape() {
            match &tangents[0] {
                Some(t) => dy.copy_from_slice(t),
                None => dy.fill(T::ZERO),
            }
        } else if unread == Unread::Nan {
            // Tangents run again where primal values are kept, and only those are kept that backward passes read.
            let kept: Vec<Operand<'_, T>> = (inputs.iter().enumerate())
                .map(|(i, &x)| match (reads.inputs >> i.min(31)) & 1 == 0 {
                    true => Operand { value: &nan_values[i], ..x },
                    false => x,
                })
                .collect();
            let y = if reads.output { &y[..] } else { &nan_y };
            op.tangent(&Context { inputs: &kept, y, ..context }, &mut dy, &mut scratch);
        } else {
            op.tangent(&context, &mut dy, &mut scratch);
        }
        context.dy = &dy;
        let nan_dy = nan(&dy);
        let nan_tangents: Vec<Option<Vec<T>>> = tangents.iter().map(|t| t.as_deref().map(nan)).collect();
        let read_inputs: Vec<Operand<'_, T>> = (inputs.iter().enumerate())
            .map(|(i, &x)| match unread != Unread::Kept && (reads.inputs >> i.min(31)) & 1 == 0 {
                true => Operand { value: &nan_values[i], tangent: nan_tangents[i].as_deref(), ..x },
                false => x,
            })
            .collect();
        context.inputs = &read_inputs;
        if unread != Unread::Kept && !reads.output {
            (context.y, context.dy) = (&nan_y, &nan_dy);
        }
        context.gy = &gy;
        context.dgy = &dgy;
        let start = T::from_f64(prefill.unwrap_or(f64::NAN));
        let mut gx: Vec<Vec<T>> = values.iter().map(|v| vec![start; v.len()]).collect();
        let mut dgx: Vec<Vec<T>> = values.iter().map(|v| vec![start; self.k * v.len()]).collect();
        let mut written = [vec![false; gx.len()], vec![false; gx.len()]];
        for (which, buffers) in [&mut gx, &mut dgx].into_iter().enumerate() {
            if self.op.is_reshape() {
                let source = if which == 0 { &gy } else { &dgy };
                for (b, s) in buffers[0].iter_mut().zip(source) {
                    *b = if prefill.is_some() { *b + *s } else { *s };
                }
                written[which][0] = true;
                continue;
            }
            let mut slots: Vec<Option<Slot<'_, T>>> = (buffers.iter_mut().enumerate())
                .map(|(i, b)| (unwanted != Some(i)).then(|| Slot::new(b, prefill.is_none())))
                .collect();
            if which == 0 {
                op.adjoint(&context, &mut slots, &mut scratch);
            } else {
                // What reads nothing has no second derivative, so that ȳ is of no use to it.
                let linear = unread == Unread::Nan && reads == Reads::NONE;
                let gy = if linear { &nan_y[..] } else { &gy };
                op.adjoint_tangent(&Context { gy, ..context }, &mut slots, &mut scratch);
            }
            for (i, slot) in slots.iter().enumerate() {
                written[which][i] = slot.as_ref().is_some_and(Slot::is_written);
            }
        }
        let wide = |v: &[T]| -> Vec<f64> { v.iter().map(|x| x.to_f64()).collect() };
        let results = |buffers: &[Vec<T>], written: &[bool]| -> Vec<Option<Vec<f64>>> {
            (buffers.iter().zip(written)).map(|(b, &w)| w.then(|| wide(b))).collect()
        };
        Passes { y: wide(&y), dy: wide(&dy), gx: results(&gx, &written[0]), dgx: results(&dgx, &written[1]) }
    }
}
