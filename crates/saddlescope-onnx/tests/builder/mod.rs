//! Small models x [n, 2] → y [n, 2] with a parameter `layer.weight` [2, 2], put together node by node.

#![allow(dead_code)] // Each test file uses its part.

use prost::Message;
use saddlescope_data::{Dataset, InputTensor, Normalization, Targets};
use saddlescope_onnx::model::Model;
use saddlescope_onnx::proto::{
    AttributeProto, DimensionProto, DimensionValue, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use saddlescope_onnx::tensor::ExternalFolder;
use saddlescope_onnx::{ImportOptions, OnnxModel};

fn value(name: &str, columns: i64) -> ValueInfoProto {
    let dim = |value| DimensionProto { value: Some(value) };
    let shape = TensorShapeProto {
        dim: vec![dim(DimensionValue::Name("n".into())), dim(DimensionValue::Length(columns))],
    };
    let tensor = TensorTypeProto { elem_type: 1, shape: Some(shape) };
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
}

/// A node; `axes` and `value_ints` are lists of one number, every other attribute a number.
pub fn node(op: &str, name: &str, inputs: &[&str], output: &str, attributes: &[(&str, i64)]) -> NodeProto {
    let attribute = |&(name, n): &(&str, i64)| match name {
        "axes" | "value_ints" => {
            AttributeProto { name: name.into(), ints: vec![n], kind: 7, ..Default::default() }
        }
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

/// The model that these nodes make.
pub fn import(nodes: Vec<NodeProto>) -> Result<OnnxModel, String> {
    import_with(nodes, &ImportOptions::default())
}

/// The model that these nodes make, imported with options.
pub fn import_with(nodes: Vec<NodeProto>, options: &ImportOptions) -> Result<OnnxModel, String> {
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
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 12 }],
        ..Default::default()
    };
    let model =
        Model::decode(model.encode_to_vec(), &ExternalFolder::default()).map_err(|e| e.to_string())?;
    OnnxModel::import(&model, "small", options).map_err(|e| e.to_string())
}

/// Samples for `x`.
pub fn samples(count: usize, targets: Targets) -> Dataset {
    let x = InputTensor {
        name: "x".into(),
        shape_per_sample: vec![2],
        values: (0..2 * count).map(|i| (i * i) as f32 / 4.0 - 2.0).collect(),
        integer: false,
    };
    Dataset::new(vec![x], targets, Normalization::none(), "test").expect("a data set")
}

/// `to` = `from` · `layer.weight`.
pub fn linear(from: &str, to: &str) -> NodeProto {
    node("MatMul", "layer", &[from, "layer.weight"], to, &[])
}
