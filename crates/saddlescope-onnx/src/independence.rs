//! Whether the samples of a batch are independent in an imported network: the loss is only then a mean over samples.

use super::error::OnnxError;
use saddlescope_data::Dataset;
use saddlescope_nn::graph::{Graph, ValueId};
use saddlescope_nn::op::numel;
use saddlescope_nn::risk::Numbers;

/// How far the same sample may come out apart, relative to the largest output: rounding of f64 through a deep network, far
/// below any real influence.
const TOLERANCE: f64 = 1e-6;

/// Refuses a network whose output for the first two samples together is not that of each alone (or their mean, if it is a
/// single number). Says whether anything could be checked: nothing is with fewer than two samples or before the data fit
/// the network.
///
/// # Errors
/// The samples influence each other, or a loss of the model's own is no mean.
pub(crate) fn check(
    graph: &Graph,
    output: ValueId,
    theta: &[f64],
    data: &Dataset,
) -> Result<bool, OnnxError> {
    let fits = graph.data_inputs().iter().all(|d| data.input(&d.name).is_some());
    if data.samples() < 2 || !fits {
        return Ok(false);
    }
    let run = |wanted: &[ValueId]| -> Result<[Vec<Tensor>; 3], OnnxError> {
        let forward = |samples| forward(graph, wanted, theta, data, samples);
        Ok([forward(0..2)?, forward(0..1)?, forward(1..2)?])
    };
    let [together, first, second] = run(&[output])?;
    let (together, first, second) = (&together[0].1, &first[0].1, &second[0].1);
    let is_mean = together.len() == 1 && first.len() == 1;
    let alone: Vec<f64> = match (first.as_slice(), second.as_slice()) {
        ([a], [b]) if is_mean => vec![(a + b) / 2.0],
        (a, b) => [a, b].concat(),
    };
    if agree(together, &alone) {
        return Ok(true);
    }
    if is_mean {
        return Err(OnnxError::Invalid(format!(
            "the model's own loss of two samples is {}, the mean of their losses is {}: only a mean over the samples of the \
             batch can be analysed",
            together[0], alone[0]
        )));
    }
    // Which node is to blame: the first whose value is not that of each sample alone.
    let values: Vec<ValueId> = graph.nodes().iter().map(|n| n.output).collect();
    let [together, first, second] = run(&values)?;
    let culprit =
        graph.nodes().iter().enumerate().find(|(i, _)| !splits(&together[*i], &first[*i], &second[*i]));
    let from =
        culprit.map_or(String::new(), |(_, n)| format!(" from node `{}` ({}) on", n.name, n.op.name()));
    Err(OnnxError::Invalid(format!(
        "the output of a sample changes with the other samples of its batch{from}; the loss would not be a mean over samples"
    )))
}

/// Shape and numbers.
type Tensor = (Vec<usize>, Vec<f64>);

/// Whether numbers are the same but for rounding.
fn agree(a: &[f64], b: &[f64]) -> bool {
    let size = a.iter().chain(b).filter(|x| x.is_finite()).fold(0.0f64, |m, x| m.max(x.abs()));
    let same =
        |(a, b): (&f64, &f64)| (a - b).abs() <= TOLERANCE * size || a == b || (a.is_nan() && b.is_nan());
    a.len() == b.len() && a.iter().zip(b).all(same)
}

/// Whether the value of two samples is made of those of each, along the axis whose length grows with the batch.
fn splits(together: &Tensor, first: &Tensor, second: &Tensor) -> bool {
    let axis = together.0.iter().zip(&first.0).position(|(two, one)| two != one);
    let Some(axis) = axis else { return agree(&together.1, &first.1) && agree(&together.1, &second.1) };
    let block = first.0[axis..].iter().product::<usize>().max(1);
    let alone: Vec<f64> =
        first.1.chunks(block).zip(second.1.chunks(block)).flat_map(|(a, b)| [a, b].concat()).collect();
    agree(&together.1, &alone)
}

/// Values for some of the samples.
fn forward(
    graph: &Graph,
    wanted: &[ValueId],
    theta: &[f64],
    data: &Dataset,
    samples: std::ops::Range<usize>,
) -> Result<Vec<Tensor>, OnnxError> {
    let mut numbers = Vec::new();
    for input in graph.data_inputs() {
        let len = numel(&input.shape);
        let (start, end) = (samples.start * len, samples.end * len);
        let Some(values) = data.input(&input.name).filter(|t| end <= t.values.len()) else {
            return Err(OnnxError::Invalid(format!("the data for `{}` are too short", input.name)));
        };
        numbers.push(Numbers::F32(values.values.part(start..end)));
    }
    let computed = saddlescope_nn::forward::<f64>(graph, wanted, theta, &numbers, samples.len());
    let computed = computed.map_err(|e| OnnxError::Invalid(e.to_string()))?;
    Ok(computed.into_iter().map(|c| (c.shape, c.elements)).collect())
}
