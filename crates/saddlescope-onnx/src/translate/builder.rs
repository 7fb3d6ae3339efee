//! Bringing values of the ONNX graph into the engine, in the order of axes that an operation wants.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::draft::{Draft, DraftId};
use super::symbol::{Both, Known, PROBES, Symbol, Tensor, identity, inverse, reorder};
use crate::element::ElementType;
use crate::error::OpError;
use crate::eval::Budget;
use crate::value::{Data, Value};
use saddlescope_nn::graph::{DataInput, ParameterKind};
use saddlescope_nn::op::{IntoOp, numel};
use saddlescope_nn::ops;

/// A data input of the engine and the ONNX value it holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Feed {
    /// Name of the ONNX value, and of the engine's data input.
    pub(crate) value: String,
    /// Which axis of the ONNX value counts the samples.
    pub(crate) batch_axis: usize,
    /// Length of that axis per sample.
    pub(crate) per_sample: usize,
    /// Shape of one sample, in ONNX's order of axes, without the batch axis (`per_sample` first if it is not 1).
    pub(crate) shape: Vec<usize>,
}

/// Name of the data input that is zero for every sample and gives constants a batch axis.
pub(crate) const ZEROS: &str = "(zeros)";

/// The draft with what has been brought into it so far.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    pub(crate) draft: Draft,
    pub(crate) feeds: Vec<Feed>,
    /// Name of the ONNX node being translated, for the engine's nodes.
    pub(crate) node: String,
    data: BTreeMap<String, Tensor>,
    buffers: BTreeMap<(String, Vec<usize>), DraftId>,
    moved: BTreeMap<(DraftId, Vec<usize>, Vec<usize>), DraftId>,
    zeros: Option<DraftId>,
    /// Initialisers that were used as constants although they could have been parameters, with the reason.
    pub(crate) constants: BTreeMap<usize, String>,
    /// Initialisers that are running statistics.
    pub(crate) buffer_candidates: BTreeSet<usize>,
    /// Names of parameters, where the file or the user gives them.
    pub(crate) declared: BTreeSet<String>,
    /// Names of running statistics.
    pub(crate) statistics: BTreeSet<String>,
    /// Graph inputs and constants without a batch axis are allowed (conformance cases).
    pub(crate) single: bool,
    /// The data are one sample, of which no axis of the file counts anything; the engine's batch is 1.
    pub(crate) one_sample: bool,
    pub(crate) notes: Vec<String>,
    /// What may still be computed or laid down at import.
    pub(crate) budget: Budget,
}

impl Symbol {
    /// Shapes at the two probe batch sizes, in ONNX's order of axes.
    pub(crate) fn shapes(&self, builder: &Builder) -> Both<Vec<usize>> {
        match self {
            Symbol::Known(k) | Symbol::Data(k) => k.shapes(),
            Symbol::Weight { candidate, view, .. } => {
                let shape = reorder(&builder.draft.candidates[*candidate].shape, view);
                [shape.clone(), shape]
            }
            Symbol::Engine(t) => builder.shapes(t),
        }
    }

    /// Number of dimensions.
    pub(crate) fn rank(&self, builder: &Builder) -> usize {
        match self {
            Symbol::Known(k) | Symbol::Data(k) => k.values[0].rank(),
            Symbol::Weight { view, .. } => view.len(),
            Symbol::Engine(t) => {
                debug_assert_eq!(t.order.len(), builder.draft.shape(t.id)[0].len());
                t.order.len()
            }
        }
    }

    /// Element type.
    pub(crate) fn element(&self) -> ElementType {
        match self {
            Symbol::Known(k) | Symbol::Data(k) => k.values[0].element(),
            Symbol::Weight { value, .. } => value.element(),
            Symbol::Engine(t) => t.element,
        }
    }
}

impl Builder {
    /// A builder that may lay down and compute as much as `budget` says.
    pub(crate) fn new(budget: Budget) -> Self {
        Self { budget, ..Self::default() }
    }

    /// A builder for one node by itself, without a batch.
    pub(crate) fn single() -> Self {
        Self { single: true, budget: Budget::for_import(0), ..Self::default() }
    }

    /// Shapes of an engine value in ONNX's order of axes.
    pub(crate) fn shapes(&self, t: &Tensor) -> Both<Vec<usize>> {
        let back = inverse(&t.order);
        let [a, b] = self.draft.shape(t.id);
        [reorder(a, &back), reorder(b, &back)]
    }

