//! Hidden units that can change places without changing the function of a network: which axes of which tensors move together.
//!
//! Units of layers that are added (residual connections) belong to one group. Where an operation is not one of those known here to
//! treat all channels alike, the units at its inputs stay where they are: fewer permutations are found, never a wrong one.

use saddlescope_data::{UnitAxis, UnitGroup};

use crate::graph::{Graph, ParameterKind, Source, ValueId};
use crate::op::numel;

/// What is known of a group while the graph is read.
#[derive(Default)]
struct Draft {
    name: String,
    units: usize,
    axes: Vec<UnitAxis>,
    fixed: bool,
    /// The group that this one has become a part of.
    joined: Option<usize>,
}

struct Reader<'a> {
    graph: &'a Graph,
    shapes: Vec<Vec<usize>>,
    starts: Vec<usize>,
    buffer_starts: Vec<usize>,
    groups: Vec<Draft>,
    /// Group of the last axis of every value; `None`: not permuted.
    of_value: Vec<Option<usize>>,
    uses: Vec<usize>,
}

/// Operations that do the same to every element, or to every channel (the last axis).
const ALIKE: [&str; 15] = [
    "Relu",
    "Tanh",
    "Sigmoid",
    "Gelu",
    "Elu",
    "Selu",
    "Softplus",
    "LeakyRelu",
    "HardSwish",
    "HardSigmoid",
    "Identity",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "Erf",
];

impl Reader<'_> {
    fn root(&self, mut group: usize) -> usize {
        while let Some(next) = self.groups[group].joined {
            group = next;
        }
        group
    }

    fn group(&self, value: ValueId) -> Option<usize> {
        self.of_value[value.index()].map(|g| self.root(g))
    }

    fn fix(&mut self, value: ValueId) {
        if let Some(group) = self.group(value) {
            self.groups[group].fixed = true;
        }
    }

    /// Both values have the same units; one that is not permuted holds the other in place.
    fn join(&mut self, a: ValueId, b: ValueId) {
        match (self.group(a), self.group(b)) {
            (Some(a), Some(b)) if a != b => {
                let other = std::mem::take(&mut self.groups[b]);
                let fixed = other.fixed || other.units != self.groups[a].units;
                self.groups[a].axes.extend(other.axes);
                self.groups[a].fixed |= fixed;
                self.groups[b].joined = Some(a);
            }
            (Some(_), Some(_)) => {}
            (Some(group), None) | (None, Some(group)) => self.groups[group].fixed = true,
            (None, None) => {}
        }
    }

    /// The axis of a tensor; `None` if it is no parameter or buffer of one use.
    fn axis(&self, value: ValueId, axis: usize) -> Option<(UnitAxis, usize)> {
        let (shape, buffer, start) = match self.graph.source(value) {
            Source::Parameter(i) => (&self.graph.parameters()[i].shape, false, self.starts[i]),
            Source::Buffer(i) => (&self.graph.buffers()[i].shape, true, self.buffer_starts[i]),
            _ => return None,
        };
        if self.uses[value.index()] != 1 {
            return None;
        }
        let units = *shape.get(axis)?;
        let (outer, inner) = (numel(&shape[..axis]), numel(&shape[axis + 1..]));
        Some((UnitAxis { buffer, start, outer, inner }, units))
    }

    /// Adds an axis to the group of a value; what does not fit holds the group in place.
    fn add(&mut self, group: Option<usize>, value: ValueId, axis: usize) {
        let Some(group) = group else { return };
        match self.axis(value, axis) {
            Some((axis, units)) if units == self.groups[group].units => self.groups[group].axes.push(axis),
            _ => self.groups[group].fixed = true,
        }
    }

    /// A layer that makes new units from those of its input.
    fn layer(&mut self, name: &str, inputs: &[ValueId], output: ValueId) {
        let (x, weight) = match inputs {
            [x, weight, ..] => (*x, *weight),
            _ => return,
        };
        let axes = match self.graph.source(weight) {
            Source::Parameter(i) => match self.graph.parameters()[i].kind {
                ParameterKind::ConvFilter | ParameterKind::LinearWeight => Some([0, 1]),
                _ => None,
            },
            _ => None,
        };
        let Some([out, input]) = axes else {
            self.fix(x);
            return;
        };
        self.add(self.group(x), weight, input);
        let Some((_, units)) = self.axis(weight, out) else { return };
        // Every channel must see every input: else (grouped convolutions) the units do not change places freely.
        let whole =
            self.shapes[x.index()].last().copied() == self.axis(weight, input).map(|(_, units)| units);
        let group = self.groups.len();
        self.groups.push(Draft { name: name.into(), units, fixed: !whole, ..Draft::default() });
        self.of_value[output.index()] = Some(group);
        self.add(Some(group), weight, out);
        if let Some(&bias) = inputs.get(2) {
            self.add(Some(group), bias, 0);
        }
    }
}

