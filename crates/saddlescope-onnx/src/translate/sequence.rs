//! Sequences of tensors: lists whose lengths are known at import, so that nothing of them is left in the engine.

use super::symbol::Symbol;
use super::walk::{Site, Walker};
use crate::error::{OnnxError, OpError};
use crate::graph::{Node, checked_axis};
use crate::interpret::failed;
use crate::value::Value;

/// Most entries of a sequence.
const MAX_ENTRIES: usize = 1 << 12;

impl Walker {
    /// Follows a node that makes or takes a sequence; `false` if it is none.
    pub(super) fn sequence(&mut self, node: &Node) -> Result<bool, OnnxError> {
        if !node.domain.is_empty() {
            return Ok(false);
        }
        let known = matches!(
            node.op_type.as_str(),
            "SplitToSequence"
                | "SequenceConstruct"
                | "SequenceEmpty"
                | "SequenceInsert"
                | "SequenceErase"
                | "SequenceAt"
                | "SequenceLength"
                | "ConcatFromSequence"
        );
        let hands_on = node.op_type == "Identity" && self.sequences.contains_key(&node.inputs[0]);
        if !known && !hands_on {
            return Ok(false);
        }
        let inputs: Vec<Option<Symbol>> = node.inputs.iter().map(|n| self.symbols.get(n).cloned()).collect();
        let lists: Vec<Option<Vec<Symbol>>> =
            node.inputs.iter().map(|n| self.sequences.get(n).cloned()).collect();
        let name = node.outputs.first().cloned().unwrap_or_default();
        let mut site = Site { node, inputs: &inputs, walker: self };
        match result(&mut site, &lists).map_err(|e| failed(node, e))? {
            Made::List(list) => {
                self.sequences.insert(name, list);
            }
            Made::Tensor(symbol) => {
                self.alias(&name, symbol);
            }
        }
        Ok(true)
    }
}

enum Made {
    List(Vec<Symbol>),
    Tensor(Symbol),
}

fn result(site: &mut Site<'_>, lists: &[Option<Vec<Symbol>>]) -> Result<Made, OpError> {
    let list = |i: usize| {
        lists.get(i).cloned().flatten().ok_or_else(|| OpError::new(format!("input {i} is no sequence")))
    };
    Ok(match site.node.op_type.as_str() {
        "SplitToSequence" => Made::List(split(site)?),
        "SequenceConstruct" => {
            let all = (0..site.inputs.len()).map(|i| site.input(i)).collect::<Result<Vec<_>, _>>()?;
            Made::List(all)
        }
        "SequenceEmpty" => Made::List(vec![]),
        "SequenceInsert" => {
            let (mut all, new) = (list(0)?, site.input(1)?);
            let at = match site.optional(2) {
                Some(_) => position(site, 2, all.len() + 1)?,
                None => all.len(),
            };
            if all.len() >= MAX_ENTRIES {
                return Err(OpError::new(format!("more than {MAX_ENTRIES} entries")));
            }
            all.insert(at, new);
            Made::List(all)
        }
        "SequenceErase" => {
            let mut all = list(0)?;
            let at = match site.optional(1) {
                Some(_) => position(site, 1, all.len())?,
                None => all.len().checked_sub(1).ok_or_else(|| OpError::new("an empty sequence"))?,
            };
            all.remove(at);
            Made::List(all)
        }
        "SequenceAt" => {
            let all = list(0)?;
            let at = position(site, 1, all.len())?;
            Made::Tensor(all[at].clone())
        }
        "SequenceLength" => {
            let length = Value::int64_vector([i64::try_from(list(0)?.len())?]).with_shape(vec![])?;
            let name = site.node.outputs.first().cloned().unwrap_or_default();
            Made::Tensor(site.constant_symbol(&name, length))
        }
        "ConcatFromSequence" => {
            let all = list(0)?;
            let first = all.first().ok_or_else(|| OpError::new("an empty sequence"))?;
            let new_axis = site.node.flag("new_axis", false)?;
            let rank = first.rank(site.b()) + usize::from(new_axis);
            let axis = checked_axis(site.node.int_or("axis", 0)?, rank)?;
            Made::Tensor(if new_axis {
                site.stacked(&all, axis)?
            } else {
                super::concat::join(site, &all, i64::try_from(axis)?)?
            })
        }
        _ => Made::List(list(0)?),
    })
}

/// A constant place in a sequence, counted from the end if negative.
fn position(site: &mut Site<'_>, input: usize, len: usize) -> Result<usize, OpError> {
    let at = site.input(input)?;
    let at = site.b().fixed_constant(&at, "the place in the sequence")?.scalar_i64()?;
    let from_start = if at < 0 { at + i64::try_from(len)? } else { at };
    usize::try_from(from_start)
        .ok()
        .filter(|&i| i < len)
        .ok_or_else(|| OpError::new(format!("place {at} of a sequence of {len}")))
}

fn split(site: &mut Site<'_>) -> Result<Vec<Symbol>, OpError> {
    let x = site.input(0)?;
    let axis = checked_axis(site.node.int_or("axis", 0)?, x.rank(site.b()))?;
    site.refuse_batch_axis(&x, axis, "splits the batch")?;
    let [shape, _] = x.shapes(site.b());
    let n = shape[axis];
    let (sizes, keep) = match site.optional(1) {
        None => (vec![1; n], site.node.flag("keepdims", true)?),
        Some(sizes) => {
            let value = site.b().fixed_constant(&sizes, "the split")?;
            if value.rank() == 0 {
                let each = usize::try_from(value.scalar_i64()?)?.max(1);
                let whole = vec![each; n / each];
                let rest = (n % each > 0).then_some(n % each);
                (whole.into_iter().chain(rest).collect(), true)
            } else {
                (value.to_i64s()?.iter().map(|&s| usize::try_from(s)).collect::<Result<Vec<_>, _>>()?, true)
            }
        }
    };
    if sizes.len() > MAX_ENTRIES || sizes.iter().sum::<usize>() != n {
        return Err(OpError::new(format!("pieces {sizes:?} of axis {axis} of {shape:?}")));
    }
    let mut start = 0;
    let mut pieces = Vec::with_capacity(sizes.len());
    for size in sizes {
        pieces.push(if keep { site.piece(&x, axis, start, size)? } else { site.entry(&x, axis, start)? });
        start += size;
    }
    Ok(pieces)
}
