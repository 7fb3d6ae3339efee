//! Files by hand, a file by NumPy, and hostile bytes.

use std::path::Path;

use proptest::prelude::*;

use super::super::array::ArrayValues;
use super::*;

/// A version-1 file with a dictionary as given.
pub(crate) fn npy(dictionary: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((dictionary.len() as u16).to_le_bytes());
    bytes.extend(dictionary.as_bytes());
    bytes.extend(data);
    bytes
}

fn dictionary(descr: &str, fortran: &str, shape: &str) -> String {
    format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n")
}

fn sample() -> Vec<u8> {
    let data: Vec<u8> = (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect();
    npy(&dictionary("'<f4'", "False", "(2, 3)"), &data)
}

#[test]
fn file_of_numpy_in_fortran_order_is_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/numpy_version2.npy");
    let bytes = files::read_all(&path).unwrap();
    let array = parse(&bytes).unwrap();
    assert_eq!(array.shape, [5, 2, 3]);
    assert_eq!(array.values, ArrayValues::Floats((0..30).map(|i| i as f32 / 2.0 - 3.0).collect()));
    let part = read(&mut &bytes[..], bytes.len() as u64, Some(&(1..3))).unwrap();
    assert_eq!(part.shape, [2, 2, 3]);
    assert_eq!(part.values, ArrayValues::Floats((6..18).map(|i| i as f32 / 2.0 - 3.0).collect()));
}

#[test]
fn dictionaries_may_be_written_in_several_ways() {
    for text in [
        r#"{"shape": (1,), "fortran_order": True, "descr": "|u1"}"#,
        "{'descr':'|u1','fortran_order':False,'shape':(1L,)}   \n",
        "  { 'fortran_order' : False , 'descr' : '<u1' , 'shape' : ( ) , } ",
    ] {
        let array = parse(&npy(text, &[9])).unwrap();
        assert_eq!(array.values, ArrayValues::Bytes(vec![9]), "{text}");
    }
}

#[test]
fn rows_are_read_without_the_rest() {
    let bytes = sample();
    let part = read(&mut &bytes[..], bytes.len() as u64, Some(&(1..2))).unwrap();
    assert_eq!(part.values, ArrayValues::Floats(vec![3.0, 4.0, 5.0]));
    for bad in [0..3, 2..2, 5..9, 2..3] {
        let result = read(&mut &bytes[..], bytes.len() as u64, Some(&bad));
        assert!(matches!(result, Err(DataError::Range { available: 2, .. })), "{bad:?}");
    }
}

#[test]
fn truncation_anywhere_is_an_error() {
    let bytes = sample();
    for cut in 0..bytes.len() {
        assert!(matches!(parse(&bytes[..cut]), Err(DataError::Malformed { .. })), "{cut} bytes");
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(parse(&longer).is_err());
}

#[test]
fn hostile_headers_are_errors() {
    let huge = u64::MAX;
    for text in [
        dictionary("'<f4'", "False", &format!("({huge},)")),
        dictionary("'<f4'", "False", &format!("({huge}, {huge})")),
        dictionary("'<f4'", "True", &format!("(0, {huge}, {huge})")) + "x",
        dictionary("'<f4'", "False", "(4294967296, 4294967296, 0)"),
        dictionary("'<f4'", "False", "(-1,)"),
        dictionary("'<f4'", "False", "(1000000000000,)"),
        dictionary("'<f4'", "False", &format!("({})", "1,".repeat(65))),
        dictionary("'<f4'", "Maybe", "(1,)"),
        dictionary("'|O'", "False", "(1,)"),
        dictionary("'<c8'", "False", "(1,)"),
        dictionary("'é4'", "False", "(1,)"),
        dictionary("''", "False", "(1,)"),
        dictionary("[('a', '<f4')]", "False", "(1,)"),
        "{'descr': '<f4', 'shape': (1,)}".into(),
        "{'other': '<f4'}".into(),
        "{".repeat(60_000),
        "(".repeat(60_000),
        format!("{{'shape': {}", "(".repeat(60_000)),
        String::new(),
    ] {
        let result = parse(&npy(&text, &[0; 4]));
        assert!(matches!(result, Err(DataError::Malformed { .. })), "{}", &text[..text.len().min(80)]);
    }
    let mut long = b"\x93NUMPY\x03\x00".to_vec();
    long.extend(u32::MAX.to_le_bytes());
    assert!(parse(&long).is_err());
    let mut version = sample();
    version[6] = 9;
    assert!(parse(&version).unwrap_err().to_string().contains("version"));
    let mut magic = sample();
    magic[1] = b'X';
    assert!(parse(&magic).unwrap_err().to_string().contains("NUMPY"));
}

#[test]
fn errors_tell_place_and_expectation() {
    let text = parse(&npy(&dictionary("'<c16'", "False", "(1,)"), &[0; 16])).unwrap_err().to_string();
    assert!(text.contains("descr") && text.contains("<c16") && text.contains("f4"), "{text}");
    let text = parse(&npy(&dictionary("'<f4'", "False", "(7,)"), &[0; 4])).unwrap_err().to_string();
    assert!(text.contains("at most 4 bytes") && text.contains("28"), "{text}");
}

proptest! {
    #[test]
    fn any_bytes_give_a_result_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(bytes.starts_with(MAGIC) || parse(&bytes).is_err());
    }

    #[test]
    fn any_dictionary_gives_a_result_or_an_error(text in "[{}()\\[\\],:' a-f0-9<>|TrueFalse]{0,60}") {
        let _ = parse(&npy(&text, &[0; 8]));
    }

    #[test]
    fn changed_bytes_never_panic(at in 0usize..200, value in any::<u8>(), start in 0usize..3, end in 0usize..4) {
        let mut bytes = sample();
        let at = at % bytes.len();
        bytes[at] = value;
        let _ = parse(&bytes);
        let _ = read(&mut &bytes[..], bytes.len() as u64, Some(&(start..end)));
    }

    #[test]
    fn every_order_and_shape_agrees_with_index_arithmetic(
        shape in prop::collection::vec(1usize..5, 1..4), fortran: bool, big: bool, start in 0usize..4, len in 1usize..4,
    ) {
        let count: usize = shape.iter().product();
        let mut data = Vec::new();
        for stored in 0..count {
            // The index tuple of a stored element, then its place in C order: the value.
            let mut rest = stored;
            let mut index = vec![0; shape.len()];
            let axes: Vec<usize> = if fortran { (0..shape.len()).collect() } else { (0..shape.len()).rev().collect() };
            for axis in axes {
                index[axis] = rest % shape[axis];
                rest /= shape[axis];
            }
            let place = index.iter().zip(&shape).fold(0, |p, (i, d)| p * d + i) as i16;
            data.extend(if big { place.to_be_bytes() } else { place.to_le_bytes() });
        }
        let text = dictionary(
            if big { "'>i2'" } else { "'<i2'" },
            if fortran { "True" } else { "False" },
            &format!("({},)", shape.iter().map(usize::to_string).collect::<Vec<_>>().join(",")),
        );
        let bytes = npy(&text, &data);
        prop_assert_eq!(parse(&bytes).unwrap().values, ArrayValues::Integers((0..count as i64).collect()));
        let rows = start..start + len;
        let part = read(&mut &bytes[..], bytes.len() as u64, Some(&rows));
        if rows.end <= shape[0] {
            let row = (count / shape[0]) as i64;
            prop_assert_eq!(
                part.unwrap().values,
                ArrayValues::Integers((rows.start as i64 * row..rows.end as i64 * row).collect())
            );
        } else {
            prop_assert!(part.is_err());
        }
    }
}