    /// The value of a constant that must be known at import (axes, sizes, scales); it may differ between the batch
    /// sizes.
    pub(crate) fn constant(&mut self, symbol: &Symbol, what: &str) -> Result<Both<Rc<Value>>, OpError> {
        match symbol {
            Symbol::Known(k) => Ok(k.values.clone()),
            Symbol::Weight { candidate, view, value } if *view == identity(view.len()) => {
                let name = &self.draft.candidates[*candidate].name;
                if self.declared.contains(name) {
                    return Err(OpError::new(format!(
                        "{what} is the parameter `{name}`; it must be constant"
                    )));
                }
                self.constants.insert(*candidate, format!("used as a constant ({what})"));
                Ok([value.clone(), value.clone()])
            }
            Symbol::Data(_) => Err(OpError::new(format!("{what} depends on the data; it must be constant"))),
            _ => Err(OpError::new(format!("{what} depends on parameters; it must be constant"))),
        }
    }

    /// As [`Builder::constant`], the same for every batch size.
    pub(crate) fn fixed_constant(&mut self, symbol: &Symbol, what: &str) -> Result<Rc<Value>, OpError> {
        let [a, b] = self.constant(symbol, what)?;
        if a == b { Ok(a) } else { Err(OpError::new(format!("{what} depends on the batch size"))) }
    }

    /// Adds an operation; the result has its axes in the order `order`.
    pub(crate) fn op(
        &mut self,
        op: impl IntoOp,
        inputs: &[&Tensor],
        order: Vec<usize>,
    ) -> Result<Tensor, OpError> {
        let ids = inputs.iter().map(|t| t.id).collect();
        let name = self.node.clone();
        let id = self.draft.node(&name, op.into_op(), ids)?;
        let rank = self.draft.shape(id)[0].len();
        if order.len() != rank {
            return Err(OpError::new(format!("a result with {rank} dimensions, expected {}", order.len())));
        }
        let element = inputs.first().map_or(ElementType::F32, |t| t.element);
        Ok(Tensor { id, order, element, weight: None })
    }

    /// As [`Builder::op`], for results whose axes are in ONNX's own order.
    pub(crate) fn plain_op(&mut self, op: impl IntoOp, inputs: &[&Tensor]) -> Result<Tensor, OpError> {
        let ids = inputs.iter().map(|t| t.id).collect();
        let name = self.node.clone();
        let id = self.draft.node(&name, op.into_op(), ids)?;
        let order = identity(self.draft.shape(id)[0].len());
        let element = inputs.first().map_or(ElementType::F32, |t| t.element);
        Ok(Tensor { id, order, element, weight: None })
    }

    /// A scalar constant.
    pub(crate) fn scalar(&mut self, x: f64, element: ElementType) -> Tensor {
        let key = (format!("(constant {x})"), vec![]);
        let id = match self.buffers.get(&key) {
            Some(id) => *id,
            None => {
                let id = self.draft.buffer(key.0.clone(), vec![], vec![x]);
                self.buffers.insert(key, id);
                id
            }
        };
        Tensor { id, order: vec![], element, weight: None }
    }

    /// A constant tensor of our own making, in plain order.
    pub(crate) fn own_buffer(
        &mut self,
        what: &str,
        shape: Vec<usize>,
        values: Vec<f64>,
        element: ElementType,
    ) -> Tensor {
        let name = format!("{} ({what})", self.node);
        let order = identity(shape.len());
        let id = self.draft.buffer(name, shape, values);
        Tensor { id, order, element, weight: None }
    }

    /// The symbol in the engine with its axes in ONNX's order.
    pub(crate) fn plain(&mut self, symbol: &Symbol) -> Result<Tensor, OpError> {
        let order = identity(symbol.rank(self));
        self.tensor(symbol, &order)
    }

    /// The symbol in the engine in whatever order its axes are already.
    pub(crate) fn any(&mut self, symbol: &Symbol) -> Result<Tensor, OpError> {
        match symbol {
            Symbol::Engine(t) => Ok(t.clone()),
            Symbol::Data(k) => match self.data.get(&k.name) {
                Some(t) => Ok(t.clone()),
                None => self.plain(symbol),
            },
            _ => self.plain(symbol),
        }
    }

