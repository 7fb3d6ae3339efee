//! Round trips, files by hand and hostile bytes.

use proptest::prelude::*;

use super::*;

fn sample() -> TensorMap {
    let mut map = TensorMap::new();
    map.insert(
        "z.weight",
        [2, 3],
        TensorData::F32(vec![1.0, -0.0, f32::MIN_POSITIVE, f32::MAX, 0.1, f32::INFINITY]),
    )
    .unwrap();
    map.insert("a.bias", [1], TensorData::F32(vec![-3.5])).unwrap();
    map.insert("counter", [], TensorData::I64(vec![i64::MIN])).unwrap();
    map.insert("wide", [2], TensorData::F64(vec![std::f64::consts::PI, 5e-324])).unwrap();
    map.insert("empty", [0, 4], TensorData::F32(vec![])).unwrap();
    map
}

fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

#[test]
fn every_tensor_and_the_metadata_come_back() {
    let mut map = sample();
    for (k, v) in [("seed", "7"), ("epoch", "3"), ("quote", "\"\\ é"), ("", "")] {
        map.metadata.insert(k.into(), v.into());
    }
    let bytes = map.to_bytes().unwrap();
    let again = TensorMap::parse(&bytes).unwrap();
    assert_eq!(again.metadata, map.metadata);
    assert_eq!(again.len(), map.len());
    for (name, tensor) in map.iter() {
        assert_eq!(again.get(name), Some(tensor), "{name}");
    }
    let order: Vec<&str> = again.iter().map(|(n, _)| n).collect();
    assert_eq!(order, ["counter", "wide", "z.weight", "a.bias", "empty"]);
    assert_eq!(map.to_bytes().unwrap(), bytes, "the same map, other bytes");
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    assert_eq!(header % 8, 0);
}

#[test]
fn only_metadata_or_nothing_at_all_is_a_file_too() {
    let mut map = TensorMap::new();
    assert_eq!(TensorMap::parse(&map.to_bytes().unwrap()).unwrap(), map);
    map.metadata.insert("a".into(), "b".into());
    assert_eq!(TensorMap::parse(&map.to_bytes().unwrap()).unwrap(), map);
}

#[test]
fn writing_replaces_the_file_and_leaves_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.safetensors");
    std::fs::write(&path, b"old").unwrap();
    sample().write(&path).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), sample().to_bytes().unwrap());
    assert_eq!(TensorMap::read(&path).unwrap().len(), 5);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    assert!(TensorMap::read(dir.path()).unwrap_err().to_string().contains("no regular file"));
    let text = sample().write(&dir.path().join("no/such/folder")).unwrap_err().to_string();
    assert!(text.contains("no/such/folder"), "{text}");
}

#[test]
fn sixteen_bit_types_are_widened_exactly() {
    let header = r#"{"h":{"dtype":"F16","shape":[3],"data_offsets":[0,6]},"b":{"dtype":"BF16","shape":[2],"data_offsets":[6,10]}}"#;
    // 1.5, the smallest subnormal 2^-24, -infinity; then 1.0 and -2^-126 in bfloat16.
    let words: [u16; 5] = [0x3e00, 0x0001, 0xfc00, 0x3f80, 0x8080];
    let data: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    let map = TensorMap::parse(&file(header, &data)).unwrap();
    assert_eq!(map.get("h").unwrap().data, TensorData::F32(vec![1.5, 2f32.powi(-24), f32::NEG_INFINITY]));
    assert_eq!(map.get("b").unwrap().data, TensorData::F32(vec![1.0, -(2f32.powi(-126))]));
}

#[test]
fn unsupported_types_are_named() {
    let header = r#"{"mask":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}}"#;
    let text = TensorMap::parse(&file(header, &[1])).unwrap_err().to_string();
    assert!(text.contains("mask") && text.contains("BOOL"), "{text}");
}

#[test]
fn truncation_anywhere_is_an_error() {
    let bytes = sample().to_bytes().unwrap();
    for cut in 0..bytes.len() {
        assert!(matches!(TensorMap::parse(&bytes[..cut]), Err(WeightsError::Format { .. })), "{cut} bytes");
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(TensorMap::parse(&longer).is_err());
}

#[test]
fn hostile_headers_are_errors() {
    let huge = usize::MAX;
    for (header, data) in [
        (format!(r#"{{"a":{{"dtype":"F32","shape":[{huge},{huge}],"data_offsets":[0,4]}}}}"#), 4),
        (format!(r#"{{"a":{{"dtype":"F32","shape":[{huge}],"data_offsets":[0,{huge}]}}}}"#), 4),
        (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#.into(), 4),
        (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#.into(), 8),
        (r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#.into(), 4),
        (r#"{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}"#.into(), 4),
        ("[".repeat(10_000), 0),
        (r#"{"a":"#.repeat(10_000), 0),
    ] {
        assert!(TensorMap::parse(&file(&header, &vec![0; data])).is_err(), "{}", &header[..20]);
    }
    for length in [u64::MAX, 1 << 40, 99_999_999] {
        let mut bytes = file("{}", &[]);
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        assert!(TensorMap::parse(&bytes).is_err());
    }
}

proptest! {
    #[test]
    fn any_bytes_give_a_result_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(bytes.len() >= 10 || TensorMap::parse(&bytes).is_err());
    }

    #[test]
    fn one_changed_byte_never_panics(at in 0usize..500, value in any::<u8>()) {
        let mut bytes = sample().to_bytes().unwrap();
        let at = at % bytes.len();
        bytes[at] = value;
        if let Ok(map) = TensorMap::parse(&bytes) {
            prop_assert!(map.iter().all(|(_, t)| t.shape.iter().product::<usize>() == t.data.len()));
        }
    }
}