/// The groups of hidden units of a graph, in the order of its operations. `outputs` are values whose units have a meaning and stay
/// where they are; `None` where shapes cannot be told.
pub fn unit_groups(graph: &Graph, outputs: &[ValueId]) -> Option<Vec<UnitGroup>> {
    let shapes = graph.infer_shapes(2).ok()?;
    let mut uses = vec![0; graph.value_count()];
    for input in graph.nodes().iter().flat_map(|n| &n.inputs) {
        uses[input.index()] += 1;
    }
    let mut place = 0;
    let buffer_starts = (graph.buffers().iter())
        .map(|b| {
            place += b.values.len();
            place - b.values.len()
        })
        .collect();
    let starts = graph.parameter_ranges().into_iter().map(|r| r.start).collect();
    let of_value = vec![None; graph.value_count()];
    let mut reader = Reader { graph, shapes, starts, buffer_starts, groups: Vec::new(), of_value, uses };
    for node in graph.nodes() {
        let (inputs, output) = (node.inputs.as_slice(), node.output);
        match (node.op.name(), inputs) {
            ("Conv" | "Linear", _) => reader.layer(&node.name, inputs, output),
            ("BatchNormalization", [x, tensors @ ..]) if tensors.len() >= 4 => {
                let group = reader.group(*x);
                tensors[..4].iter().for_each(|t| reader.add(group, *t, 0));
                if let Some(residual) = tensors.get(4) {
                    reader.join(*x, *residual);
                }
                reader.of_value[output.index()] = reader.group(*x);
            }
            ("Add", [a, b]) if reader.shapes[a.index()] == reader.shapes[b.index()] => {
                reader.join(*a, *b);
                reader.of_value[output.index()] = reader.group(*a).or(reader.group(*b));
            }
            ("Flatten" | "Reshape" | "Squeeze", [x, ..])
                if reader.shapes[x.index()].last() == reader.shapes[output.index()].last()
                    && numel(&reader.shapes[output.index()]) == numel(&reader.shapes[x.index()])
                    && reader.shapes[output.index()].len() == 2 =>
            {
                reader.of_value[output.index()] = reader.group(*x);
            }
            (name, [x]) if ALIKE.contains(&name) => reader.of_value[output.index()] = reader.group(*x),
            _ => inputs.iter().for_each(|input| reader.fix(*input)),
        }
    }
    outputs.iter().for_each(|v| reader.fix(*v));
    let groups = reader.groups.into_iter().filter(|g| g.joined.is_none() && !g.fixed && g.units > 1);
    Some(groups.map(|g| UnitGroup { name: g.name, units: g.units, axes: g.axes }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo;

    fn groups(name: &str) -> Vec<UnitGroup> {
        let network = zoo::by_name(name).unwrap();
        unit_groups(&network.graph, &[network.output]).unwrap()
    }

    #[test]
    fn a_perceptron_has_one_group_a_hidden_layer() {
        let found = groups("mlp:784-128-64-10");
        assert_eq!(found.iter().map(|g| g.units).collect::<Vec<_>>(), [128, 64]);
        // Rows and bias of the layer itself, columns of the next one.
        let next = UnitAxis { buffer: false, start: 784 * 128 + 128, outer: 64, inner: 1 };
        assert_eq!(found[0].axes.len(), 3);
        assert!(found[0].axes.contains(&next), "{:?}", found[0]);
    }

    #[test]
    fn residual_layers_move_together() {
        let found = groups("resnet20-b");
        // conv1 of each of 9 blocks by itself; the three stages as wholes.
        let sizes: Vec<usize> = found.iter().map(|g| g.units).collect();
        assert_eq!(sizes.len(), 12, "{sizes:?}");
        assert_eq!([16, 32, 64].map(|n| sizes.iter().filter(|s| **s == n).count()), [4, 4, 4]);
        // Stage 1: the stem and three second convolutions, each a filter and four vectors of batch norm; three blocks and the next
        // stage's first convolution and shortcut read it.
        let stage = found.iter().max_by_key(|g| (g.units == 16, g.axes.len())).unwrap();
        assert_eq!(stage.axes.len(), 4 * 5 + 3 + 2);
    }

    #[test]
    fn units_that_padding_moves_stay_where_they_are() {
        let found = groups("resnet20-a");
        assert_eq!(found.len(), 9, "{:?}", found.iter().map(|g| &g.name).collect::<Vec<_>>());
    }
}
