//! Damaged model files: an import either succeeds or says what is wrong; it never panics, hangs or takes much memory.
//!
//! Every fixture is damaged at random, in its bytes (flips, cuts, insertions) and in its meaning (absurd dimensions and
//! attributes, nodes that feed themselves, exchanged operators, external data outside the folder).
//! `SADDLESCOPE_MUTATIONS=N` tries N per fixture.
#![allow(clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use prost::Message;
use rand::{RngExt, SeedableRng, seq::IndexedRandom};
use rand_xoshiro::Xoshiro256PlusPlus;
use saddlescope_nn::onnx::model::Model;
use saddlescope_nn::onnx::proto::{
    DimensionValue, GraphProto, ModelProto, StringStringEntryProto, TensorProto,
};
use saddlescope_nn::onnx::tensor::ExternalFolder;
use saddlescope_nn::onnx::{ImportOptions, OnnxModel};

/// Longest time an import of a few kilobytes may take on a busy machine.
const LONGEST: Duration = Duration::from_secs(10);

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|f| f.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "onnx"))
        .collect();
    files.sort();
    files
}

const ABSURD: [i64; 16] =
    [0, -1, 1, 2, 3, -2, 7, 64, 4096, 1 << 20, 1 << 31, 1 << 40, 1 << 62, i64::MAX, i64::MIN, -(1 << 33)];

type Random = Xoshiro256PlusPlus;

fn damage_bytes(rng: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..rng.random_range(1..6) {
        if bytes.is_empty() {
            return;
        }
        let at = rng.random_range(0..bytes.len());
        match rng.random_range(0..8) {
            0 => bytes.truncate(at),
            1 => bytes[at] = rng.random(),
            2 => bytes[at] = 0xff,
            3 => bytes.insert(at, rng.random()),
            4 => {
                bytes.remove(at);
            }
            5 => {
                let end = (at + rng.random_range(1..64)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                let to = rng.random_range(0..bytes.len());
                bytes.splice(to..to, part);
            }
            _ => bytes[at] ^= 1 << rng.random_range(0..8),
        }
    }
}

fn damage_tensor(rng: &mut Random, t: &mut TensorProto) {
    let absurd = *ABSURD.choose(rng).unwrap();
    match rng.random_range(0..6) {
        0 if !t.dims.is_empty() => {
            let d = rng.random_range(0..t.dims.len());
            t.dims[d] = absurd;
        }
        1 => t.dims.push(absurd),
        2 => t.data_type = rng.random_range(-1..25),
        3 => {
            t.data_location = 1;
            let location =
                *["../../../etc/passwd", "/etc/passwd", "mlp_softmax.onnx", "", "."].choose(rng).unwrap();
            t.external_data = [("location", location), ("offset", "3")]
                .map(|(k, v)| StringStringEntryProto { key: k.into(), value: v.into() })
                .to_vec();
        }
        // Constants that decide shapes are int64.
        _ if t.data_type == 7 => {
            let count = t.dims.iter().product::<i64>().clamp(0, 64) as usize;
            let values: Vec<u8> = (0..count)
                .flat_map(|_| {
                    if rng.random_bool(0.5) { absurd } else { rng.random_range(-2..9) }.to_le_bytes()
                })
                .collect();
            t.raw_data = Some(values.into());
            t.int64_data.clear();
        }
        _ => t.dims = vec![1 << 21, 1 << 21],
    }
}

fn damage_graph(rng: &mut Random, g: &mut GraphProto) {
    let names: Vec<String> = g.node.iter().flat_map(|n| n.input.iter().chain(&n.output)).cloned().collect();
    let ops: Vec<String> = g.node.iter().map(|n| n.op_type.clone()).collect();
    for _ in 0..rng.random_range(1..4) {
        match rng.random_range(0..10) {
            0 | 1 if !g.initializer.is_empty() => {
                let i = rng.random_range(0..g.initializer.len());
                damage_tensor(rng, &mut g.initializer[i]);
            }
            2 => {
                // An input or output with absurd dimensions.
                let list = if rng.random_bool(0.8) { &mut g.input } else { &mut g.output };
                let Some(info) = list.first_mut() else { continue };
                let shape =
                    info.r#type.as_mut().and_then(|t| t.tensor_type.as_mut()).and_then(|t| t.shape.as_mut());
                if let Some(dim) = shape.and_then(|s| {
                    let d = rng.random_range(0..s.dim.len().max(1));
                    s.dim.get_mut(d)
                }) {
                    dim.value = Some(DimensionValue::Length(*ABSURD.choose(rng).unwrap()));
                }
            }
            _ => {
                if g.node.is_empty() {
                    return;
                }
                let at = rng.random_range(0..g.node.len());
                let node = &mut g.node[at];
                match rng.random_range(0..6) {
                    0 if !node.input.is_empty() => {
                        let i = rng.random_range(0..node.input.len());
                        node.input[i] = names.choose(rng).unwrap().clone();
                    }
                    1 => node.op_type = ops.choose(rng).unwrap().clone(),
                    2 => {
                        let other = *[
                            "Expand",
                            "Tile",
                            "ConstantOfShape",
                            "Range",
                            "Pad",
                            "OneHot",
                            "Resize",
                            "Gather",
                            "Reshape",
                            "EyeLike",
                            "Concat",
                            "Split",
                            "If",
                            "TopK",
                            "CumSum",
                            "MatMul",
                            "Conv",
                        ]
                        .choose(rng)
                        .unwrap();
                        node.op_type = other.into();
                    }
                    _ => {
                        let Some(a) = (!node.attribute.is_empty())
                            .then(|| rng.random_range(0..node.attribute.len()))
                            .map(|i| &mut node.attribute[i])
                        else {
                            continue;
                        };
                        if let Some(t) = a.t.as_mut() {
                            damage_tensor(rng, t);
                        } else if !a.ints.is_empty() {
                            let i = rng.random_range(0..a.ints.len());
                            a.ints[i] = *ABSURD.choose(rng).unwrap();
                        } else {
                            a.i = Some(*ABSURD.choose(rng).unwrap());
                        }
                    }
                }
            }
        }
    }
}

fn damaged(rng: &mut Random, original: &[u8]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    if rng.random_bool(0.7)
        && let Ok(mut model) = ModelProto::decode(original)
    {
        if let Some(graph) = model.graph.as_mut() {
            damage_graph(rng, graph);
        }
        bytes = model.encode_to_vec();
        if rng.random_bool(0.8) {
            return bytes;
        }
    }
    damage_bytes(rng, &mut bytes);
    bytes
}

fn import(bytes: Vec<u8>, folder: &ExternalFolder, samples: &ImportOptions) -> bool {
    Model::decode(bytes, folder).and_then(|m| OnnxModel::import(&m, "damaged", samples)).is_ok()
}

/// Peak memory of this process in MiB, where the system tells. The kernel reads it from counters that lag behind a little: a
/// later value may be smaller.
fn peak_mib() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM"))?;
    line.split_whitespace().nth(1)?.parse::<usize>().ok().map(|kib| kib / 1024)
}

