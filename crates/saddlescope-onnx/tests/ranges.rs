//! Indices out of range, and data that take the place of something else.
#![allow(clippy::unwrap_used)]

mod builder;

use builder::{import, import_with, linear, node, samples};
use saddlescope_data::Targets;
use saddlescope_onnx::ImportOptions;

#[test]
fn an_index_of_the_data_that_names_no_entry_is_an_error() {
    // GatherElements with few and with many picks; the sums of x are −3, 0 and 6, and there are two entries.
    let model = import(vec![
        linear("x", "z"),
        node("ReduceSum", "", &["x"], "sum", &[("axes", 1), ("keepdims", 1)]),
        node("Cast", "", &["sum"], "i", &[("to", 7)]),
        node("Concat", "", &["i", "i"], "ii", &[("axis", 1)]),
        node("GatherElements", "pick", &["z", "ii"], "y", &[("axis", 1)]),
    ])
    .unwrap();
    let targets = Targets::Values { values: vec![0.0; 6], shape: vec![2] };
    let found = model.prepare(&samples(3, targets)).unwrap_err().to_string();
    assert!(found.contains("index -3 is out of range: there are 2"), "{found}");
}

#[test]
fn an_array_with_the_name_of_a_stored_value_is_an_error() {
    let mut options = ImportOptions::default();
    options.sample_shapes.insert("layer.weight".into(), vec![2]);
    let found = import_with(vec![linear("x", "y")], &options).unwrap_err();
    assert!(found.contains("`layer.weight` is an array of the data"), "{found}");
}