    /// The symbol in the engine, engine axis i being ONNX axis `want[i]`, with exactly its shape.
    pub(crate) fn tensor(&mut self, symbol: &Symbol, want: &[usize]) -> Result<Tensor, OpError> {
        let t = self.broadcastable(symbol, want)?;
        let wanted = symbol.shapes(self);
        if self.shapes(&t) == wanted { Ok(t) } else { self.repeat_over_batch(&t, &wanted) }
    }

    /// As [`Builder::tensor`], but a constant that repeats one slice for every sample may have length 1 along the batch
    /// axis instead.
    pub(crate) fn broadcastable(&mut self, symbol: &Symbol, want: &[usize]) -> Result<Tensor, OpError> {
        match symbol {
            Symbol::Engine(t) => self.moved(t, want),
            Symbol::Weight { candidate, view, value } => {
                let file: Vec<usize> = reorder(view, want);
                let element = value.element();
                let weight = Some(*candidate);
                match self.draft.candidates[*candidate].realized.clone() {
                    None => {
                        let id = self.draft.parameter(*candidate, file);
                        Ok(Tensor { id, order: want.to_vec(), element, weight })
                    }
                    Some((realized, id)) => {
                        let order = reorder(&inverse(view), &realized);
                        self.moved(&Tensor { id, order, element, weight }, want)
                    }
                }
            }
            Symbol::Data(known) => {
                let t = match self.data.get(&known.name) {
                    Some(t) => t.clone(),
                    None => {
                        let t = self.data_input(known, want)?;
                        self.data.insert(known.name.clone(), t.clone());
                        t
                    }
                };
                self.moved(&t, want)
            }
            Symbol::Known(known) => self.known_tensor(known, want),
        }
    }

    fn known_tensor(&mut self, known: &Known, want: &[usize]) -> Result<Tensor, OpError> {
        let value = match known.fixed() {
            Some(value) => value.clone(),
            None => Rc::new(one_slice(known).ok_or_else(|| {
                OpError::new(format!(
                    "`{}` is made from the batch size (shapes {:?} for {PROBES:?} samples) and is not the same for every sample, as numbers of \
                     samples, labels that count through the batch, or the offsets of an embedding bag are: samples would not be \
                     independent. See docs/from-pytorch.md, What PyTorch cannot export",
                    known.name,
                    known.shapes()
                ))
            })?),
        };
        let element = value.element();
        let key = (known.name.clone(), want.to_vec());
        let id = match self.buffers.get(&key) {
            Some(id) => *id,
            None => {
                self.budget.take(value.shape())?;
                let moved = crate::eval::permuted(&value, want)?;
                let id = self.draft.buffer(known.name.clone(), moved.shape().to_vec(), moved.to_f64s()?);
                self.buffers.insert(key, id);
                id
            }
        };
        Ok(Tensor { id, order: want.to_vec(), element, weight: None })
    }

    fn data_input(&mut self, known: &Known, want: &[usize]) -> Result<Tensor, OpError> {
        let shapes = known.shapes();
        let [a, b] = &shapes;
        let element = known.values[0].element();
        if self.one_sample && a == b {
            self.feeds.push(Feed {
                value: known.name.clone(),
                batch_axis: 0,
                per_sample: 1,
                shape: a.clone(),
            });
            let input = DataInput { name: known.name.clone(), shape: a.clone(), permutation: None };
            let with_batch = [&[1][..], a].concat();
            let order = identity(with_batch.len());
            let id = self.draft.data(input, [with_batch.clone(), with_batch]);
            return self.reshaped(&Tensor { id, order, element, weight: None }, &shapes);
        }
        let axes: Vec<usize> = (0..a.len()).filter(|&d| a[d] != b[d]).collect();
        let problem = |why: &str| {
            OpError::new(format!(
                "`{}` depends on the data, has shapes {shapes:?} at batch sizes {PROBES:?}: {why}",
                known.name
            ))
        };
        let &[axis] = axes.as_slice() else {
            return Err(problem("exactly one dimension must grow with the batch"));
        };
        if a[axis] % PROBES[0] != 0 || a[axis] / PROBES[0] * PROBES[1] != b[axis] {
            return Err(problem("a dimension is no multiple of the batch size"));
        }
        let per_sample = a[axis] / PROBES[0];
        let mut shape = a.clone();
        shape.remove(axis);
        if per_sample != 1 {
            if axis != 0 {
                return Err(problem("the batch is not the first dimension"));
            }
            shape.insert(0, per_sample);
        }
        self.feeds.push(Feed {
            value: known.name.clone(),
            batch_axis: axis,
            per_sample,
            shape: shape.clone(),
        });
        if per_sample != 1 {
            let with_batch = |n: usize| [&[n][..], &shape].concat();
            let both = [with_batch(PROBES[0]), with_batch(PROBES[1])];
            let input = DataInput { name: known.name.clone(), shape: shape.clone(), permutation: None };
            let id = self.draft.data(input, both);
            let order = identity(shape.len() + 1);
            return self.reshaped(&Tensor { id, order, element, weight: None }, &shapes);
        }
        let mut order = identity(a.len());
        if want.first() == Some(&axis) {
            order = want.to_vec();
        } else {
            order.remove(axis);
            order.insert(0, axis);
        }
        // Axes of the engine's sample in terms of the file's, from which the batch axis is missing.
        let sample: Vec<usize> = order[1..].iter().map(|&d| if d > axis { d - 1 } else { d }).collect();
        let permutation = (sample != identity(sample.len())).then_some(sample);
        let both = [reorder(a, &order), reorder(b, &order)];
        let id = self.draft.data(DataInput { name: known.name.clone(), shape, permutation }, both);
        Ok(Tensor { id, order, element, weight: None })
    }