#[test]
fn damaged_models_are_refused_in_bounded_time_and_memory() {
    let count: u64 = std::env::var("SADDLESCOPE_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    let verbose = std::env::var_os("SADDLESCOPE_MUTATIONS").is_some();
    let (send_job, jobs) = mpsc::channel::<(Vec<u8>, ExternalFolder)>();
    let (send_done, done) = mpsc::channel();
    std::thread::spawn(move || {
        for (bytes, folder) in jobs {
            if send_done.send(import(bytes, &folder, &ImportOptions::default())).is_err() {
                return;
            }
        }
    });
    let (mut imported, mut tried) = (0, 0);
    for file in fixtures() {
        let original = std::fs::read(&file).unwrap();
        let folder = ExternalFolder::of_model(&file);
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        for seed in 0..count {
            let mut rng = Random::seed_from_u64(seed);
            let bytes = damaged(&mut rng, &original);
            let before = peak_mib();
            let keep = || {
                let kept = std::env::temp_dir().join(format!("damaged-{seed}-{name}"));
                std::fs::write(&kept, damaged(&mut Random::seed_from_u64(seed), &original)).unwrap();
                kept.display().to_string()
            };
            let start = Instant::now();
            send_job.send((bytes, folder.clone())).unwrap();
            match done.recv_timeout(LONGEST) {
                Ok(ok) => imported += usize::from(ok),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    panic!("{name}, seed {seed}: not finished; {}", keep())
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    panic!("{name}, seed {seed}: a panic; {}", keep())
                }
            }
            tried += 1;
            let (seconds, grown) =
                (start.elapsed().as_secs_f64(), peak_mib().zip(before).map(|(a, b)| a.saturating_sub(b)));
            if verbose && (seconds > 0.5 || grown.is_some_and(|g| g > 100)) {
                eprintln!("{name}, seed {seed}: {seconds:.1} s, {grown:?} MiB more; {}", keep());
            }
        }
    }
    // The checks would be worth nothing if nearly all files were refused at once or nearly none were damaged.
    assert!(imported > tried / 50 && imported < tried * 9 / 10, "{imported} of {tried} imported");
    if let Some(peak) = peak_mib() {
        assert!(peak < 1024, "{peak} MiB at the peak");
    }
}
