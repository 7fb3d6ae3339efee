//! Elements put at places that a tensor of indices names.

use super::axes::{accepted_axis, resolve_axis};
use super::gather::entry;
use super::gather_nd::tuple_starts;
use super::strided::{nest, row_major, walk};
use crate::op::{Context, Op, OpInfo, Reads, ShapeError, Slots, numel};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// What becomes of the element that is there and of several updates of one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScatterReduction {
    /// The last update takes the place.
    Replace,
    /// Updates are added.
    Add,
    /// Updates are multiplied.
    Mul,
    /// The largest stays; of equal ones the first, which is the element that was there.
    Max,
    /// The smallest stays; of equal ones the first.
    Min,
}

/// How indices name places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Places {
    /// One index along this axis for every update (ONNX `ScatterElements`).
    Elements(i64),
    /// Tuples of indices for slices (ONNX `ScatterND`), after this many axes that x and the indices share.
    Tuples(usize),
}

/// y = x with updates put at places. Inputs: x, indices, updates. Indices are treated as in [`Gather`](super::Gather): not
/// differentiated; one that is none makes the result NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scatter {
    places: Places,
    reduction: ScatterReduction,
}

impl Scatter {
    /// y[…, indices[…, i, …], …] gets updates[…, i, …] along `axis`; indices and updates have one shape, at most as long as x along
    /// every other axis (ONNX `ScatterElements`, PyTorch `scatter`, `scatter_add`).
    pub fn elements(axis: i64, reduction: ScatterReduction) -> Self {
        Self { places: Places::Elements(axis), reduction }
    }

    /// y[b…, indices[b…, i…, :]] gets updates[b…, i…] for tuples of indices into the axes after the first `batch_dims`, which are
    /// shared (ONNX `ScatterND` has none).
    pub fn tuples(batch_dims: usize, reduction: ScatterReduction) -> Self {
        Self { places: Places::Tuples(batch_dims), reduction }
    }

    /// The place in x of every update; `None` if an index is none.
    fn resolve<T: Scalar>(&self, c: &Context<'_, T>) -> Option<Vec<usize>> {
        let (x, indices) = (c.inputs[0].shape, c.inputs[1].shape);
        match self.places {
            Places::Elements(axis) => {
                let axis = accepted_axis(axis, x.len());
                let mut strides = row_major(x);
                let step = std::mem::replace(&mut strides[axis], 0) as usize;
                let mut places = Vec::with_capacity(numel(indices));
                let mut valid = true;
                if let Some(axes) = nest(indices, [&strides]) {
                    walk(&axes, [0], &mut |[base]| {
                        let found = c.x(1).get(places.len()).and_then(|i| entry(i.to_f64(), x[axis]));
                        valid &= found.is_some();
                        places.push(base as usize + found.unwrap_or(0) * step);
                    });
                }
                valid.then_some(places)
            }
            Places::Tuples(batch_dims) => {
                let (starts, block) = tuple_starts(x, indices, c.x(1), batch_dims);
                let starts: Option<Vec<usize>> = starts.into_iter().collect();
                Some(starts?.into_iter().flat_map(|s| s..s + block).collect())
            }
        }
    }

    /// For every place of x the update that stays there, if it is not x's own element.
    fn winners<T: Scalar>(&self, c: &Context<'_, T>, places: &[usize]) -> Vec<Option<usize>> {
        let (x, updates) = (c.x(0), c.x(2));
        let mut winners = vec![None; numel(c.shape)];
        for (i, &p) in places.iter().enumerate() {
            let stands = |w: Option<usize>| w.map_or(x[p], |w: usize| updates[w]);
            let wins = match self.reduction {
                ScatterReduction::Max => updates[i] > stands(winners[p]),
                ScatterReduction::Min => updates[i] < stands(winners[p]),
                _ => true,
            };
            if wins {
                winners[p] = Some(i);
            }
        }
        winners
    }
}

