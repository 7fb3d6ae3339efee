//! Slice.

use std::rc::Rc;

use super::symbol::Symbol;
use super::walk::Site;
use crate::error::OpError;
use crate::eval::{self, Span};
use crate::value::Value;
use saddlescope_nn::ops;

pub(super) fn slice(site: &mut Site<'_>) -> Result<Vec<Symbol>, OpError> {
    let x = site.input(0)?;
    let mut constants: Vec<[Option<Rc<Value>>; 2]> = vec![[None, None]];
    for i in 1..site.inputs.len() {
        constants.push(match site.optional(i) {
            Some(symbol) => site.b().constant(&symbol, "a bound of the slice")?.map(Some),
            None => [None, None],
        });
    }
    let shapes = x.shapes(site.b());
    let spans = |probe: usize| {
        let inputs: Vec<Option<&Value>> = constants.iter().map(|c| c[probe].as_deref()).collect();
        eval::spans(site.node, &inputs, &shapes[probe])
    };
    let spans = [spans(0)?, spans(1)?];
    let full = |span: &Span, len: usize| *span == Span { start: 0, step: 1, len };
    let mut t = site.b().any(&x)?;
    for axis in 0..shapes[0].len() {
        let (a, b) = (spans[0][axis], spans[1][axis]);
        if full(&a, shapes[0][axis]) && full(&b, shapes[1][axis]) {
            continue;
        }
        site.refuse_batch_axis(&x, axis, "cuts the batch")?;
        if a != b {
            return Err(OpError::new("the bounds depend on the batch size"));
        }
        let place = i64::try_from(t.order.iter().position(|&o| o == axis).unwrap_or(axis))?;
        let last = a.start + a.step * i64::try_from(a.len)?;
        // Going down past the first element is written with an end that no index reaches.
        let end = if last < 0 { i64::MIN + 1 } else { last };
        let op = ops::Slice::new(&[a.start], &[end], &[place], &[a.step]);
        t = site.b().op(op, &[&t], t.order.clone())?;
    }
    Ok(vec![Symbol::Engine(t)])
}