    /// The engine's value as that of the only sample of a batch.
    pub(crate) fn as_one_sample(&mut self, t: &Tensor) -> Result<Tensor, OpError> {
        let shapes = self.draft.shape(t.id).clone().map(|s| [&[1][..], &s].concat());
        let order = std::iter::once(0).chain(t.order.iter().map(|a| a + 1)).collect();
        self.engine_view(t, &shapes, order)
    }

    /// Adds zeros that have a batch axis: repeats a constant or parameter for every sample.
    fn repeat_over_batch(&mut self, t: &Tensor, shapes: &Both<Vec<usize>>) -> Result<Tensor, OpError> {
        let rank = t.order.len();
        let engine: Both<Vec<usize>> = [reorder(&shapes[0], &t.order), reorder(&shapes[1], &t.order)];
        let axis = (0..rank).find(|&d| engine[0][d] != engine[1][d]);
        let axis = match axis {
            Some(axis) if [engine[0][axis], engine[1][axis]] == PROBES => axis,
            _ => return Err(OpError::new(format!("shapes {shapes:?} cannot be repeated over the batch"))),
        };
        let zeros = match self.zeros {
            Some(id) => id,
            None => {
                let input = DataInput { name: ZEROS.into(), shape: vec![], permutation: None };
                let id = self.draft.data(input, [vec![PROBES[0]], vec![PROBES[1]]]);
                self.feeds.push(Feed { value: ZEROS.into(), batch_axis: 0, per_sample: 1, shape: vec![] });
                self.zeros = Some(id);
                id
            }
        };
        let zeros = Tensor { id: zeros, order: vec![0], element: t.element, weight: None };
        let line = |n: usize| (0..rank).map(|d| if d == axis { n } else { 1 }).collect::<Vec<_>>();
        let zeros = self.reshaped(&zeros, &[line(PROBES[0]), line(PROBES[1])])?;
        self.op(ops::Add, &[t, &zeros], t.order.clone())
    }

    /// Repeats a tensor to larger shapes (ONNX `Expand`), in plain order.
    pub(crate) fn expanded(&mut self, t: &Tensor, shapes: &Both<Vec<usize>>) -> Result<Tensor, OpError> {
        if self.shapes(t) == *shapes {
            return Ok(t.clone());
        }
        if shapes[0] != shapes[1] {
            // First the fixed dimensions, then the batch.
            let rank = shapes[0].len();
            let own = self.shapes(t);
            let shift = rank - t.order.len().min(rank);
            let fixed: Vec<usize> = (0..rank)
                .map(|d| {
                    let have = if d < shift { 1 } else { own[0][d - shift] };
                    if shapes[0][d] == shapes[1][d] { shapes[0][d] } else { have }
                })
                .collect();
            let follows_batch = (0..rank).any(|d| d >= shift && own[0][d - shift] != own[1][d - shift]);
            if follows_batch {
                let zeros =
                    (0..rank).map(|d| if shapes[0][d] == shapes[1][d] { fixed[d] } else { 1 }).collect();
                return self.plus_zeros(t, zeros);
            }
            let t = self.plus_zeros(t, fixed)?;
            return self.repeat_over_batch(&t, shapes);
        }
        self.plus_zeros(t, shapes[0].clone())
    }

