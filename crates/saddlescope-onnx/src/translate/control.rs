//! Loops whose number of turns is known at import: unrolled, the body's nodes copied once for each turn under names of their own.

use std::collections::{BTreeMap, BTreeSet};

use super::builder::Builder;
use super::symbol::Symbol;
use super::walk::{Site, Walker};
use crate::error::{OnnxError, OpError};
use crate::graph::{Attribute, Graph, Node, checked_axis};
use crate::interpret::failed;
use crate::value::Value;

/// Renames the values of a graph's own: its inputs, initialisers and outputs of nodes; graphs inside it too.
pub(super) fn renamed(graph: &Graph, names: &BTreeMap<String, String>) -> Graph {
    let name = |n: &String| names.get(n).unwrap_or(n).clone();
    let mut copy = graph.clone();
    for declared in copy.inputs.iter_mut().chain(&mut copy.outputs) {
        declared.name = name(&declared.name);
    }
    for (n, _) in &mut copy.initializers {
        *n = name(n);
    }
    for node in &mut copy.nodes {
        for n in node.inputs.iter_mut().chain(&mut node.outputs) {
            *n = name(n);
        }
        for attribute in node.attributes.values_mut() {
            if let Attribute::Graph(inner) = attribute {
                *inner = renamed(inner, names);
            }
        }
    }
    copy
}

/// All names that a graph and the graphs inside it define.
fn defined(graph: &Graph, all: &mut BTreeSet<String>) {
    all.extend(graph.inputs.iter().map(|i| i.name.clone()));
    all.extend(graph.initializers.iter().map(|i| i.0.clone()));
    for node in &graph.nodes {
        all.extend(node.outputs.iter().filter(|o| !o.is_empty()).cloned());
        for attribute in node.attributes.values() {
            if let Attribute::Graph(inner) = attribute {
                defined(inner, all);
            }
        }
    }
}

impl Walker {
    /// Follows a body once; returns its outputs.
    pub(super) fn turn(
        &mut self,
        node: &Node,
        body: &Graph,
        turn: usize,
        inputs: Vec<Symbol>,
    ) -> Result<Vec<Symbol>, OnnxError> {
        self.unrollable = self.unrollable.checked_sub(body.nodes.len() + 1).ok_or_else(|| {
            failed(node, OpError::new("unrolled, the loop has too many nodes for this importer"))
        })?;
        let mut names = BTreeSet::new();
        defined(body, &mut names);
        let names: BTreeMap<String, String> =
            names.into_iter().map(|n| (n.clone(), format!("{}, turn {turn}: {n}", node.name))).collect();
        let body = renamed(body, &names);
        for (declared, symbol) in body.inputs.iter().zip(inputs) {
            self.alias(&declared.name, symbol);
        }
        for (name, value) in &body.initializers {
            self.symbols.insert(name.clone(), Self::known(name, value.clone()));
        }
        let wanted: Vec<String> = body.outputs.iter().map(|o| o.name.clone()).collect();
        self.needed.extend(super::walk::needed(&body, &wanted));
        self.graph(&body)?;
        let symbol = |name: &String| {
            self.symbols
                .get(name)
                .cloned()
                .ok_or_else(|| OnnxError::Invalid(format!("no value for `{name}`")))
        };
        wanted.iter().map(symbol).collect()
    }

    /// `Loop` with a number of turns, and conditions, that are known.
    pub(super) fn unrolled_loop(&mut self, node: &Node, inputs: &[Option<Symbol>]) -> Result<(), OnnxError> {
        let wrong = |e: OpError| failed(node, e);
        let body = node.graph("body").map_err(wrong)?.clone();
        let carried = inputs.len().saturating_sub(2);
        let scans = body.outputs.len().checked_sub(1 + carried);
        let scans =
            scans.ok_or_else(|| wrong(OpError::new("its body has fewer outputs than the loop carries")))?;
        let fixed = |builder: &mut Builder, symbol: &Symbol, what: &str| -> Result<Value, OnnxError> {
            builder.fixed_constant(symbol, what).map(|v| v.as_ref().clone()).map_err(|e| {
                let known = matches!(symbol, Symbol::Known(_));
                wrong(if known { over_batch(&e) } else { e })
            })
        };
        let turns = match inputs.first().and_then(Option::as_ref) {
            Some(symbol) => {
                let n =
                    fixed(&mut self.builder, symbol, "the number of turns")?.scalar_i64().map_err(wrong)?;
                usize::try_from(n.max(0)).map_err(|e| wrong(e.into()))?
            }
            None => usize::MAX,
        };
        let mut going = match inputs.get(1).and_then(Option::as_ref) {
            Some(symbol) => truth(&fixed(&mut self.builder, symbol, "the condition")?).map_err(wrong)?,
            None => true,
        };
        let mut state: Vec<Symbol> = Vec::with_capacity(carried);
        for input in inputs.iter().skip(2) {
            state.push(input.clone().ok_or_else(|| wrong(OpError::new("an input is missing")))?);
        }
        let mut lists: Vec<Vec<Symbol>> = vec![vec![]; scans];
        let mut turn = 0;
        while going && turn < turns {
            let number = Value::int64_vector([i64::try_from(turn).map_err(|e| wrong(e.into()))?]);
            let number = number.with_shape(vec![]).map_err(wrong)?;
            let yes = Value::bools(vec![], vec![true]).map_err(wrong)?;
            let first = [("turn", number), ("condition", yes)].map(|(what, value)| {
                let name = format!("{}, {what} {turn}", node.name);
                Self::known(&name, value)
            });
            let all = first.into_iter().chain(state.iter().cloned()).collect();
            let outputs = self.turn(node, &body, turn, all)?;
            let condition = fixed(&mut self.builder, &outputs[0], "the condition of the next turn")?;
            going = truth(&condition).map_err(wrong)?;
            state = outputs[1..=carried].to_vec();
            for (list, symbol) in lists.iter_mut().zip(&outputs[1 + carried..]) {
                list.push(symbol.clone());
            }
            turn += 1;
        }
        let none: Vec<Option<Symbol>> = vec![];
        let mut site = Site { node, inputs: &none, walker: self };
        let mut outputs = state;
        for (i, list) in lists.iter().enumerate() {
            let wanted = site.node.outputs.get(carried + i).is_some_and(|o| !o.is_empty());
            if wanted && list.is_empty() {
                return Err(wrong(OpError::new("a loop without turns makes an empty output")));
            }
            if wanted {
                outputs.push(site.stacked(list, 0).map_err(wrong)?);
            }
        }
        self.name_outputs(node, outputs);
        Ok(())
    }

