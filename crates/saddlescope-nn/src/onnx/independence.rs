//! Whether the samples of a batch are independent in an imported network: the loss is only then a mean over samples.

use std::sync::Arc;

use super::error::OnnxError;
use crate::data::Dataset;
use crate::execute::{Execution, Prepared, Workspace};
use crate::graph::{Graph, ValueId};
use crate::op::numel;
use crate::plan::{Pass, Plan};
use crate::risk::Numbers;

/// How far the same sample may come out apart, relative to the largest output: rounding of f64 through a deep network, far
/// below any real influence.
const TOLERANCE: f64 = 1e-6;

/// Refuses a network whose output for the first two samples together is not that of each alone (or their mean, if it is a
/// single number). Nothing is checked with fewer than two samples or before the data fit the network.
///
/// # Errors
/// The samples influence each other, or a loss of the model's own is no mean.
pub(crate) fn check(graph: &Graph, output: ValueId, theta: &[f64], data: &Dataset) -> Result<(), OnnxError> {
    let fits = graph.data_inputs().iter().all(|d| data.input(&d.name).is_some());
    if data.samples() < 2 || !fits {
        return Ok(());
    }
    let run = |samples: std::ops::Range<usize>| forward(graph, output, theta, data, samples);
    let (together, first, second) = (run(0..2)?, run(0..1)?, run(1..2)?);
    let is_mean = together.len() == 1 && first.len() == 1;
    let alone: Vec<f64> =
        if is_mean { vec![(first[0] + second[0]) / 2.0] } else { first.into_iter().chain(second).collect() };
    let size = together.iter().chain(&alone).filter(|x| x.is_finite()).fold(0.0f64, |m, x| m.max(x.abs()));
    let same =
        |(a, b): (&f64, &f64)| (a - b).abs() <= TOLERANCE * size || a == b || (a.is_nan() && b.is_nan());
    if alone.len() == together.len() && together.iter().zip(&alone).all(same) {
        return Ok(());
    }
    Err(OnnxError::Invalid(if is_mean {
        format!(
            "the model's own loss of two samples is {}, the mean of their losses is {}: only a mean over the samples of the \
             batch can be analysed",
            together[0], alone[0]
        )
    } else {
        "the output of a sample changes with the other samples of its batch; the loss would not be a mean over samples"
            .into()
    }))
}

/// The output for some of the samples.
fn forward(
    graph: &Graph,
    output: ValueId,
    theta: &[f64],
    data: &Dataset,
    samples: std::ops::Range<usize>,
) -> Result<Vec<f64>, OnnxError> {
    let invalid = |e: crate::graph::GraphError| OnnxError::Invalid(e.to_string());
    let plan = Plan::compile(graph, &[output], samples.len(), Pass::Forward).map_err(invalid)?;
    let mut bound: Vec<Vec<f64>> = Vec::new();
    for input in graph.data_inputs() {
        let len = numel(&input.shape);
        let found =
            data.input(&input.name).and_then(|t| t.values.get(samples.start * len..samples.end * len));
        let Some(values) = found else {
            return Err(OnnxError::Invalid(format!("the data for `{}` are too short", input.name)));
        };
        let mut engine = vec![0.0; values.len()];
        Numbers::F32(Arc::new(values.to_vec())).bind(&input.shape, input.permutation.as_deref(), &mut engine);
        bound.push(engine);
    }
    let prepared = Prepared::<f64>::new(graph, &plan, theta);
    let mut workspace = Workspace::default();
    let data = bound.iter().map(Vec::as_slice).collect();
    let mut execution = Execution::new(graph, &plan, &prepared, None, data, &mut workspace);
    execution.forward();
    Ok(execution.value(output).to_vec())
}
