//! A model file: decoded, checked, translated, and evaluated for two samples where that is cheap.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use rand::{RngExt, SeedableRng};
use saddlescope_data::{Dataset, InputTensor, Normalization, Targets};
use saddlescope_onnx::model::Model;
use saddlescope_onnx::tensor::ExternalFolder;
use saddlescope_onnx::{ImportOptions, OnnxModel};

#[path = "../../crates/saddlescope-onnx/tests/damage/mod.rs"]
mod damage;

/// Most numbers and most operations of a network that is evaluated.
const CHEAP: u64 = 1 << 22;

/// Two samples of small whole numbers (they may be token numbers) for each input.
fn samples(model: &OnnxModel) -> Option<Dataset> {
    let mut inputs = Vec::new();
    for input in &model.inputs {
        let len = input.shape.iter().try_fold(2usize, |n, &d| n.checked_mul(d)).filter(|&n| n <= 1 << 16)?;
        inputs.push(InputTensor {
            name: input.name.clone(),
            shape_per_sample: input.shape.clone(),
            values: (0..len).map(|i| (i * i % 7) as f32).collect(),
            integer: false,
        });
    }
    Dataset::new(inputs, Targets::None, Normalization::none(), "fuzz").ok()
}

/// Whether a forward pass of three samples takes no time worth speaking of.
fn is_cheap(model: &OnnxModel) -> bool {
    let graph = &model.network.graph;
    let Ok(shapes) = graph.infer_shapes(3) else { return false };
    let numbers = shapes.iter().map(|s| s.iter().product::<usize>() as u64).fold(0, u64::saturating_add);
    let work = graph.nodes().iter().map(|node| {
        let inputs: Vec<&[usize]> = node.inputs.iter().map(|v| shapes[v.index()].as_slice()).collect();
        node.op.flops(&inputs, &shapes[node.output.index()])
    });
    numbers.saturating_add(work.fold(0, u64::saturating_add)) < CHEAP
}

fuzz_target!(|bytes: &[u8]| {
    let folder = ExternalFolder::of_model(std::path::Path::new("/nonexistent/model.onnx"));
    let Ok(model) = Model::decode(bytes.to_vec(), &folder) else { return };
    let Ok(model) = OnnxModel::import(&model, "fuzz", &ImportOptions::default()) else { return };
    if is_cheap(&model)
        && let Some(data) = samples(&model)
    {
        // Prepares the data and evaluates the network for both samples together and alone.
        let _refused = model.prepare(&data);
    }
});

// Half of the inputs are damaged in their meaning, so that the mutations get past the decoder.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut rng = damage::Random::seed_from_u64(u64::from(seed));
    if rng.random_bool(0.5) {
        return fuzzer_mutate(data, size, max_size);
    }
    let bytes = damage::damaged(&mut rng, &data[..size]);
    let len = bytes.len().min(max_size);
    data[..len].copy_from_slice(&bytes[..len]);
    len
});
