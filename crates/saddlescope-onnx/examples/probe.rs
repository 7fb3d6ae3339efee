//! Loss, gradient norm, vᵀHv and ‖Hv‖ of an ONNX file along a given vector, beside PyTorch's where they are given.
//!
//! ```text
//! cargo run --release -p saddlescope-onnx --example probe -- MODEL.onnx DATA.npz PROBE.safetensors [REFERENCE.json]
//! ```
//!
//! With `--loss LOSS` before them (and `--one-sample`, `--batch-axis INPUT=AXIS`, `--fix-input INPUT=NUMBER`, `--output NAME`), MODEL and DATA: loss in f32 and f64,
//! and how far a Hessian product is off central differences of the gradient.
//!
//! With MODEL and DATA alone (and `--one-sample` where the data are one): the comparison with the numbers that `scripts/torch_to_onnx.py` wrote into the file, in f64; exit code 3
//! if they differ by more than 1e-5.
//!
//! PROBE holds the vector under the parameters' names; REFERENCE is `{"float32": {"loss", "gradient_norm", "vhv",
//! "hv_norm"}, "float64": …}`, as `scripts/export_networks.py` writes it.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use saddlescope_data::weights::TensorMap;
use saddlescope_data::{DataSource, Split};
use saddlescope_nn::network::LossKind;
use saddlescope_nn::op::Element;
use saddlescope_nn::risk::{Curvature, Objective, Risk, RiskOptions};
use saddlescope_onnx::reference::{Measured, Reference};
use saddlescope_onnx::{ImportOptions, OnnxModel};

const NAMES: [&str; 4] = ["loss", "gradient_norm", "vhv", "hv_norm"];

/// The four numbers of [`NAMES`], and the seconds of a product.
fn measure<T: Element>(
    objective: Objective,
    theta: &[f64],
    v: &[f64],
) -> Result<([f64; 4], f64), Box<dyn Error>> {
    let threads = std::thread::available_parallelism()?.get();
    let risk = Risk::<T>::new(objective, RiskOptions { threads, micro_batch: None, keep_bytes: 0 })?;
    let (mut gradient, mut hv) = (vec![0.0; v.len()], vec![0.0; v.len()]);
    let loss = risk.gradient(theta, &mut gradient).loss;
    let point = risk.at(theta);
    point.product(Curvature::Hessian, v, &mut hv)?;
    let start = Instant::now();
    point.product(Curvature::Hessian, v, &mut hv)?;
    let seconds = start.elapsed().as_secs_f64();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    Ok(([loss, dot(&gradient, &gradient).sqrt(), dot(v, &hv), dot(&hv, &hv).sqrt()], seconds))
}

/// Compares a file with what PyTorch computed when it was exported.
fn compare(model: &str, data: &str, one_sample: bool) -> Result<(), Box<dyn Error>> {
    let source = DataSource::parse(&format!("npz:{data}"))?;
    let data = match one_sample {
        true => source.load_one_sample(Split::Train, None)?,
        false => source.load(Split::Train, None, None)?,
    };
    let options = ImportOptions { one_sample, ..ImportOptions::for_dataset(&data) };
    let model = OnnxModel::load(Path::new(model), &options)?;
    for note in model.notes.iter().chain(&model.data_notes(&data)) {
        println!("note: {note}");
    }
    let Some(reference) = &model.reference else {
        println!("{} parameters, no reference in the file", model.theta.len());
        return Ok(());
    };
    let loss = model.suggest_loss(&data)?.loss;
    let data = data.select(0..reference.samples.min(data.samples()))?;
    let objective = model.network_for(loss).objective(loss, &model.prepare(&data)?)?;
    let v = Reference::direction(&model.network);
    let ([loss_value, gradient_norm, quadratic, product_norm], _) =
        measure::<f64>(objective, &model.theta, &v)?;
    let found = Measured { loss: loss_value, gradient_norm, quadratic, product_norm };
    let off = |a: f64, b: f64, scale: f64| ((a - b) / scale).abs();
    let (norm, form) = (reference.product_norm.unwrap_or(f64::NAN), reference.quadratic.unwrap_or(f64::NAN));
    println!(
        "{} parameters, loss {}: off PyTorch's f64 by {:.1e} (loss), {:.1e} (gradient norm), {:.1e} (product norm), {:.1e} (vHv)",
        v.len(),
        loss.name(),
        off(loss_value, reference.loss, reference.loss),
        off(gradient_norm, reference.gradient_norm, reference.gradient_norm),
        off(product_norm, norm, norm),
        off(quadratic, form, norm)
    );
    let differences = reference.differences(&found, 1e-5);
    if differences.is_empty() {
        return Ok(());
    }
    for line in differences {
        println!("DIFFERS: {line}");
    }
    std::process::exit(3)
}