impl OpInfo for Scatter {
    fn name(&self) -> &'static str {
        match self.places {
            Places::Elements(_) => "ScatterElements",
            Places::Tuples(_) => "ScatterND",
        }
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let [x, indices, updates] = *inputs else {
            return Err(ShapeError::new(self.name(), format!("takes 3 inputs, found {}", inputs.len())));
        };
        let fits = match self.places {
            Places::Elements(axis) => {
                let axis = resolve_axis(self.name(), axis, x.len())?;
                indices == updates
                    && indices.len() == x.len()
                    && (0..x.len()).all(|a| a == axis || indices[a] <= x[a])
            }
            Places::Tuples(b) => indices.split_last().is_some_and(|(&depth, lead)| {
                b + depth <= x.len()
                    && b <= lead.len()
                    && lead[..b] == x[..b]
                    && *updates == *[lead, &x[b + depth..]].concat()
            }),
        };
        if !fits {
            let message = format!("indices {indices:?} and updates {updates:?} do not fit {x:?}");
            return Err(ShapeError::new(self.name(), message));
        }
        Ok(x.to_vec())
    }

    fn reads(&self) -> Reads {
        match self.reduction {
            ScatterReduction::Replace | ScatterReduction::Add => Reads { inputs: 0b010, output: false },
            _ => Reads::INPUTS,
        }
    }
}

/// The factors of every place: x's own element first, then its updates in order.
struct Factors {
    /// Updates of place p: `updates[starts[p]..starts[p + 1]]`.
    starts: Vec<usize>,
    updates: Vec<usize>,
}

impl Factors {
    fn new(places: &[usize], len: usize) -> Self {
        let mut starts = vec![0; len + 1];
        for &p in places {
            starts[p + 1] += 1;
        }
        for p in 0..len {
            starts[p + 1] += starts[p];
        }
        let (mut filled, mut updates) = (starts.clone(), vec![0; places.len()]);
        for (i, &p) in places.iter().enumerate() {
            updates[filled[p]] = i;
            filled[p] += 1;
        }
        Self { starts, updates }
    }

    /// Calls `f(place, factor, p, ṗ)` for every factor (`None` is x's own), where p is the product of all others of its place and ṗ
    /// its tangent.
    fn each_cofactor<T: Scalar>(
        &self,
        x: &[T],
        u: &[T],
        dx: Option<&[T]>,
        du: Option<&[T]>,
        mut f: impl FnMut(usize, Option<usize>, T, T),
    ) {
        let mut right = Vec::new();
        for place in 0..x.len() {
            let list = &self.updates[self.starts[place]..self.starts[place + 1]];
            let factor = |i: usize| match i {
                0 => (x[place], dx.map_or(T::ZERO, |d| d[place])),
                i => (u[list[i - 1]], du.map_or(T::ZERO, |d| d[list[i - 1]])),
            };
            let times = |(p, dp): (T, T), (a, da): (T, T)| (p * a, dp * a + p * da);
            right.clear();
            let mut product = (T::ONE, T::ZERO);
            for i in (0..=list.len()).rev() {
                right.push(product);
                product = times(product, factor(i));
            }
            let mut left = (T::ONE, T::ZERO);
            for i in 0..=list.len() {
                let (p, dp) = times(left, right[list.len() - i]);
                f(place, (i > 0).then(|| list[i - 1]), p, dp);
                left = times(left, factor(i));
            }
        }
    }
}

impl Scatter {
    /// The map for given winners: elements of x and u chosen or added. Linear, and its own tangent.
    fn apply<T: Scalar>(
        &self,
        places: &[usize],
        winners: &[Option<usize>],
        x: Option<&[T]>,
        u: Option<&[T]>,
        y: &mut [T],
    ) {
        match x {
            Some(x) => y.copy_from_slice(x),
            None => y.fill(T::ZERO),
        }
        if self.reduction == ScatterReduction::Add {
            for (i, &p) in places.iter().enumerate() {
                y[p] += u.map_or(T::ZERO, |u| u[i]);
            }
            return;
        }
        for (y, winner) in y.iter_mut().zip(winners) {
            if let Some(i) = *winner {
                *y = u.map_or(T::ZERO, |u| u[i]);
            }
        }
    }

