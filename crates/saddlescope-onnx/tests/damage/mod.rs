//! Damage to ONNX files: in their bytes (flips, cuts, insertions) and in their meaning (absurd dimensions and attributes,
//! nodes that feed themselves, exchanged operators, external data outside the folder). Also the fuzzer's mutator (`fuzz/`).

use prost::Message;
use rand::{RngExt, seq::IndexedRandom};
use rand_xoshiro::Xoshiro256PlusPlus;
use saddlescope_onnx::proto::{DimensionValue, GraphProto, ModelProto, StringStringEntryProto, TensorProto};

const ABSURD: [i64; 16] =
    [0, -1, 1, 2, 3, -2, 7, 64, 4096, 1 << 20, 1 << 31, 1 << 40, 1 << 62, i64::MAX, i64::MIN, -(1 << 33)];

/// The generator that decides what is damaged.
pub type Random = Xoshiro256PlusPlus;

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
            let count = t.dims.iter().fold(1i64, |n, &d| n.saturating_mul(d)).clamp(0, 64) as usize;
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

/// A damaged copy of the bytes of a model: in its meaning, in its bytes, or in both.
pub fn damaged(rng: &mut Random, original: &[u8]) -> Vec<u8> {
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