    fn name_outputs(&mut self, node: &Node, outputs: Vec<Symbol>) {
        let named = node.outputs.iter().filter(|o| !o.is_empty()).zip(outputs);
        for (name, symbol) in named {
            self.alias(name, symbol);
        }
    }

    /// `Scan`: one turn for every entry of the scanned axes.
    pub(super) fn unrolled_scan(&mut self, node: &Node, inputs: &[Option<Symbol>]) -> Result<(), OnnxError> {
        let outputs = self.scanned(node, inputs)?;
        self.name_outputs(node, outputs);
        Ok(())
    }

    fn scanned(&mut self, node: &Node, inputs: &[Option<Symbol>]) -> Result<Vec<Symbol>, OnnxError> {
        let wrong = |e: OpError| failed(node, e);
        if node.opset < 9 {
            return Err(wrong(OpError::new("before operator set 9 it is not supported")));
        }
        let body = node.graph("body").map_err(wrong)?.clone();
        let all: Vec<Symbol> = inputs
            .iter()
            .cloned()
            .collect::<Option<_>>()
            .ok_or_else(|| wrong(OpError::new("an input is missing")))?;
        let scanned = node.int_or("num_scan_inputs", 0).map_err(wrong)?;
        let scanned = usize::try_from(scanned).ok().filter(|&n| n > 0 && n <= all.len());
        let scanned =
            scanned.ok_or_else(|| wrong(OpError::new("`num_scan_inputs` does not fit the inputs")))?;
        let carried = all.len() - scanned;
        let scans = body
            .outputs
            .len()
            .checked_sub(carried)
            .ok_or_else(|| wrong(OpError::new("its body has too few outputs")))?;
        let list = |name: &str, n: usize| -> Result<Vec<i64>, OnnxError> {
            let list = node.ints(name).map_err(wrong)?.unwrap_or(&[]).to_vec();
            if list.is_empty() {
                Ok(vec![0; n])
            } else if list.len() == n {
                Ok(list)
            } else {
                Err(wrong(OpError::new(format!("attribute `{name}`: {n} numbers are expected"))))
            }
        };
        let (in_axes, in_backward) =
            (list("scan_input_axes", scanned)?, list("scan_input_directions", scanned)?);
        let (out_axes, out_backward) =
            (list("scan_output_axes", scans)?, list("scan_output_directions", scans)?);
        let mut state = all[..carried].to_vec();
        let mut turns = None;
        let mut axes = Vec::with_capacity(scanned);
        for (x, &axis) in all[carried..].iter().zip(&in_axes) {
            let axis = checked_axis(axis, x.rank(&self.builder)).map_err(wrong)?;
            let [a, b] = x.shapes(&self.builder);
            if a[axis] != b[axis] || *turns.get_or_insert(a[axis]) != a[axis] {
                return Err(wrong(OpError::new(
                    "scanned axes must have one length, which is not that of the batch",
                )));
            }
            axes.push(axis);
        }
        let turns = turns.unwrap_or(0);
        let mut lists: Vec<Vec<Symbol>> = vec![vec![]; scans];
        let none: Vec<Option<Symbol>> = vec![];
        for turn in 0..turns {
            let mut now = state.clone();
            for ((x, &axis), &backward) in all[carried..].iter().zip(&axes).zip(&in_backward) {
                let at = if backward != 0 { turns - 1 - turn } else { turn };
                let mut site = Site { node, inputs: &none, walker: self };
                now.push(site.entry(x, axis, at).map_err(wrong)?);
            }
            let outputs = self.turn(node, &body, turn, now)?;
            state = outputs[..carried].to_vec();
            for (list, symbol) in lists.iter_mut().zip(&outputs[carried..]) {
                list.push(symbol.clone());
            }
        }
        let mut outputs = state;
        for ((mut list, axis), backward) in lists.into_iter().zip(out_axes).zip(out_backward) {
            if backward != 0 {
                list.reverse();
            }
            let first = list
                .first()
                .ok_or_else(|| wrong(OpError::new("a scan without turns makes an empty output")))?;
            let axis = checked_axis(axis, first.rank(&self.builder) + 1).map_err(wrong)?;
            let mut site = Site { node, inputs: &none, walker: self };
            outputs.push(site.stacked(&list, axis).map_err(wrong)?);
        }
        Ok(outputs)
    }
}

fn truth(value: &Value) -> Result<bool, OpError> {
    match value.as_bools()? {
        [yes] => Ok(*yes),
        other => Err(OpError::new(format!("a condition of {} values", other.len()))),
    }
}

/// A loop that a constant decides that is not the same for all batch sizes.
fn over_batch(e: &OpError) -> OpError {
    OpError::new(format!(
        "{e}: a loop over the samples, as exporters write an embedding bag, is not supported; write what it does as one operation on all \
         samples (docs/from-pytorch.md, What PyTorch cannot export)"
    ))
}
