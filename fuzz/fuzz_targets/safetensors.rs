//! A safetensors file: as weights and as data.
#![no_main]

use libfuzzer_sys::fuzz_target;
use saddlescope_data::{DataSource, Split};
use saddlescope_data::weights::TensorMap;
use saddlescope_nn::zoo;

mod in_file;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(tensors) = TensorMap::parse(bytes) {
        for (_, tensor) in tensors.iter() {
            assert_eq!(tensor.data.len(), tensor.shape.iter().product::<usize>());
        }
        let mut network = zoo::by_name("mlp:2-3-2").expect("a description of the zoo");
        if let Ok(theta) = network.load(&tensors) {
            assert_eq!(theta.len(), network.parameter_count());
        }
        // What is written is read again as the same tensors.
        let written = tensors.to_bytes().expect("tensors that were read can be written");
        let again = TensorMap::parse(&written).expect("tensors that were written can be read");
        assert_eq!(again.len(), tensors.len());
    }
    let path = in_file::write("data.safetensors", bytes);
    for split in [Split::Train, Split::Test] {
        if let Ok(data) = DataSource::Safetensors(path.clone()).load(split, None, None) {
            in_file::check(&data);
        }
    }
});
