//! A folder with one CIFAR-10 batch. The first four bytes choose how far the last record is cut or drawn out.
#![no_main]

use libfuzzer_sys::fuzz_target;
use saddlescope_data::{DataSource, Split, cifar};

mod in_file;

/// Bytes of a record: a label and 3·32·32 pixels.
const RECORD: usize = 3073;

fuzz_target!(|bytes: &[u8]| {
    let Some((head, body)) = bytes.split_first_chunk::<4>() else { return };
    // Mostly whole records, or nothing would be read but the size.
    let mut file = body.to_vec();
    let records = body.len().div_ceil(RECORD).max(1);
    file.resize(records * RECORD, head[0]);
    if head[1] % 4 == 0 {
        file.truncate(file.len().saturating_sub(usize::from(head[2])));
    }
    if let Ok((images, labels)) = cifar::parse(cifar::Cifar::Ten, &file) {
        assert_eq!(images.len(), labels.len() * (RECORD - 1));
    }
    let path = in_file::write("data_batch_1.bin", &file);
    let source = DataSource::Cifar10(path.parent().expect("a folder").to_path_buf());
    let start = usize::from(head[3] % 8);
    for range in [None, Some(start..start + 2)] {
        if let Ok(data) = source.load(Split::Train, range, None) {
            in_file::check(&data);
        }
    }
});
