//! Models whose samples influence each other are refused, with the node that is to blame.

use saddlescope_nn::data::{Dataset, InputTensor, Normalization, Targets};
use saddlescope_nn::onnx::model::Model;
use saddlescope_nn::onnx::proto::{
    AttributeProto, DimensionProto, DimensionValue, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use saddlescope_nn::onnx::tensor::ExternalFolder;
use saddlescope_nn::onnx::{ImportOptions, OnnxModel};

use prost::Message;

fn value(name: &str, columns: i64) -> ValueInfoProto {
    let dim = |value| DimensionProto { value: Some(value) };
    let shape = TensorShapeProto {
        dim: vec![dim(DimensionValue::Name("n".into())), dim(DimensionValue::Length(columns))],
    };
    let tensor = TensorTypeProto { elem_type: 1, shape: Some(shape) };
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
}

fn node(op: &str, name: &str, inputs: &[&str], output: &str, attributes: &[(&str, i64)]) -> NodeProto {
    let attribute = |&(name, n): &(&str, i64)| match name {
        "axes" => AttributeProto { name: name.into(), ints: vec![n], kind: 7, ..Default::default() },
        _ => AttributeProto { name: name.into(), i: Some(n), kind: 2, ..Default::default() },
    };
    NodeProto {
        op_type: op.into(),
        name: name.into(),
        input: inputs.iter().map(|&i| i.into()).collect(),
        output: vec![output.into()],
        attribute: attributes.iter().map(attribute).collect(),
        ..Default::default()
    }
}

/// Imports x [n, 2] → y [n, 2] with a parameter `layer.weight` [2, 2] and prepares `samples` samples.
fn prepare(nodes: Vec<NodeProto>, samples: usize) -> Result<(), String> {
    let weight = TensorProto {
        name: "layer.weight".into(),
        dims: vec![2, 2],
        data_type: 1,
        float_data: vec![0.5, -1.0, 2.0, 0.25],
        ..Default::default()
    };
    let graph = GraphProto {
        node: nodes,
        initializer: vec![weight],
        input: vec![value("x", 2)],
        output: vec![value("y", 2)],
        ..Default::default()
    };
    let model = ModelProto {
        ir_version: 8,
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 17 }],
        ..Default::default()
    };
    let model =
        Model::decode(model.encode_to_vec(), &ExternalFolder::default()).map_err(|e| e.to_string())?;
    let model = OnnxModel::import(&model, "coupled", &ImportOptions::default()).map_err(|e| e.to_string())?;
    let x = InputTensor {
        name: "x".into(),
        shape_per_sample: vec![2],
        values: (0..2 * samples).map(|i| (i * i) as f32 - 2.0).collect(),
        integer: false,
    };
    let data =
        Dataset::new(vec![x], Targets::None, Normalization::none(), "test").map_err(|e| e.to_string())?;
    model.prepare(&data).map(|_| ()).map_err(|e| e.to_string())
}

fn linear(from: &str, to: &str) -> NodeProto {
    node("MatMul", "layer", &[from, "layer.weight"], to, &[])
}

#[test]
fn a_mean_over_the_batch_is_refused_by_name() {
    let nodes = vec![
        linear("x", "h"),
        node("Tanh", "act", &["h"], "a", &[]),
        node("ReduceMean", "mix_the_batch", &["a"], "m", &[("axes", 0), ("keepdims", 1)]),
        node("Sub", "centre", &["a", "m"], "y", &[]),
    ];
    let error = prepare(nodes.clone(), 5).expect_err("samples are coupled");
    assert!(error.contains("changes with the other samples") && error.contains("`mix_the_batch`"), "{error}");
    // One sample has no other to be influenced by.
    prepare(nodes, 1).expect("a single sample");
}

#[test]
fn a_softmax_over_the_batch_is_refused_by_name() {
    let nodes = vec![linear("x", "h"), node("Softmax", "over_samples", &["h"], "y", &[("axis", 0)])];
    let error = prepare(nodes, 3).expect_err("samples are coupled");
    assert!(error.contains("`over_samples`"), "{error}");
}

#[test]
fn data_that_are_centred_over_the_batch_are_refused_by_name() {
    let nodes = vec![
        node("ReduceMean", "", &["x"], "m", &[("axes", 0), ("keepdims", 1)]),
        node("Sub", "", &["x", "m"], "centred", &[]),
        linear("centred", "y"),
    ];
    let error = prepare(nodes, 3).expect_err("samples are coupled");
    assert!(error.contains("mixes the samples") && error.contains("`centred`"), "{error}");
}

#[test]
fn a_mean_over_the_columns_is_fine() {
    let nodes = vec![
        linear("x", "h"),
        node("ReduceMean", "", &["h"], "m", &[("axes", 1), ("keepdims", 1)]),
        node("Sub", "", &["h", "m"], "y", &[]),
    ];
    prepare(nodes, 3).expect("samples are independent");
}
