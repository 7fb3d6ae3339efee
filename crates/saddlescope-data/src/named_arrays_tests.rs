//! Which array becomes what.

use super::*;

struct Fake(Vec<(&'static str, Array)>);

impl ArrayFile for Fake {
    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(n, _)| (*n).to_owned()).collect()
    }

    fn read(&mut self, index: usize, rows: Option<&Range<usize>>) -> Result<Array, DataError> {
        let Array { mut shape, stored, values } = self.0[index].1.clone();
        let Some(rows) = rows else { return Ok(Array { shape, stored, values }) };
        check_range(rows, shape[0], "the array")?;
        let row = values.len() / shape[0];
        shape[0] = rows.len();
        let part = rows.start * row..rows.end * row;
        let values = match values {
            ArrayValues::Floats(v) => ArrayValues::Floats(v[part].to_vec()),
            ArrayValues::Bytes(v) => ArrayValues::Bytes(v[part].to_vec()),
            ArrayValues::Integers(v) => ArrayValues::Integers(v[part].to_vec()),
        };
        Ok(Array { shape, stored, values })
    }
}

fn floats(shape: &[usize]) -> Array {
    let n: usize = shape.iter().product();
    let values = ArrayValues::Floats((0..n).map(|i| i as f32).collect());
    Array { shape: shape.into(), stored: ElementType::F32, values }
}

fn integers(stored: ElementType, shape: &[usize], values: &[i64]) -> Array {
    let values = match stored {
        ElementType::U8 => ArrayValues::Bytes(values.iter().map(|&v| v as u8).collect()),
        _ => ArrayValues::Integers(values.into()),
    };
    Array { shape: shape.into(), stored, values }
}

fn load_all(arrays: Vec<(&'static str, Array)>) -> Result<Dataset, DataError> {
    load(&mut Fake(arrays), "fake", Split::Train, None, None, usize::MAX)
}

#[test]
fn several_inputs_keep_their_names_and_order() {
    let set = load_all(vec![
        ("labels", integers(ElementType::I64, &[2, 1], &[0, 4])),
        ("mask", floats(&[2, 3])),
        ("tokens", integers(ElementType::I32, &[2, 3], &[1, 2, 3, 4, 5, 6])),
    ])
    .unwrap();
    let inputs: Vec<_> = set.inputs().iter().map(|i| (i.name.as_str(), i.integer)).collect();
    assert_eq!(inputs, [("mask", false), ("tokens", true)]);
    assert_eq!(*set.targets(), Targets::Classes { labels: vec![0, 4], classes: 5 });
}

#[test]
fn splits_in_names_are_respected() {
    let arrays = || {
        vec![
            ("x_train", floats(&[3, 2])),
            ("test_x", floats(&[1, 2])),
            ("train_y", integers(ElementType::U8, &[3], &[0, 1, 2])),
            ("y_test", integers(ElementType::U8, &[1], &[1])),
        ]
    };
    let train = load(&mut Fake(arrays()), "fake", Split::Train, Some(1..3), None, usize::MAX).unwrap();
    assert_eq!((train.samples(), train.inputs()[0].name.as_str()), (2, "x"));
    assert_eq!(train.inputs()[0].values.all().unwrap().as_ref(), [2.0, 3.0, 4.0, 5.0]);
    // Three classes, although the range holds the last two labels only.
    assert_eq!(*train.targets(), Targets::Classes { labels: vec![1, 2], classes: 3 });
    let test = load(&mut Fake(arrays()), "fake", Split::Test, None, None, usize::MAX).unwrap();
    assert_eq!(test.samples(), 1);
    let mut only_train = arrays();
    only_train.retain(|(n, _)| n.contains("train"));
    assert!(load(&mut Fake(only_train), "fake", Split::Test, None, None, usize::MAX).is_err());
}

#[test]
fn bytes_with_three_axes_are_images() {
    let grey = load_all(vec![("x", integers(ElementType::U8, &[1, 2, 2], &[0, 51, 102, 255]))]).unwrap();
    assert_eq!(grey.inputs()[0].shape_per_sample, [1, 2, 2]);
    assert_eq!(grey.inputs()[0].values.all().unwrap().as_ref(), [0.0, 51.0 / 255.0, 102.0 / 255.0, 1.0]);
    assert!(!grey.inputs()[0].integer);
    let flat = load_all(vec![("x", integers(ElementType::U8, &[1, 2], &[0, 255]))]).unwrap();
    assert!(flat.inputs()[0].integer);
    assert_eq!(*flat.targets(), Targets::None);
}

#[test]
fn targets_follow_their_type_and_shape() {
    let with = |y: Array| load_all(vec![("x", floats(&[2, 1])), ("y", y)]);
    let per_position = with(integers(ElementType::I64, &[2, 2], &[1, -100, 0, 2])).unwrap();
    let expected = Targets::ClassesPerPosition { labels: vec![1, -100, 0, 2], positions: 2, classes: 3 };
    assert_eq!(*per_position.targets(), expected);
    let values = with(floats(&[2, 3])).unwrap();
    assert!(matches!(values.targets(), Targets::Values { shape, .. } if shape == &[3]));
    let scalar_values = with(floats(&[2])).unwrap();
    assert!(matches!(scalar_values.targets(), Targets::Values { shape, .. } if shape.is_empty()));
    assert!(with(integers(ElementType::I64, &[2], &[0, -100])).is_err());
    assert!(with(integers(ElementType::I64, &[2, 2], &[0, -1, 0, 0])).is_err());
    assert!(with(integers(ElementType::I64, &[3], &[0, 1, 2])).is_err());
    assert!(with(integers(ElementType::I64, &[], &[0])).is_err());
}

#[test]
fn what_cannot_be_a_data_set_is_refused() {
    assert!(load_all(vec![]).is_err());
    assert!(load_all(vec![("y", floats(&[2]))]).is_err());
    assert!(load_all(vec![("x", floats(&[]))]).is_err());
    assert!(load_all(vec![("x", floats(&[0, 3]))]).is_err());
    assert!(load_all(vec![("x", floats(&[3, 0]))]).is_err());
    assert!(load_all(vec![("x", floats(&[2])), ("z", floats(&[3]))]).is_err());
    assert!(load_all(vec![("x", floats(&[2])), ("y", floats(&[2])), ("label", floats(&[2]))]).is_err());
    // 2^24 + 1 would be rounded.
    assert!(load_all(vec![("x", integers(ElementType::I64, &[1], &[16_777_217]))]).is_err());
    assert!(load_all(vec![("x", integers(ElementType::I64, &[1], &[i64::MIN]))]).is_err());
    let text =
        load(&mut Fake(vec![("x", floats(&[2, 2]))]), "fake", Split::Train, Some(1..3), None, usize::MAX)
            .unwrap_err();
    assert!(text.to_string().contains("\"x\"") && text.to_string().contains("there are 2"), "{text}");
}
