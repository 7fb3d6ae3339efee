//! Weights inside the graphs of `If`, `Loop`, `Scan` and other nodes, brought to the outermost graph: they are parameters like all
//! others, and one tensor for all turns of a loop.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::control::renamed;
use crate::graph::{Attribute, Graph, Node};
use crate::value::Value;

/// What was found inside.
#[derive(Default)]
struct Found {
    initializers: Vec<(String, Value)>,
    constants: Vec<Node>,
    /// How often a name was taken.
    renamed: usize,
}

/// A graph whose nodes hold no initialisers and no `Constant` nodes in graphs of their own, and those initialisers.
pub(crate) fn lifted(graph: &Graph) -> (Cow<'_, Graph>, Vec<(String, Value)>) {
    if !graph.nodes.iter().any(|n| n.attributes.values().any(|a| matches!(a, Attribute::Graph(_)))) {
        return (Cow::Borrowed(graph), vec![]);
    }
    let mut taken: BTreeSet<String> = graph.initializers.iter().map(|(name, _)| name.clone()).collect();
    fixed_names(graph, true, &mut taken);
    let mut found = Found::default();
    let mut nodes = graph.nodes.clone();
    for node in &mut nodes {
        lift_from(node, &mut taken, &mut found);
    }
    let whole = Graph {
        inputs: graph.inputs.clone(),
        outputs: graph.outputs.clone(),
        // They are declared from the graph itself.
        initializers: vec![],
        nodes: found.constants.into_iter().chain(nodes).collect(),
    };
    (Cow::Owned(whole), found.initializers)
}

/// Whether a node is moved out of a graph inside another node.
fn is_constant(node: &Node) -> bool {
    node.op_type == "Constant" && node.domain.is_empty() && node.outputs.len() == 1
}

/// Names of values that stay where they are.
fn fixed_names(graph: &Graph, outermost: bool, names: &mut BTreeSet<String>) {
    names.extend(graph.inputs.iter().map(|i| i.name.clone()));
    for node in &graph.nodes {
        if outermost || !is_constant(node) {
            names.extend(node.outputs.iter().cloned());
        }
        for attribute in node.attributes.values() {
            if let Attribute::Graph(inner) = attribute {
                fixed_names(inner, false, names);
            }
        }
    }
}

fn lift_from(node: &mut Node, taken: &mut BTreeSet<String>, found: &mut Found) {
    for attribute in node.attributes.values_mut() {
        let Attribute::Graph(inner) = attribute else { continue };
        // The two branches of an `If` may use a name for different tensors.
        let own = inner.initializers.iter().map(|(name, _)| name);
        let own = own.chain(inner.nodes.iter().filter(|n| is_constant(n)).map(|n| &n.outputs[0]));
        let mut other = BTreeMap::new();
        for name in own {
            if !taken.insert(name.clone()) {
                let mut free = name.clone();
                while !taken.insert(free.clone()) {
                    found.renamed += 1;
                    free = format!("{name} ({})", found.renamed + 1);
                }
                other.insert(name.clone(), free);
            }
        }
        if !other.is_empty() {
            *inner = renamed(inner, &other);
        }
        found.initializers.append(&mut inner.initializers);
        let (constants, rest) = std::mem::take(&mut inner.nodes).into_iter().partition(is_constant);
        found.constants.extend::<Vec<Node>>(constants);
        inner.nodes = rest;
        for node in &mut inner.nodes {
            lift_from(node, taken, found);
        }
    }
}
