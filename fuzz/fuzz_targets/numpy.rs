//! A file of NumPy arrays: .npz where it begins as an archive does, else .npy.
#![no_main]

use libfuzzer_sys::fuzz_target;
use saddlescope_data::{DataSource, Split};

mod in_file;

fuzz_target!(|bytes: &[u8]| {
    if bytes.starts_with(b"PK") {
        let path = in_file::write("data.npz", bytes);
        for (split, range) in [(Split::Train, None), (Split::Test, Some(0..2))] {
            if let Ok(data) = DataSource::Npz(path.clone()).load(split, range, None) {
                in_file::check(&data);
            }
        }
    } else {
        let inputs = in_file::write("data.npy", bytes);
        for targets in [None, Some(inputs.clone())] {
            if let Ok(data) =
                (DataSource::Npy { inputs: inputs.clone(), targets }).load(Split::Train, None, None)
            {
                in_file::check(&data);
            }
        }
    }
});
