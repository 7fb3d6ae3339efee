//! Inputs of the model: those that the data set provides and those that are fixed at import.

use super::element::ElementType;
use super::error::{OnnxError, OpError};
use super::graph::{Declaration, Dim};
use super::load::{ImportOptions, ModelInput, listed};
use super::translate::{Walker, data_symbol};
use super::value::{Data, Value, numel};

/// Most elements of an input that is filled with one number.
const MAX_FIXED: usize = 1 << 20;

/// Declares the model's inputs: those that the data set must provide are returned, those that are fixed become constants.
pub(crate) fn declare_inputs(
    walker: &mut Walker,
    declared: &[Declaration],
    options: &ImportOptions,
) -> Result<Vec<ModelInput>, OnnxError> {
    let named = |name: &str| declared.iter().any(|d| d.name == name);
    let axes =
        options.batch_axes.keys().filter(|name| !name.is_empty()).map(|name| (name, "to have a batch axis"));
    let fixed = options.fixed_inputs.keys().map(|name| (name, "to be fixed"));
    if let Some((other, what)) = axes.chain(fixed).find(|(name, _)| !named(name)) {
        let names: Vec<String> = declared.iter().map(|d| d.name.clone()).collect();
        return Err(OnnxError::Invalid(format!(
            "no input `{other}` {what}; the inputs are {}",
            listed(&names)
        )));
    }
    if let Some(both) = options.fixed_inputs.keys().find(|name| options.batch_axes.contains_key(*name)) {
        return Err(OnnxError::Invalid(format!("the input `{both}` is fixed, so that it has no batch axis")));
    }
    let free = declared.iter().filter(|d| !options.fixed_inputs.contains_key(&d.name)).count();
    let mut inputs = Vec::new();
    for input in declared {
        let wrong = |text: String| OnnxError::Tensor { name: input.name.clone(), reason: OpError::new(text) };
        let given = options.sample_shapes.get(&input.name).or_else(|| {
            // The shape of a single input under no name.
            options.sample_shapes.get("").filter(|_| free == 1)
        });
        let element =
            input.element.ok_or_else(|| wrong("its element type is not declared or not supported".into()))?;
        if let Some(numbers) = options.fixed_inputs.get(&input.name) {
            let value = fixed_value(input, element, numbers)
                .map_err(|reason| OnnxError::Tensor { name: input.name.clone(), reason })?;
            let shown: Vec<String> = numbers.iter().take(8).map(f64::to_string).collect();
            let more = if numbers.len() > 8 { ", …" } else { "" };
            walker.note(&format!(
                "the input `{}` is fixed to {}{more} for all samples",
                input.name,
                shown.join(", ")
            ));
            walker.symbols.insert(input.name.clone(), Walker::known(&input.name, value));
            continue;
        }
        let mut shape = Vec::new();
        let batch_axis = options.batch_axes.get(&input.name).or_else(|| options.batch_axes.get("")).copied();
        let batch_axis = batch_axis.unwrap_or(0);
        // Where there is no such axis, none is left out.
        let counts = |d: usize| !options.one_sample && d == batch_axis;
        match &input.shape {
            Some(dims) => {
                if !options.one_sample && dims.is_empty() {
                    return Err(wrong(
                        "a single number has no axis that counts samples; if it is the same for all of them, fix it with --fix-input \
                         NAME=VALUE"
                            .into(),
                    ));
                }
                if !options.one_sample && batch_axis >= dims.len() {
                    return Err(wrong(format!(
                        "axis {batch_axis} is to count the samples of {} dimensions",
                        dims.len()
                    )));
                }
                if let Some(Dim::Fixed(n)) = dims.get(batch_axis).filter(|_| !options.one_sample) {
                    walker.declared_batch = Some(*n);
                }
                for (d, dim) in dims.iter().enumerate().filter(|(d, _)| !counts(*d)) {
                    let from_data = given.and_then(|g| g.get(shape.len())).copied();
                    shape.push(match (dim, from_data) {
                        (Dim::Fixed(n), _) => *n,
                        (_, Some(n)) => n,
                        (Dim::Named(name), None) => {
                            return Err(wrong(format!(
                                "dimension {d} (`{name}`) is open; the data must give it"
                            )));
                        }
                        (Dim::Open, None) => {
                            return Err(wrong(format!("dimension {d} is open; the data must give it")));
                        }
                    });
                }
            }
            None => match given {
                Some(given) => shape = given.clone(),
                None => return Err(wrong("its shape is not declared; the data must give it".into())),
            },
        }
        let axis = (!options.one_sample).then_some(batch_axis);
        let symbol = data_symbol(&input.name, element, &shape, axis, &walker.builder.budget)
            .map_err(|reason| OnnxError::Tensor { name: input.name.clone(), reason })?;
        walker.symbols.insert(input.name.clone(), symbol);
        inputs.push(ModelInput { name: input.name.clone(), shape, batch_axis, element });
    }
    Ok(inputs)
}

/// An input that is the same for all samples.
fn fixed_value(input: &Declaration, element: ElementType, numbers: &[f64]) -> Result<Value, OpError> {
    if numbers.is_empty() {
        return Err(OpError::new("it is fixed by no numbers"));
    }
    let dims = input.shape.as_deref().unwrap_or(&[]);
    let open = dims.iter().filter(|d| !matches!(d, Dim::Fixed(_))).count();
    let known: Vec<usize> =
        dims.iter().filter_map(|d| if let Dim::Fixed(n) = d { Some(*n) } else { None }).collect();
    let whole = numel(&known).ok_or_else(|| OpError::new("its shape overflows"))?;
    // One open dimension is as long as there are numbers for; of several, each has length 1.
    let length = if open == 1 && whole != 0 && numbers.len().is_multiple_of(whole) {
        numbers.len() / whole
    } else {
        1
    };
    let shape: Vec<usize> = match &input.shape {
        Some(dims) => dims.iter().map(|d| if let Dim::Fixed(n) = d { *n } else { length }).collect(),
        None if numbers.len() == 1 => vec![],
        None => vec![numbers.len()],
    };
    let n = numel(&shape).ok_or_else(|| OpError::new("its shape overflows"))?;
    let values = match numbers {
        [one] if n <= MAX_FIXED => vec![*one; n],
        _ if numbers.len() == n => numbers.to_vec(),
        _ => {
            return Err(OpError::new(format!(
                "it is fixed by {} numbers, but has shape {shape:?}",
                numbers.len()
            )));
        }
    };
    if element == ElementType::String {
        return Err(OpError::new("it holds text, which cannot be fixed"));
    }
    let value =
        crate::eval::convert(&Value::new(ElementType::F64, shape, Data::Float(values.clone()))?, element)?;
    // Integers wrap and everything but 0 is true; neither is meant here.
    if !element.is_float() && value.to_f64s()? != values {
        return Err(OpError::new(format!("it holds {element}, which {numbers:?} is not")));
    }
    Ok(value)
}
