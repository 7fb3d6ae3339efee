//! Runs the ONNX standard's own node cases and counts them by operator.
//!
//! `cargo run --release -p saddlescope-onnx --example conformance -- CASES [TABLE.md]`
//!
//! CASES holds one folder a case, each with `model.onnx`, `tolerance.txt` and `test_data_set_K/{input,output}_J.pb`, as
//! `scripts/onnx_cases.py` writes them from the PyPI package `onnx`. Exit code 1 if a case of a supported operator fails.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use prost::Message;
use saddlescope_onnx::eval::Budget;
use saddlescope_onnx::model::Model;
use saddlescope_onnx::proto::{ModelProto, TensorProto};
use saddlescope_onnx::tensor::ExternalFolder;
use saddlescope_onnx::{Data, ElementType, OnnxError, Value, evaluate};

enum Outcome {
    Pass,
    /// An output differs by rounding, more than the case's tolerance allows: two units in the last place of 16-bit numbers, two of
    /// the largest number of a 32-bit output (numbers that cancel).
    Rounding(String),
    Fail(String),
    Unsupported(String),
}

#[derive(Default)]
struct Count {
    pass: usize,
    /// Of those that pass: cases in which the engine's operations computed at least one node.
    engine: usize,
    fail: usize,
    rounding: usize,
    unsupported: usize,
}

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(e) => {
            eprintln!("{e}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<usize, Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let root = args.next().ok_or("usage: onnx_conformance CASES [TABLE.md]")?;
    let table = args.next();
    let mut cases: Vec<PathBuf> =
        fs::read_dir(&root)?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
    cases.sort();
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    let mut total = Count::default();
    for case in &cases {
        let name = case.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let count = counts.entry(operator_of(case, &name)?).or_default();
        let through_engine = Cell::new(0);
        match judge(case, &through_engine) {
            Outcome::Pass => {
                let in_engine = usize::from(through_engine.get() > 0);
                count.engine += in_engine;
                total.engine += in_engine;
                count.pass += 1;
                total.pass += 1;
            }
            Outcome::Rounding(why) => {
                println!("rounding {name}: {why}");
                count.rounding += 1;
                total.rounding += 1;
            }
            Outcome::Fail(why) => {
                println!("FAIL {name}: {why}");
                count.fail += 1;
                total.fail += 1;
            }
            Outcome::Unsupported(why) => {
                if std::env::var_os("VERBOSE").is_some() {
                    println!("unsupported {name}: {why}");
                }
                count.unsupported += 1;
                total.unsupported += 1;
            }
        }
    }
    println!(
        "{} cases: {} pass ({} through the engine), {} fail, {} off by rounding, {} unsupported",
        cases.len(),
        total.pass,
        total.engine,
        total.fail,
        total.rounding,
        total.unsupported
    );
    if let Some(path) = table {
        fs::write(&path, markdown(&counts, &total, cases.len()))?;
    }
    Ok(total.fail)
}

/// The operator a case is about: its only one, or for the expanded form of a function the operator that was expanded.
fn operator_of(case: &Path, name: &str) -> Result<String, Box<dyn Error>> {
    let model = ModelProto::decode(fs::read(case.join("model.onnx"))?.as_slice())?;
    let nodes = model.graph.map(|g| g.node).unwrap_or_default();
    if name.contains("_expanded") {
        let plain = case.with_file_name(name.split("_expanded").next().unwrap_or(name));
        if plain.join("model.onnx").is_file() {
            let plain_name = plain.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return operator_of(&plain, &plain_name);
        }
    }
    Ok(nodes.last().map_or_else(|| "(none)".into(), |n| n.op_type.clone()))
}

fn judge(case: &Path, through_engine: &Cell<usize>) -> Outcome {
    match try_case(case, through_engine) {
        Ok(outcome) => outcome,
        Err(e) => Outcome::Fail(e.to_string()),
    }
}

fn try_case(case: &Path, through_engine: &Cell<usize>) -> Result<Outcome, Box<dyn Error>> {
    let model = match Model::read(&case.join("model.onnx")) {
        Ok(model) => model,
        Err(e) if e.to_string().contains("not supported") => return Ok(Outcome::Unsupported(e.to_string())),
        Err(e) => return Err(e.into()),
    };
    let (rtol, atol) = tolerance(&fs::read_to_string(case.join("tolerance.txt"))?)?;
    for set in 0.. {
        let folder = case.join(format!("test_data_set_{set}"));
        if !folder.is_dir() {
            return if set == 0 { Err("no data".into()) } else { Ok(Outcome::Pass) };
        }
        let (inputs, wanted) = match (tensors(&folder, "input")?, tensors(&folder, "output")?) {
            (Ok(inputs), Ok(outputs)) => (inputs, outputs),
            (Err(why), _) | (_, Err(why)) => return Ok(Outcome::Unsupported(why)),
        };
        let outputs = match evaluate(&model, inputs, &Budget::new(1 << 26), through_engine) {
            Ok(outputs) => outputs,
            Err(e @ OnnxError::Unsupported { .. }) => return Ok(Outcome::Unsupported(e.to_string())),
            Err(e) if e.to_string().contains("not supported") => {
                return Ok(Outcome::Unsupported(e.to_string()));
            }
            Err(e) => return Err(e.into()),
        };
        for ((declared, found), wanted) in model.graph.outputs.iter().zip(&outputs).zip(&wanted) {
            if let Some(why) = difference(found, wanted, rtol, atol) {
                let why = format!("output `{}`: {why}", declared.name);
                // Bfloat16 keeps 8 bits and float16 11: two units in the last place are 2⁻⁶ and 2⁻⁹ of the number.
                // Where 32-bit numbers cancel, units of the largest number of the output remain.
                let largest =
                    wanted.as_floats().map_or(0.0, |v| v.iter().fold(0.0, |m: f64, x| m.max(x.abs())));
                let (units, atol) = match wanted.element() {
                    ElementType::Bf16 => (2f64.powi(-6), atol),
                    ElementType::F16 => (2f64.powi(-9), atol),
                    ElementType::F32 => (rtol, 2f64.powi(-22) * largest),
                    _ => return Ok(Outcome::Fail(why)),
                };
                return Ok(match difference(found, wanted, units, atol) {
                    None => Outcome::Rounding(why),
                    Some(_) => Outcome::Fail(why),
                });
            }
        }
    }
    Ok(Outcome::Pass)
}

fn tolerance(text: &str) -> Result<(f64, f64), Box<dyn Error>> {
    let value = |key: &str| -> Result<f64, Box<dyn Error>> {
        let word = text.split_whitespace().find_map(|w| w.strip_prefix(key)).ok_or("no tolerance")?;
        Ok(word.parse()?)
    };
    Ok((value("rtol=")?, value("atol=")?))
}

/// The inner error says why a tensor cannot be represented.
fn tensors(folder: &Path, kind: &str) -> Result<Result<Vec<Value>, String>, Box<dyn Error>> {
    let mut values = Vec::new();
    for i in 0.. {
        let path = folder.join(format!("{kind}_{i}.pb"));
        if !path.is_file() {
            break;
        }
        let proto = TensorProto::decode(fs::read(&path)?.as_slice())?;
        match Value::from_proto(&proto, &ExternalFolder::default()) {
            Ok(value) => values.push(value),
            Err(e) => return Ok(Err(e.to_string())),
        }
    }
    Ok(Ok(values))
}

/// As `numpy.testing.assert_allclose`: |found − wanted| ≤ atol + rtol·|wanted|, NaN equal to NaN; all else exactly.
fn difference(found: &Value, wanted: &Value, rtol: f64, atol: f64) -> Option<String> {
    if found.element() != wanted.element() || found.shape() != wanted.shape() {
        return Some(format!(
            "{} {:?}, expected {} {:?}",
            found.element(),
            found.shape(),
            wanted.element(),
            wanted.shape()
        ));
    }
    match (found.data(), wanted.data()) {
        (Data::Float(f), Data::Float(w)) => f.iter().zip(w).enumerate().find_map(|(i, (&f, &w))| {
            let same = f == w || (f.is_nan() && w.is_nan()) || (f - w).abs() <= atol + rtol * w.abs();
            (!same).then(|| format!("element {i}: {f}, expected {w} (rtol {rtol}, atol {atol})"))
        }),
        (f, w) => (f != w).then(|| format!("{f:?}, expected {w:?}").chars().take(300).collect()),
    }
}

fn markdown(counts: &BTreeMap<String, Count>, total: &Count, cases: usize) -> String {
    let mut text = format!(
        "{cases} cases: {} pass ({} of them through the engine's operations), {} fail, {} miss their tolerance by rounding (at \
         most two units in the last place of a 16-bit number, or of the largest number of a 32-bit output), {} are of operators, attributes or types that are not \
         supported.\n\n| operator | pass | of these through the engine | fail | rounding | unsupported |\n\
         | --- | ---: | ---: | ---: | ---: | ---: |\n",
        total.pass, total.engine, total.fail, total.rounding, total.unsupported
    );
    for (operator, c) in counts {
        text.push_str(&format!(
            "| {operator} | {} | {} | {} | {} | {} |\n",
            c.pass, c.engine, c.fail, c.rounding, c.unsupported
        ));
    }
    text
}