    fn plus_zeros(&mut self, t: &Tensor, shape: Vec<usize>) -> Result<Tensor, OpError> {
        let t = self.moved(t, &identity(t.order.len()))?;
        let own = self.shapes(&t);
        if own[0] == shape && own[1] == shape {
            return Ok(t);
        }
        let len = self.budget.take(&shape)?;
        let zeros = self.own_buffer("zeros", shape, vec![0.0; len], t.element);
        self.plain_op(ops::Add, &[&t, &zeros])
    }

    /// The same tensor with its axes in another order: nothing if only axes of length 1 move.
    pub(crate) fn moved(&mut self, t: &Tensor, want: &[usize]) -> Result<Tensor, OpError> {
        if t.order == want {
            return Ok(t.clone());
        }
        let key = (t.id, t.order.clone(), want.to_vec());
        if let Some(&id) = self.moved.get(&key) {
            return Ok(Tensor { id, order: want.to_vec(), ..t.clone() });
        }
        let place = inverse(&t.order);
        let permutation: Vec<usize> = want.iter().map(|&axis| place[axis]).collect();
        let [a, b] = self.draft.shape(t.id).clone();
        let long: Vec<usize> = permutation.iter().copied().filter(|&p| a[p] != 1 || b[p] != 1).collect();
        let moved = if long.is_sorted() {
            let shapes = [reorder(&a, &permutation), reorder(&b, &permutation)];
            self.reshaped_to(t.id, &shapes)?
        } else {
            let name = self.node.clone();
            self.draft.node(&name, ops::Transpose::new(&permutation).into_op(), vec![t.id])?
        };
        self.moved.insert(key, moved);
        Ok(Tensor { id: moved, order: want.to_vec(), ..t.clone() })
    }

    /// The elements in ONNX's order under another shape.
    pub(crate) fn reshaped(&mut self, t: &Tensor, shapes: &Both<Vec<usize>>) -> Result<Tensor, OpError> {
        let t = self.moved(t, &identity(t.order.len()))?;
        let id = if self.draft.shape(t.id) == shapes { t.id } else { self.reshaped_to(t.id, shapes)? };
        Ok(Tensor { id, order: identity(shapes[0].len()), ..t })
    }

    /// The engine's elements under another engine shape, whose axes have this order.
    pub(crate) fn engine_view(
        &mut self,
        t: &Tensor,
        shapes: &Both<Vec<usize>>,
        order: Vec<usize>,
    ) -> Result<Tensor, OpError> {
        let id = if self.draft.shape(t.id) == shapes { t.id } else { self.reshaped_to(t.id, shapes)? };
        Ok(Tensor { id, order, ..t.clone() })
    }

    fn reshaped_to(&mut self, id: DraftId, shapes: &Both<Vec<usize>>) -> Result<DraftId, OpError> {
        let own = self.draft.shape(id).clone();
        let wrong = || {
            OpError::new(format!(
                "shapes {own:?} (at batch sizes {PROBES:?}) cannot be reshaped to {shapes:?}"
            ))
        };
        let [a, b] = shapes;
        if a.len() != b.len() || numel(a) != numel(&own[0]) || numel(b) != numel(&own[1]) {
            return Err(wrong());
        }
        let mut open = false;
        let mut spec = Vec::with_capacity(a.len());
        for (d, (&m, &n)) in a.iter().zip(b).enumerate() {
            spec.push(if m == n && m != 0 {
                i64::try_from(m)?
            } else if own[0].get(d) == Some(&m) && own[1].get(d) == Some(&n) {
                0
            } else if !open && m != n {
                open = true;
                -1
            } else {
                return Err(wrong());
            });
        }
        let name = self.node.clone();
        let id = self.draft.node(&name, ops::Reshape::new(&spec).into_op(), vec![id])?;
        if self.draft.shape(id) == shapes { Ok(id) } else { Err(wrong()) }
    }