    /// The transpose of [`Scatter::apply`], adding.
    fn transpose<T: Scalar>(
        &self,
        places: &[usize],
        winners: &[Option<usize>],
        gy: &[T],
        gx: Option<&mut [T]>,
        gu: Option<&mut [T]>,
    ) {
        let add = self.reduction == ScatterReduction::Add;
        if let Some(gx) = gx {
            for (p, gx) in gx.iter_mut().enumerate() {
                if add || winners[p].is_none() {
                    *gx += gy[p];
                }
            }
        }
        if let Some(gu) = gu {
            for (i, &p) in places.iter().enumerate() {
                if add || winners[p] == Some(i) {
                    gu[i] += gy[p];
                }
            }
        }
    }

    /// Winners where the reduction has them.
    fn chosen<T: Scalar>(&self, c: &Context<'_, T>, places: &[usize]) -> Vec<Option<usize>> {
        match self.reduction {
            ScatterReduction::Add | ScatterReduction::Mul => vec![],
            _ => self.winners(c, places),
        }
    }
}

impl<T: Scalar> Op<T> for Scatter {
    fn forward(&self, c: &Context<'_, T>, y: &mut [T], _scratch: &mut Scratch<T>) {
        let Some(places) = self.resolve(c) else {
            y.fill(T::from_f64(f64::NAN));
            return;
        };
        if self.reduction == ScatterReduction::Mul {
            y.copy_from_slice(c.x(0));
            for (i, &p) in places.iter().enumerate() {
                y[p] *= c.x(2)[i];
            }
            return;
        }
        let winners = self.chosen(c, &places);
        self.apply(&places, &winners, Some(c.x(0)), Some(c.x(2)), y);
    }

    fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], _scratch: &mut Scratch<T>) {
        let Some(places) = self.resolve(c) else {
            dy.fill(T::from_f64(f64::NAN));
            return;
        };
        let winners = self.chosen(c, &places);
        let factors = Factors::new(&places, c.len());
        for (j, dy) in dy.chunks_exact_mut(c.len().max(1)).enumerate() {
            let (dx, du) = (c.dx(0, j), c.dx(2, j));
            if self.reduction == ScatterReduction::Mul {
                dy.fill(T::ZERO);
                factors.each_cofactor(c.x(0), c.x(2), None, None, |place, factor, p, _| {
                    let d = match factor {
                        None => dx.map(|d| d[place]),
                        Some(i) => du.map(|d| d[i]),
                    };
                    dy[place] += d.map_or(T::ZERO, |d| p * d);
                });
            } else {
                self.apply(&places, &winners, dx, du, dy);
            }
        }
    }

    fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
        let [own, _, updates] = gx else { return };
        let (own, updates) = (own.as_mut().map(|s| s.add()), updates.as_mut().map(|s| s.add()));
        let Some(places) = self.resolve(c) else { return };
        if self.reduction == ScatterReduction::Mul {
            let (mut own, mut updates) = (own, updates);
            Factors::new(&places, c.len()).each_cofactor(
                c.x(0),
                c.x(2),
                None,
                None,
                |place, factor, p, _| match (factor, &mut own, &mut updates) {
                    (None, Some(g), _) => g[place] += p * c.gy[place],
                    (Some(i), _, Some(g)) => g[i] += p * c.gy[place],
                    _ => {}
                },
            );
            return;
        }
        self.transpose(&places, &self.chosen(c, &places), c.gy, own, updates);
    }

    fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
        let [own, _, updates] = dgx else { return };
        let places = self.resolve(c);
        let winners = places.as_ref().map(|p| self.chosen(c, p)).unwrap_or_default();
        let factors = places.as_ref().map(|p| Factors::new(p, c.len()));
        for j in 0..c.tangents {
            let mut own = own.as_mut().map(|s| s.part(j, c.tangents));
            let mut updates = updates.as_mut().map(|s| s.part(j, c.tangents));
            let (own, updates) = (own.as_mut().map(|s| s.add()), updates.as_mut().map(|s| s.add()));
            let (Some(places), Some(factors)) = (&places, &factors) else { continue };
            let dgy = c.dgy(j);
            if self.reduction == ScatterReduction::Mul {
                let (mut own, mut updates) = (own, updates);
                let (dx, du) = (c.dx(0, j), c.dx(2, j));
                factors.each_cofactor(c.x(0), c.x(2), dx, du, |place, factor, p, dp| {
                    let g = p * dgy[place] + dp * c.gy[place];
                    match (factor, &mut own, &mut updates) {
                        (None, Some(own), _) => own[place] += g,
                        (Some(i), _, Some(updates)) => updates[i] += g,
                        _ => {}
                    }
                });
            } else {
                self.transpose(places, &winners, dgy, own, updates);
            }
        }
        for slot in [own, updates].into_iter().flatten() {
            slot.set_written();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Operand;
    use crate::testkit::OpCheck;

    const ALL: [ScatterReduction; 5] = [
        ScatterReduction::Replace,
        ScatterReduction::Add,
        ScatterReduction::Mul,
        ScatterReduction::Max,
        ScatterReduction::Min,
    ];

    #[test]
    fn derivatives_match_finite_differences() {
        for reduction in ALL {
            let op = Scatter::elements(1, reduction);
            let indices: Vec<f64> = (0..12).map(|i| f64::from(i * 5 % 4 - 1)).collect();
            let shapes: [&[usize]; 3] = [&[3, 5, 2], &[3, 2, 2], &[3, 2, 2]];
            OpCheck::new(&op, &shapes).values(1, indices).constant(1).run().unwrap();
            let op = Scatter::tuples(0, reduction);
            let shapes: [&[usize]; 3] = [&[3, 4, 2], &[5, 2], &[5, 2]];
            let indices = vec![0.0, 1.0, 2.0, -1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0];
            OpCheck::new(&op, &shapes).values(1, indices).constant(1).run().unwrap();
            let op = Scatter::tuples(1, reduction);
            let shapes: [&[usize]; 3] = [&[2, 4, 2], &[2, 3, 1], &[2, 3, 2]];
            let indices = vec![0.0, 1.0, 0.0, -1.0, 2.0, 2.0];
            OpCheck::new(&op, &shapes).values(1, indices).constant(1).run().unwrap();
        }
        // A zero among the factors.
        let op = Scatter::elements(0, ScatterReduction::Mul);
        let check = OpCheck::new(&op, &[&[2], &[3], &[3]]).values(1, vec![0.0, 0.0, 1.0]).constant(1);
        check.values(2, vec![0.0, 2.0, 0.0]).run().unwrap();
    }

    #[test]
    fn an_index_that_is_none_makes_nan() {
        let (x, indices, updates) = ([1.0, 2.0], [2.0], [5.0]);
        let operand =
            |shape, value| Operand { shape, value, tangent: None, packed: None, packed_tangents: &[] };
        let inputs = [operand(&[2], &x[..]), operand(&[1], &indices[..]), operand(&[1], &updates[..])];
        let c = Context { inputs: &inputs, shape: &[2], tangents: 0, y: &[], dy: &[], gy: &[], dgy: &[] };
        let mut y = [0.0; 2];
        Scatter::elements(0, ScatterReduction::Replace).forward(&c, &mut y, &mut Scratch::new());
        assert!(y.iter().all(|y: &f64| y.is_nan()));
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let op = Scatter::elements(0, ScatterReduction::Add);
        assert!(op.infer(&[&[3], &[2], &[3]]).is_err());
        assert!(op.infer(&[&[3, 2], &[2, 3], &[2, 3]]).is_err());
        assert!(Scatter::tuples(0, ScatterReduction::Add).infer(&[&[3, 2], &[4, 1], &[4, 3]]).is_err());
        assert!(Scatter::tuples(0, ScatterReduction::Add).infer(&[&[3, 2], &[4, 3], &[4]]).is_err());
    }
}
