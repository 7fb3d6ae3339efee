//! Seconds of Hessian-vector products of an ONNX file, by operation if wanted.
//!
//! ```text
//! cargo run --release -p saddlescope --example network_bench -- MODEL.onnx DATA.npz [THREADS] [RUNS] [WHAT] [MICRO]
//! ```
//!
//! f32, all samples of the file. WHAT is `kept` (the default), `hvp`, `block` (eight tangents, primals kept, seconds of
//! one), `gradient`, `loss`, or `profile` and `profile-kept`: a table by operation. MICRO is the size of a micro-batch, 0 for the engine's choice. The last
//! line is the peak resident memory of the process. Compare with PyTorch in turns on the same machine.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use saddlescope::data::{DataSource, Split};
use saddlescope::nn::risk::{Curvature, Risk, RiskOptions};
use saddlescope::onnx::{ImportOptions, OnnxModel};

fn noise(n: usize, seed: u64) -> Vec<f64> {
    let mut s = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        (s >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, data, rest @ ..] = arguments.as_slice() else {
        return Err("usage: network_bench MODEL.onnx DATA.npz [THREADS] [RUNS] [WHAT] [MICRO]".into());
    };
    let text = |i: usize, default: &str| rest.get(i).cloned().unwrap_or_else(|| default.into());
    let (threads, runs) = (text(0, "2").parse::<usize>()?, text(1, "5").parse::<usize>()?.max(1));
    let (what, micro) = (text(2, "kept"), text(3, "0").parse::<usize>()?);
    let data = DataSource::parse(&format!("npz:{data}"))?.load(Split::Train, None, None)?;
    let model = OnnxModel::load(Path::new(model), &ImportOptions::for_dataset(&data))?;
    let loss = model.suggest_loss(&data)?.loss;
    let objective = model.network_for(loss).objective(loss, &model.prepare(&data)?)?;
    let keep_bytes = if matches!(what.as_str(), "kept" | "block" | "profile-kept") { 8 << 30 } else { 0 };
    let options = RiskOptions { threads, micro_batch: (micro > 0).then_some(micro), keep_bytes };
    let risk = Risk::<f32>::new(objective, options)?;
    let (theta, n) = (&model.theta, risk.dim());
    let (micro, chunk) = risk.batches();
    let point = risk.at(theta);
    let k = if what == "block" { 8 } else { 1 };
    let (vs, mut out) = (noise(k * n, 3), vec![0.0; k * n]);
    if what.starts_with("profile") {
        point.product(Curvature::Hessian, &vs, &mut out)?;
        point.product(Curvature::Hessian, &vs, &mut out)?;
        println!("{}", point.profile(Curvature::Hessian, &vs, &mut out)?);
    }
    let mut seconds = Vec::new();
    for i in 0..=runs {
        let start = Instant::now();
        if what == "loss" {
            risk.evaluate(theta);
        } else if what == "gradient" {
            risk.gradient(theta, &mut out);
        } else {
            point.product(Curvature::Hessian, &vs, &mut out)?;
        }
        if i > 0 {
            seconds.push(start.elapsed().as_secs_f64() / k as f64);
        }
    }
    seconds.sort_by(f64::total_cmp);
    let peak = std::fs::read_to_string("/proc/self/status").ok().and_then(|status| {
        let line = status
            .lines()
            .find_map(|l| l.strip_prefix("VmHWM:"))?
            .trim()
            .strip_suffix("kB")?
            .trim()
            .to_string();
        line.parse::<f64>().ok()
    });
    println!(
        "OURS {what} median {:.4} min {:.4} s; {n} parameters, micro-batch {micro}, chunk {chunk}; norm {:.6e}; peak {:.0} MiB",
        seconds[seconds.len() / 2],
        seconds[0],
        out.iter().map(|x| x * x).sum::<f64>().sqrt(),
        peak.unwrap_or(f64::NAN) / 1024.0
    );
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