/// Loss, and a product beside central differences.
fn differences(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [_, loss, rest @ .., model, data] = arguments else {
        return Err("MODEL and DATA are missing".into());
    };
    let loss = LossKind::parse(loss).ok_or(format!("unknown loss `{loss}`"))?;
    let mut given = ImportOptions::default();
    let mut rest = rest.iter();
    while let Some(option) = rest.next() {
        match (option.as_str(), rest.as_slice()) {
            ("--one-sample", _) => given.one_sample = true,
            ("--batch-axis", [axis, ..]) => {
                let (input, axis) = axis.split_once('=').ok_or("expected INPUT=AXIS")?;
                given.batch_axes.insert(input.into(), axis.parse()?);
                rest.next();
            }
            ("--fix-input", [input, ..]) => {
                let (input, number) = input.split_once('=').ok_or("expected INPUT=NUMBER")?;
                given.fixed_inputs.insert(input.into(), vec![number.parse()?]);
                rest.next();
            }
            ("--output", [name, ..]) => {
                given.output = Some(name.clone());
                rest.next();
            }
            _ => return Err(format!("unknown option `{option}`").into()),
        }
    }
    let source = DataSource::parse(&format!("npz:{data}"))?;
    let data = match given.one_sample {
        true => source.load_one_sample(Split::Train, None)?,
        false => source.load(Split::Train, None, None)?,
    };
    let options = ImportOptions { sample_shapes: ImportOptions::for_dataset(&data).sample_shapes, ..given };
    let model = OnnxModel::load(Path::new(model), &options)?;
    let objective = model.network_for(loss).objective(loss, &model.prepare(&data)?)?;
    let options = RiskOptions { threads: 2, micro_batch: None, keep_bytes: 0 };
    let single = Risk::<f32>::new(objective.clone(), options.clone())?.evaluate(&model.theta).loss;
    let risk = Risk::<f64>::new(objective, options)?;
    let v = Reference::direction(&model.network);
    let gradient = |theta: &[f64]| {
        let mut out = vec![0.0; v.len()];
        let loss = risk.gradient(theta, &mut out).loss;
        (loss, out)
    };
    let (double, _) = gradient(&model.theta);
    let mut hv = vec![0.0; v.len()];
    risk.at(&model.theta).product(Curvature::Hessian, &v, &mut hv)?;
    let size: f64 = hv.iter().map(|x| x * x).sum();
    let mut off = f64::INFINITY;
    // Truncation is O(h²), rounding O(ε / h), and a large step crosses kinks of ReLU: the best of several.
    for h in [1e-5, 1e-6, 1e-7, 1e-8, 1e-9] {
        let shifted =
            |sign: f64| model.theta.iter().zip(&v).map(|(t, v)| t + sign * h * v).collect::<Vec<_>>();
        let (plus, minus) = (gradient(&shifted(1.0)).1, gradient(&shifted(-1.0)).1);
        let pairs = plus.iter().zip(&minus).zip(&hv);
        off = pairs.map(|((p, m), hv)| (hv - (p - m) / (2.0 * h)).powi(2)).sum::<f64>().min(off);
        if off < 1e-12 * size {
            break;
        }
    }
    println!(
        "{} parameters, loss {single:.9e} in f32, {double:.12e} in f64; product off central differences by {:.1e} of {:.1e}",
        v.len(),
        off.sqrt() / size.sqrt(),
        size.sqrt()
    );
    for note in &model.notes {
        println!("note: {note}");
    }
    Ok(())
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|a| a == "--loss") {
        return differences(&arguments);
    }
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [model, data] => return compare(model, data, false),
        [model, data, "--one-sample"] => return compare(model, data, true),
        _ => {}
    }
    let [model, data, probe, rest @ ..] = arguments.as_slice() else {
        return Err("usage: onnx_probe MODEL.onnx DATA.npz PROBE.safetensors [REFERENCE.json]".into());
    };
    let data = DataSource::parse(&format!("npz:{data}"))?.load(Split::Train, None, None)?;
    let model = OnnxModel::load(Path::new(model), &ImportOptions::for_dataset(&data))?;
    let tensors = TensorMap::read(Path::new(probe))?;
    let mut v = Vec::new();
    for p in model.network.graph.parameters() {
        let tensor = tensors.get(&p.name).ok_or_else(|| format!("the probe has no tensor `{}`", p.name))?;
        if tensor.shape != p.shape {
            return Err(
                format!("`{}`: {:?} in the probe, {:?} in the model", p.name, tensor.shape, p.shape).into()
            );
        }
        v.extend(tensor.data.to_f64());
    }
    if v.len() != tensors.iter().map(|(_, t)| t.data.len()).sum::<usize>() {
        return Err("the probe holds more than the model's parameters".into());
    }
    let loss = match rest.get(1).map(|name| LossKind::parse(name).ok_or(format!("unknown loss `{name}`"))) {
        Some(named) => named?,
        None => model.suggest_loss(&data)?.loss,
    };
    let objective = model.network_for(loss).objective(loss, &model.prepare(&data)?)?;
    println!("{} parameters, {} samples, loss {}", v.len(), data.samples(), loss.name());
    let reference: Option<serde_json::Value> = rest
        .first()
        .map(|path| -> Result<_, Box<dyn Error>> { Ok(serde_json::from_slice(&std::fs::read(path)?)?) })
        .transpose()?;
    let (single, seconds) = measure::<f32>(objective.clone(), &model.theta, &v)?;
    println!("a product takes {seconds:.4} s in f32");
    let (double, _) = measure::<f64>(objective, &model.theta, &v)?;
    for (i, name) in NAMES.iter().enumerate() {
        print!("{name:<14} f32 {:>16.9e}  f64 {:>18.12e}", single[i], double[i]);
        if let Some(reference) = &reference {
            let theirs = |dtype: &str| reference[dtype][name].as_f64().ok_or(format!("no {dtype}.{name}"));
            let exact = theirs("float64")?;
            let off = |x: f64| ((x - exact) / exact).abs();
            print!(
                "  off PyTorch's f64 by {:.1e} (f32), {:.1e} (f64); PyTorch's f32 by {:.1e}",
                off(single[i]),
                off(double[i]),
                off(theirs("float32")?)
            );
        }
        println!();
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::from(1)
        }
    }
}
