//! Small steps that translations are put together from.

use super::binary::combine;
use super::symbol::{Symbol, Tensor, identity, inverse, reorder};
use super::walk::Site;
use crate::element::ElementType;
use crate::error::OpError;
use crate::graph::Attribute;
use crate::value::Value;
use saddlescope_nn::ops;

impl Site<'_> {
    /// A number of our own.
    pub(super) fn number(&mut self, x: f64, like: &Symbol) -> Symbol {
        Symbol::Engine(self.b().scalar(x, like.element()))
    }

    /// a + b.
    pub(super) fn sum(&mut self, a: &Symbol, b: &Symbol) -> Result<Symbol, OpError> {
        combine(self, a, b, ops::Add)
    }

    /// a − b.
    pub(super) fn difference(&mut self, a: &Symbol, b: &Symbol) -> Result<Symbol, OpError> {
        combine(self, a, b, ops::Sub)
    }

    /// a b.
    pub(super) fn times(&mut self, a: &Symbol, b: &Symbol) -> Result<Symbol, OpError> {
        super::binary::product(self, a, b)
    }

    /// x times a number.
    pub(super) fn scaled(&mut self, x: &Symbol, factor: f64) -> Result<Symbol, OpError> {
        let factor = self.number(factor, x);
        combine(self, x, &factor, ops::Mul)
    }

    /// x plus a number.
    pub(super) fn shifted(&mut self, x: &Symbol, by: f64) -> Result<Symbol, OpError> {
        let by = self.number(by, x);
        combine(self, x, &by, ops::Add)
    }

    /// The same value with its ONNX axes permuted (axis i of the result is axis `perm[i]`); data do not move.
    pub(super) fn permuted(&mut self, x: &Symbol, perm: &[usize]) -> Result<Symbol, OpError> {
        if let Symbol::Weight { candidate, view, value } = x {
            return Ok(Symbol::Weight {
                candidate: *candidate,
                view: reorder(view, perm),
                value: value.clone(),
            });
        }
        let t = self.b().any(x)?;
        let back = inverse(perm);
        let order = t.order.iter().map(|&a| back[a]).collect();
        Ok(Symbol::Engine(Tensor { order, ..t }))
    }

    /// The same value without an axis of length 1.
    pub(super) fn without_axis(&mut self, x: &Symbol, axis: usize) -> Result<Symbol, OpError> {
        let t = self.b().any(x)?;
        let place = place_of(&t, axis);
        let cut = |mut s: Vec<usize>| {
            s.remove(place);
            s
        };
        let shapes = self.b().draft.shape(t.id).clone().map(cut);
        let left = t.order.iter().filter(|&&a| a != axis).map(|&a| if a > axis { a - 1 } else { a });
        let order = left.collect();
        Ok(Symbol::Engine(self.b().engine_view(&t, &shapes, order)?))
    }

    /// The same value with an axis of length 1 put before axis `axis` (or at the end).
    pub(super) fn with_axis(&mut self, x: &Symbol, axis: usize) -> Result<Symbol, OpError> {
        let t = self.b().any(x)?;
        let moved: Vec<usize> = t.order.iter().map(|&a| if a >= axis { a + 1 } else { a }).collect();
        // Not before the engine's first axis, which mostly counts the samples, nor behind its last, which is the fastest.
        let plain = t.order == identity(t.order.len());
        let place =
            if plain && axis > 0 { axis } else { moved.len().saturating_sub(1).max(moved.len().min(1)) };
        let grown = |mut s: Vec<usize>| {
            s.insert(place, 1);
            s
        };
        let shapes = self.b().draft.shape(t.id).clone().map(grown);
        let mut order = moved;
        order.insert(place, axis);
        Ok(Symbol::Engine(self.b().engine_view(&t, &shapes, order)?))
    }

    /// `len` entries from `start` on along an axis.
    pub(super) fn piece(
        &mut self,
        x: &Symbol,
        axis: usize,
        start: usize,
        len: usize,
    ) -> Result<Symbol, OpError> {
        let [shape, _] = x.shapes(self.b());
        if start == 0 && len == shape[axis] {
            return Ok(x.clone());
        }
        self.refuse_batch_axis(x, axis, "takes samples apart")?;
        if start.checked_add(len).is_none_or(|end| end > shape[axis]) {
            return Err(OpError::new(format!(
                "entries {start} to {start} + {len} of axis {axis} of {shape:?}"
            )));
        }
        if let Symbol::Known(known) | Symbol::Data(known) = x {
            let suffix = format!("entries {start} to {} of axis {axis} of {}", start + len, known.name);
            let node = self.derived_node("Slice", &suffix, &[&known.name], &[]);
            let output = node.outputs[0].clone();
            let mut node = node;
            let mut inputs = vec![x.clone()];
            for (what, n) in [("start", start), ("end", start + len), ("axis", axis)] {
                let name = format!("{output} {what}");
                inputs.push(self.constant_symbol(&name, Value::int64_vector([i64::try_from(n)?])));
                node.inputs.push(name);
            }
            return self.derive("Slice", node, &inputs);
        }
        let t = self.b().any(x)?;
        let place = i64::try_from(place_of(&t, axis))?;
        let order = t.order.clone();
        Ok(Symbol::Engine(self.b().op(ops::Slice::range(place, start, start + len), &[&t], order)?))
    }

    /// Entry `index` along an axis, which vanishes.
    pub(super) fn entry(&mut self, x: &Symbol, axis: usize, index: usize) -> Result<Symbol, OpError> {
        let piece = self.piece(x, axis, index, 1)?;
        if let Symbol::Known(known) | Symbol::Data(known) = &piece {
            let name = known.name.clone();
            let node = self.derived_node(
                "Squeeze",
                &format!("{name} without axis {axis}"),
                &[&name],
                &[("axes", Attribute::Ints(vec![i64::try_from(axis)?]))],
            );
            return self.derive("Squeeze", node, std::slice::from_ref(&piece));
        }
        self.without_axis(&piece, axis)
    }

    /// Entries along an axis by constant indices.
    pub(super) fn taken(&mut self, x: &Symbol, axis: usize, indices: &[i64]) -> Result<Symbol, OpError> {
        self.refuse_batch_axis(x, axis, "picks samples of the batch")?;
        let t = self.b().any(x)?;
        let place = i64::try_from(place_of(&t, axis))?;
        let order = t.order.clone();
        let op = ops::Take::new(place, indices, &[indices.len()]);
        Ok(Symbol::Engine(self.b().op(op, &[&t], order)?))
    }

    /// y[…, i, …] = Σⱼ matrix[i, j] x[…, j, …] along an axis, for a constant matrix of this many rows.
    pub(super) fn mapped(
        &mut self,
        x: &Symbol,
        axis: usize,
        rows: usize,
        matrix: Vec<f64>,
    ) -> Result<Symbol, OpError> {
        self.refuse_batch_axis(x, axis, "mixes samples of the batch")?;
        let t = self.b().any(x)?;
        let order = t.order.clone();
        self.b().budget.take(&[matrix.len()])?;
        let columns = matrix.len() / rows.max(1);
        let w = self.b().own_buffer("matrix", vec![rows, columns], matrix, x.element());
        let (place, rank) = (place_of(&t, axis), order.len());
        if place + 1 == rank {
            return Ok(Symbol::Engine(self.b().op(ops::Linear, &[&t, &w], order)?));
        }
        // From the left, on [what comes before, the axis, what comes after]: nothing needs to move.
        let shapes = self.b().draft.shape(t.id).clone();
        let split = shapes.clone().map(|s| {
            let inner: usize = s[place + 1..].iter().product();
            if place == 0 {
                vec![s[place], inner]
            } else {
                vec![s[..place].iter().product(), s[place], inner]
            }
        });
        let flat = self.b().engine_view(&t, &split, identity(split[0].len()))?;
        let y = self.b().plain_op(ops::MatMul, &[&w, &flat])?;
        let whole = shapes.map(|mut s| {
            s[place] = rows;
            s
        });
        Ok(Symbol::Engine(self.b().engine_view(&Tensor { element: t.element, ..y }, &whole, order)?))
    }

    /// Values one after the other along a new axis.
    pub(super) fn stacked(&mut self, list: &[Symbol], axis: usize) -> Result<Symbol, OpError> {
        let parts = list.iter().map(|x| self.with_axis(x, axis)).collect::<Result<Vec<_>, _>>()?;
        super::concat::join(self, &parts, i64::try_from(axis)?)
    }

    /// A constant of our own with these numbers.
    pub(super) fn constant(
        &mut self,
        what: &str,
        shape: Vec<usize>,
        values: Vec<f64>,
    ) -> Result<Symbol, OpError> {
        self.b().budget.take(&[values.len()])?;
        Ok(Symbol::Engine(self.b().own_buffer(what, shape, values, ElementType::F32)))
    }

    /// x as truth: 1 where it is not 0.
    pub(super) fn truth(&mut self, x: &Symbol) -> Result<Symbol, OpError> {
        let not = super::unary::apply(self, x, ops::Not)?;
        super::unary::apply(self, &not, ops::Not)
    }
}

/// Where an ONNX axis lies in the engine.
pub(super) fn place_of(t: &Tensor, axis: usize) -> usize {
    t.order.iter().position(|&a| a == axis).unwrap_or(axis)
}
