//! Values of a graph from one forward pass, without a loss and without derivatives.

use crate::execute::{Execution, Prepared, Workspace};
use crate::graph::{Graph, ValueId};
use crate::op::{Element, numel};
use crate::plan::{Pass, Plan};
use crate::risk::{Numbers, RiskError, check_data};

/// A value that was computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Computed {
    /// Its shape in the engine's order of axes; the samples come first where it depends on the data.
    pub shape: Vec<usize>,
    /// Its elements, row-major.
    pub elements: Vec<f64>,
}

/// The values `wanted` at θ (file order) for one batch of `samples` samples, computed in numbers of type `T` on one thread.
/// `data` has the samples of every data input, in the file's order of axes.
///
/// # Errors
/// Shapes that do not fit, data of another length, samples that cannot be read from their file.
pub fn forward<T: Element>(
    graph: &Graph,
    wanted: &[ValueId],
    theta: &[f64],
    data: &[Numbers],
    samples: usize,
) -> Result<Vec<Computed>, RiskError> {
    check_data(graph, data, samples)?;
    let plan = Plan::compile(graph, wanted, samples, Pass::Forward)?;
    let mut bound: Vec<Vec<T>> = Vec::with_capacity(data.len());
    for (input, numbers) in graph.data_inputs().iter().zip(data) {
        let mut engine = vec![T::ZERO; samples * numel(&input.shape)];
        numbers
            .bind(0, &input.shape, input.permutation.as_deref(), &mut engine)
            .map_err(|e| RiskError::Unreadable(e.to_string()))?;
        bound.push(engine);
    }
    let prepared = Prepared::new(graph, &plan, theta, 1);
    let mut workspace = Workspace::default();
    let data = bound.iter().map(Vec::as_slice).collect();
    let mut execution = Execution::new(graph, &plan, &prepared, None, data, &mut workspace);
    execution.forward();
    Ok(wanted
        .iter()
        .map(|&v| Computed {
            shape: plan.shape(v).to_vec(),
            elements: execution.value(v).iter().map(|x| x.to_f64()).collect(),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{DataInput, ParameterKind};
    use crate::ops;

    #[test]
    fn an_image_times_a_weight() {
        let mut g = Graph::new();
        let x = g.image("x", [2, 1, 1]);
        let w = g.parameter("w", &[2], ParameterKind::Other);
        let y = g.node("y", ops::Mul, &[x, w]);
        let data = [Numbers::F64(vec![1.0, 2.0, 3.0, 4.0].into())];
        let found = forward::<f64>(&g, &[y], &[10.0, 100.0], &data, 2).unwrap();
        let expected = Computed { shape: vec![2, 1, 1, 2], elements: vec![10.0, 200.0, 30.0, 400.0] };
        assert_eq!(found, [expected]);
    }

    #[test]
    fn data_of_another_length_are_refused() {
        let mut g = Graph::new();
        let x = g.data(DataInput { name: "x".into(), shape: vec![3], permutation: None });
        let y = g.node("y", ops::Tanh, &[x]);
        let data = [Numbers::F64(vec![1.0; 5].into())];
        let refused = forward::<f64>(&g, &[y], &[], &data, 2);
        assert!(matches!(refused, Err(RiskError::Data { found: 5, expected: 6, .. })), "{refused:?}");
    }
}
