//! Files by NumPy, and hostile archives.

use std::io::Write;
use std::path::PathBuf;

use proptest::prelude::*;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::super::array::{ArrayValues, ElementType};
use super::super::npy::tests::npy;
use super::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn archive(entries: &[(&str, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn small() -> Vec<u8> {
    npy(
        "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }",
        &[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0],
    )
}

#[test]
fn every_type_numpy_writes_is_read() {
    let arrays = parse(&files::read_all(&fixture("numpy_deflated.npz")).unwrap()).unwrap();
    let floats = |n: usize| ArrayValues::Floats((0..n).map(|i| i as f32 / 2.0 - 3.0).collect());
    let integers = |range: Range<i64>| ArrayValues::Integers(range.collect());
    let expected: [(&str, &[usize], ElementType, ArrayValues); 10] = [
        ("f4", &[5, 2, 3], ElementType::F32, floats(30)),
        ("f8_fortran", &[5, 2, 3], ElementType::F64, floats(30)),
        ("f2", &[5, 2], ElementType::F16, floats(10)),
        ("f4_big", &[5], ElementType::F32, floats(5)),
        ("i2_big", &[5, 3], ElementType::I16, integers(-3..12)),
        ("i8", &[5], ElementType::I64, integers(-3..2)),
        ("u4_fortran", &[5, 4], ElementType::U32, integers(0..20)),
        ("u1", &[5, 2], ElementType::U8, ArrayValues::Bytes((0..10).collect())),
        ("bool", &[5], ElementType::Bool, ArrayValues::Bytes(vec![0, 1, 0, 1, 0])),
        ("scalar", &[], ElementType::F32, floats(1)),
    ];
    assert_eq!(arrays.len(), expected.len());
    for ((name, array), (want, shape, stored, values)) in arrays.iter().zip(expected) {
        assert_eq!(name, want);
        assert_eq!(*array, Array { shape: shape.into(), stored, values }, "{name}");
    }
}

#[test]
fn stored_and_deflated_entries_give_the_same() {
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let arrays = parse(&archive(&[("a.npy", small())], method)).unwrap();
        assert_eq!(arrays[0].1.values, ArrayValues::Integers(vec![1, 2]));
    }
}

#[test]
fn truncation_anywhere_is_an_error() {
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let bytes = archive(&[("a.npy", small()), ("b.npy", small())], method);
        for cut in 0..bytes.len() {
            assert!(parse(&bytes[..cut]).is_err(), "{method:?}, {cut} bytes");
        }
    }
}

#[test]
fn an_entry_cannot_declare_more_than_it_holds() {
    // A terabyte of f4 declared by a header of a hundred bytes.
    let lie = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (250000000000,), }", &[]);
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let text = parse(&archive(&[("lie.npy", lie.clone())], method)).unwrap_err().to_string();
        assert!(text.contains("\"lie\"") && text.contains("1000000000000"), "{text}");
    }
    // The archive's own sizes forged: in the central directory, 24 bytes after its signature.
    let mut bytes = archive(&[("a.npy", small())], CompressionMethod::Deflated);
    let directory = bytes.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    bytes[directory + 24..directory + 28].copy_from_slice(&0x7fff_ffffu32.to_le_bytes());
    assert!(parse(&bytes).is_err());
}

#[test]
fn damaged_data_fails_its_checksum() {
    let mut bytes = archive(&[("a.npy", small())], CompressionMethod::Stored);
    let at = bytes.windows(6).position(|w| w == b"\x93NUMPY").unwrap() + small().len() - 1;
    bytes[at] ^= 0x40;
    let text = parse(&bytes).unwrap_err().to_string();
    assert!(text.contains("hecksum"), "{text}");
}

#[test]
fn other_entries_are_named() {
    let text =
        parse(&archive(&[("readme.txt", vec![1])], CompressionMethod::Stored)).unwrap_err().to_string();
    assert!(text.contains("readme.txt"), "{text}");
}

proptest! {
    #[test]
    fn any_bytes_give_a_result_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(bytes.len() >= 22 || parse(&bytes).is_err());
    }

    #[test]
    fn changed_bytes_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), deflated: bool,
    ) {
        let method = if deflated { CompressionMethod::Deflated } else { CompressionMethod::Stored };
        let mut bytes = archive(&[("a.npy", small()), ("b.npy", small())], method);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = parse(&bytes);
    }
}
