//! SoftmaxCrossEntropyLoss and NegativeLogLikelihoodLoss.
//!
//! Labels come with the data, so their indicator and the weights of their classes are computed by the interpreter; what
//! remains is −Σ indicator · weight · log p, which needs no operation of its own.

use super::binary::combine;
use super::reduce::sum_over;
use super::symbol::Symbol;
use super::unary::apply;
use super::walk::Site;
use crate::error::OpError;
use crate::eval::{IN_RANGE, LEFT_OUT};
use crate::graph::Attribute;
use crate::value::{Data, Value};
use saddlescope_nn::ops;

type Outputs = Result<Vec<Symbol>, OpError>;

pub(super) fn softmax_cross_entropy(site: &mut Site<'_>) -> Outputs {
    let scores = site.input(0)?;
    let log_p = super::softmax::apply(site, &scores, 1, |axis| ops::LogSoftmax { axis })?;
    let mut outputs = loss(site, &log_p)?;
    outputs.push(log_p);
    Ok(outputs)
}

pub(super) fn negative_log_likelihood(site: &mut Site<'_>) -> Outputs {
    let log_p = site.input(0)?;
    loss(site, &log_p)
}

/// A value of the interpreter made by one more operator.
fn step(
    site: &mut Site<'_>,
    op: &str,
    inputs: &[(&Symbol, &str)],
    attributes: &[(&str, Attribute)],
    suffix: &str,
) -> Result<(Symbol, String), OpError> {
    let names: Vec<&str> = inputs.iter().map(|i| i.1).collect();
    let symbols: Vec<Symbol> = inputs.iter().map(|i| i.0.clone()).collect();
    let node = site.derived_node(op, suffix, &names, attributes);
    let name = node.outputs[0].clone();
    Ok((site.derive(op, node, &symbols)?, name))
}

/// Classes in axis 1; labels have the shape of the scores without it.
fn loss(site: &mut Site<'_>, log_p: &Symbol) -> Outputs {
    let labels = site.input(1)?;
    let label_name = match &labels {
        Symbol::Known(k) | Symbol::Data(k) => k.name.clone(),
        _ => return Err(OpError::new("labels that depend on parameters")),
    };
    let reduction = site.node.text_or("reduction", "mean")?.to_string();
    let ignore = site.node.int("ignore_index")?;
    let [shape, _] = log_p.shapes(site.b());
    let classes = i64::try_from(shape.get(1).copied().unwrap_or(0))?;
    let name = |what: &str| format!("{label_name} ({what})");
    let (depth_name, values_name) = (name("classes"), name("off and on"));
    let depth = site.constant_symbol(&depth_name, Value::int64_vector([classes]).with_shape(vec![])?);
    let values = Value::new(crate::ElementType::F32, vec![2], Data::Float(vec![0.0, 1.0]))?;
    let values = site.constant_symbol(&values_name, values);
    let mut axis = vec![("axis", Attribute::Int(1)), (IN_RANGE, Attribute::Text("label".into()))];
    axis.extend(ignore.map(|ignore| (LEFT_OUT, Attribute::Int(ignore))));
    let parts = [(&labels, label_name.as_str()), (&depth, &depth_name), (&values, &values_name)];
    let (mut hot, mut hot_name) = step(site, "OneHot", &parts, &axis, "indicator")?;
    let mut counted = None;
    if let Some(ignore) = ignore {
        // 0 in the whole row of a label that is left out, even if it counts as a class from the end.
        let (out_name, cast_name) = (name("ignored"), name("kept"));
        let element = labels.element();
        let ignored = Value::integers(element, vec![], vec![i128::from(ignore)])?;
        let ignored = site.constant_symbol(&out_name, ignored);
        let (equal, n) =
            step(site, "Equal", &[(&labels, &label_name), (&ignored, &out_name)], &[], &cast_name)?;
        let (kept, n) = step(site, "Not", &[(&equal, &n)], &[], "kept")?;
        let (kept, n) =
            step(site, "Cast", &[(&kept, &n)], &[("to", Attribute::Int(1))], "weights of the kept")?;
        counted = Some(kept.clone());
        let (kept, n) =
            step(site, "Unsqueeze", &[(&kept, &n)], &[("axes", Attribute::Ints(vec![1]))], "kept rows")?;
        (hot, hot_name) = step(site, "Mul", &[(&hot, &hot_name), (&kept, &n)], &[], "kept indicator")?;
    }
    if let Some(weight) = site.optional(2) {
        let weight = site.b().fixed_constant(&weight, "the class weights")?;
        let rank = shape.len();
        let row: Vec<usize> = (0..rank).map(|d| if d == 1 { weight.len() } else { 1 }).collect();
        let row_name = name("class weights");
        let numbers = weight.as_floats()?.to_vec();
        let row = site.constant_symbol(&row_name, Value::floats(crate::ElementType::F32, row, numbers)?);
        (hot, hot_name) =
            step(site, "Mul", &[(&hot, &hot_name), (&row, &row_name)], &[], "weighted indicator")?;
    }
    let product = combine(site, log_p, &hot, ops::Mul)?;
    let negative = apply(site, &product, ops::Neg)?;
    let each = sum_over(site, &negative, &[1], false)?;
    let rank = shape.len() - 1;
    let all: Vec<usize> = (0..rank).collect();
    match reduction.as_str() {
        "none" => Ok(vec![each]),
        "sum" => Ok(vec![sum_over(site, &each, &all, false)?]),
        "mean" if matches!(hot, Symbol::Known(_)) => {
            let (total, _) = step(
                site,
                "ReduceSum",
                &[(&hot, &hot_name)],
                &[("keepdims", Attribute::Int(0))],
                "total weight",
            )?;
            let sum = sum_over(site, &each, &all, false)?;
            Ok(vec![combine(site, &sum, &total, ops::Div)?])
        }
        "mean" => mean(site, &each, counted),
        other => Err(OpError::new(format!("reduction `{other}`, expected none, sum or mean"))),
    }
}

/// The mean over samples and positions, kept apart by sample at the end of a model. `counted` is 1 for every label that is not left
/// out: the mean is over those, of which all samples must have as many (checked with the data).
fn mean(site: &mut Site<'_>, each: &Symbol, counted: Option<Symbol>) -> Outputs {
    if site.optional(2).is_some() {
        return Err(OpError::new(
            "a mean with class weights couples the samples of a batch and is not supported; export the logits instead",
        ));
    }
    if !site.is_final() {
        return Err(OpError::new("a mean loss inside the graph is not supported; it must be the output"));
    }
    let no_samples = || OpError::new("the first axis of the loss does not count the samples");
    let means = super::reduce::sample_means(site, each)?.ok_or_else(no_samples)?;
    let Some(counted) = counted else { return Ok(vec![means]) };
    if let Symbol::Known(known) | Symbol::Data(known) = &counted {
        site.walker.counted_labels = Some(known.name.clone());
    }
    let shares = super::reduce::sample_means(site, &counted)?.ok_or_else(no_samples)?;
    Ok(vec![combine(site, &means, &shares, ops::Div)?])
}