    /// Several operands of an elementwise operation in one order of axes, with as many dimensions as the largest where
    /// that is not ONNX's own; the order of the results.
    pub(crate) fn aligned(&mut self, symbols: &[&Symbol]) -> Result<(Vec<Tensor>, Vec<usize>), OpError> {
        let rank = symbols.iter().map(|s| s.rank(self)).max().unwrap_or(0);
        let leader = symbols.iter().find_map(|s| match s {
            Symbol::Engine(t) if t.order.len() == rank && t.order != identity(rank) => Some(t.order.clone()),
            Symbol::Data(k) => self
                .data
                .get(&k.name)
                .map(|t| t.order.clone())
                .filter(|o| o.len() == rank && *o != identity(rank)),
            _ => None,
        });
        let order = leader.unwrap_or_else(|| identity(rank));
        let is_plain = order == identity(rank);
        let mut tensors = Vec::with_capacity(symbols.len());
        for symbol in symbols {
            let own = symbol.rank(self);
            tensors.push(if own == rank {
                self.broadcastable(symbol, &order)?
            } else {
                let plain = self.broadcastable(symbol, &identity(own))?;
                if is_plain { plain } else { self.ranked(&plain, rank, &order)? }
            });
        }
        Ok((tensors, order))
    }

    /// A tensor in plain order with leading axes of length 1 added, then moved to `order`.
    fn ranked(&mut self, t: &Tensor, rank: usize, order: &[usize]) -> Result<Tensor, OpError> {
        let [a, b] = self.draft.shape(t.id).clone();
        let pad = |s: Vec<usize>| [vec![1; rank - s.len()], s].concat();
        let padded = self.reshaped(t, &[pad(a), pad(b)])?;
        self.moved(&padded, order)
    }

    /// Running statistics of a batch normalisation: a buffer under its own name, also where it is a float initialiser.
    pub(crate) fn statistics(&mut self, symbol: &Symbol) -> Result<Tensor, OpError> {
        if let Symbol::Weight { candidate, value, .. } = symbol
            && !self.single
        {
            let name = self.draft.candidates[*candidate].name.clone();
            self.buffer_candidates.insert(*candidate);
            self.statistics.insert(name.clone());
            let known = Known { name, values: [value.clone(), value.clone()] };
            return self.plain(&Symbol::Known(known));
        }
        if let Symbol::Known(known) = symbol {
            self.statistics.insert(known.name.clone());
        }
        self.plain(symbol)
    }

    /// Says what a weight is, if no earlier use has.
    pub(crate) fn name_kind(&mut self, symbol: &Symbol, kind: ParameterKind) {
        let candidate = match symbol {
            Symbol::Weight { candidate, .. } => Some(*candidate),
            Symbol::Engine(t) => t.weight,
            _ => None,
        };
        if let Some(c) = candidate {
            self.draft.candidates[c].kind.get_or_insert(kind);
        }
    }
}

/// The slice that a constant repeats along the dimension that grows with the batch, once for each sample.
fn one_slice(known: &Known) -> Option<Value> {
    let [a, b] = known.shapes();
    let grows: Vec<usize> = (0..a.len().min(b.len())).filter(|&d| a[d] != b[d]).collect();
    let &[axis] = grows.as_slice() else { return None };
    if a.len() != b.len() || [a[axis], b[axis]] != PROBES {
        return None;
    }
    // The dimension first, so that the slices lie one after the other.
    let order: Vec<usize> = std::iter::once(axis).chain((0..a.len()).filter(|&d| d != axis)).collect();
    let [x, y] = &known.values;
    let (x, y) = (crate::eval::permuted(x, &order).ok()?, crate::eval::permuted(y, &order).ok()?);
    let len = numel(&x.shape()[1..]);
    let rows_equal = |data: &Data| match data {
        Data::Float(v) => v.chunks(len.max(1)).all(|c| c == &v[..len]),
        Data::Int(v) => v.chunks(len.max(1)).all(|c| c == &v[..len]),
        Data::Bool(v) => v.chunks(len.max(1)).all(|c| c == &v[..len]),
        Data::Text(_) => false,
    };
    let first: Vec<usize> = (0..len).collect();
    let slice = x.data().take(&first);
    if len == 0 || !rows_equal(x.data()) || !rows_equal(y.data()) || slice != y.data().take(&first) {
        return None;
    }
    // The other dimensions keep their order, so that one of length 1 may stand anywhere.
    let mut shape = a;
    shape[axis] = 1;
    Value::new(x.element(), shape, slice).ok()
}
