//! Seconds of loss, gradient and Hessian-vector products of a network of the zoo on random data.
//!
//! ```text
//! cargo run --release -p saddlescope-nn --example hvp_bench -- [MODEL] [IMAGES] [THREADS] [RUNS] [WHAT] [MICRO]
//! ```
//!
//! Median (and shortest) times after one warm-up each, f32, evaluation-mode batch norm. The networks of the zoo take
//! CIFAR-sized images (or 8 × 8 digits for the models named so). WHAT is `all` or one of `forward`, `gradient`, `hvp`, `block`, `kept`;
//! MICRO is the size of a micro-batch, 0 for the engine's choice. The last line is the peak resident memory of the
//! process, so ask for one thing at a time to know what it takes. Compare with PyTorch in turns on the same machine, never
//! from memory.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;
use std::time::Instant;

use saddlescope_data::{Dataset, InputTensor, Normalization, Targets};
use saddlescope_nn::network::LossKind;
use saddlescope_nn::risk::{Curvature, Risk, RiskOptions};
use saddlescope_nn::zoo;

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

/// Median and shortest time of some runs after one that is not counted.
fn seconds(runs: usize, mut f: impl FnMut()) -> [f64; 2] {
    f();
    let mut times: Vec<f64> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            f();
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    [times[times.len() / 2], times[0]]
}

/// Peak resident memory in MiB, where the system says it.
fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok().map(|kib| kib / 1024.0)
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let text = |i: usize, default: &str| arguments.get(i).cloned().unwrap_or_else(|| default.into());
    let (name, images) = (text(0, "resnet56-b"), text(1, "128").parse::<usize>()?);
    let (threads, runs) = (text(2, "2").parse::<usize>()?, text(3, "5").parse::<usize>()?.max(1));
    let (what, micro) = (text(4, "all"), text(5, "0").parse::<usize>()?);
    let network = zoo::by_name(&name).ok_or(format!("no network {name}; there are {}", zoo::NAMES))?;
    let theta = network.initialise(1);
    let shape = network.graph.data_inputs().first().map_or(Vec::new(), |d| d.shape.clone());
    let values = noise(images * shape.iter().product::<usize>(), 1).iter().map(|&x| x as f32).collect();
    let input = InputTensor { name: "x".into(), shape_per_sample: shape, values, integer: false };
    let labels = (0..images as u32).map(|i| i % 10).collect();
    let targets = Targets::Classes { labels, classes: 10 };
    let data = Dataset::new(vec![input], targets, Normalization::none(), "random")?;
    let objective = network.objective(LossKind::CrossEntropy, &data)?;
    let options = RiskOptions { threads, micro_batch: (micro > 0).then_some(micro), keep_bytes: 0 };
    let risk = Risk::<f32>::new(objective.clone(), options.clone())?;
    let n = risk.dim();
    let (v, mut hv) = (noise(n, 2), vec![0.0; n]);
    let (micro, chunk) = risk.batches();
    println!(
        "{name}: {n} parameters, {images} images, {threads} threads, micro-batch {micro}, chunk {chunk}"
    );
    let wanted = |part: &str| what == "all" || what == part;
    let print = |part: &str, [median, shortest]: [f64; 2]| {
        println!("{part:<10} {median:.4} s (shortest {shortest:.4})");
    };
    let mut loss = f64::NAN;
    if wanted("forward") {
        print("forward", seconds(runs, || loss = risk.evaluate(&theta).loss));
        println!("           (loss {loss:.6})");
    }
    if wanted("gradient") {
        print("gradient", seconds(runs, || loss = risk.gradient(&theta, &mut hv).loss));
    }
    let point = risk.at(&theta);
    let mut failure = None;
    if wanted("hvp") {
        print("hvp", seconds(runs, || failure = point.product(Curvature::Hessian, &v, &mut hv).err()));
        let norm = hv.iter().map(|x| x * x).sum::<f64>().sqrt();
        println!("           (norm of the product {norm:.6e})");
        let memory = risk.memory(1);
        let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        println!(
            "           planned: {:.1} MiB a thread, {:.1} MiB shared; all primals {:.1} MiB",
            mib(memory.per_thread),
            mib(memory.shared),
            mib(memory.all_primals)
        );
    }
    if wanted("block") {
        let vs = noise(8 * n, 3);
        let mut hvs = vec![0.0; 8 * n];
        let block = seconds(runs, || failure = point.product(Curvature::Hessian, &vs, &mut hvs).err());
        print("of block 8", block.map(|s| s / 8.0));
    }
    if wanted("kept") {
        let keeping = Risk::<f32>::new(objective, RiskOptions { keep_bytes: 8 << 30, ..options })?;
        let point = keeping.at(&theta);
        print("hvp kept", seconds(runs, || failure = point.product(Curvature::Hessian, &v, &mut hv).err()));
    }
    if let Some(mib) = peak_memory() {
        println!("peak       {mib:.1} MiB resident");
    }
    failure.map_or(Ok(()), |e| Err(e.into()))
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
