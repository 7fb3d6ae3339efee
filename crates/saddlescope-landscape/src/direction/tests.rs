use super::*;
use crate::ParameterBlock;

fn layout(blocks: &[(&str, &[usize], ParameterKind)]) -> ParameterLayout {
    let mut start = 0;
    let blocks = blocks
        .iter()
        .map(|(name, shape, kind)| {
            let range = start..start + shape.iter().product::<usize>();
            start = range.end;
            ParameterBlock { name: (*name).into(), shape: shape.to_vec(), range, kind: *kind }
        })
        .collect();
    ParameterLayout { blocks }
}

fn small_network() -> (ParameterLayout, Vec<f64>) {
    let layout = layout(&[
        ("conv.weight", &[2, 1, 2, 2], ParameterKind::ConvFilter),
        ("bn.weight", &[2], ParameterKind::Normalization),
        ("linear.weight", &[3, 2], ParameterKind::LinearWeight),
        ("linear.bias", &[3], ParameterKind::Bias),
        ("table", &[2, 3], ParameterKind::Embedding),
        ("scale", &[2], ParameterKind::Other),
    ]);
    let theta = (0..layout.len()).map(|i| (i as f64 * 0.37).sin() * 3.0).collect();
    (layout, theta)
}

#[test]
fn every_filter_neuron_and_row_gets_the_norm_of_its_own_in_theta() {
    let (layout, theta) = small_network();
    let drawn = Direction::random(layout.len(), 4, 0).unwrap();
    let normalized = filter_normalize(drawn.clone(), &theta, &layout, Unfiltered::Zero).unwrap();
    assert_eq!(normalized.normalization(), Normalization::Filter);
    assert_eq!(normalized.origin(), &Origin::Random { seed: 4, stream: 0 });
    let groups = [(0..4), (4..8), (10..12), (12..14), (14..16), (19..22), (22..25), (25..27)];
    for group in groups {
        let (d, t) = (&normalized.vector()[group.clone()], &theta[group.clone()]);
        // Two norms and a division: a few ε.
        assert!((norm(d) / norm(t) - 1.0).abs() < 1e-14, "{group:?}");
        let original = &drawn.vector()[group];
        let ratio = d[0] / original[0];
        assert!(ratio > 0.0 && d.iter().zip(original).all(|(a, b)| (a - ratio * b).abs() < 1e-13));
    }
    for zeroed in [8..10, 16..19] {
        assert!(normalized.vector()[zeroed].iter().all(|x| *x == 0.0));
    }
}

#[test]
fn biases_can_be_kept_or_rescaled() {
    let (layout, theta) = small_network();
    let drawn = Direction::random(layout.len(), 4, 0).unwrap();
    let kept = filter_normalize(drawn.clone(), &theta, &layout, Unfiltered::Keep).unwrap();
    assert_eq!(kept.vector()[8..10], drawn.vector()[8..10]);
    let rescaled = filter_normalize(drawn, &theta, &layout, Unfiltered::Rescale).unwrap();
    assert!((norm(&rescaled.vector()[16..19]) / norm(&theta[16..19]) - 1.0).abs() < 1e-14);
}

#[test]
fn layer_normalisation_scales_whole_tensors() {
    let (layout, theta) = small_network();
    let drawn = Direction::random(layout.len(), 1, 2).unwrap();
    let normalized = layer_normalize(drawn, &theta, &layout, Unfiltered::Zero).unwrap();
    for tensor in [0..8, 10..16, 19..25] {
        assert!((norm(&normalized.vector()[tensor.clone()]) / norm(&theta[tensor]) - 1.0).abs() < 1e-14);
    }
}

#[test]
fn rescaling_theta_rescales_the_direction_filter_by_filter() {
    // The property filter normalisation was made for: a network that computes the same with one filter doubled and
    // the next layer halved gets a direction scaled in the same way.
    let (layout, theta) = small_network();
    let mut scaled = theta.clone();
    scaled[0..4].iter_mut().for_each(|x| *x *= 2.0);
    let drawn = Direction::random(layout.len(), 8, 0).unwrap();
    let before = filter_normalize(drawn.clone(), &theta, &layout, Unfiltered::Zero).unwrap();
    let after = filter_normalize(drawn, &scaled, &layout, Unfiltered::Zero).unwrap();
    for i in 0..layout.len() {
        let factor = if i < 4 { 2.0 } else { 1.0 };
        assert!((after.vector()[i] - factor * before.vector()[i]).abs() <= 1e-14 * before.vector()[i].abs());
    }
}

#[test]
fn the_neurons_of_a_transposed_matrix_are_its_columns() {
    let layout = layout(&[("weight", &[2, 3], ParameterKind::LinearWeightTransposed)]);
    let theta = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let drawn = Direction::random(6, 3, 0).unwrap();
    let normalized = filter_normalize(drawn, &theta, &layout, Unfiltered::Zero).unwrap();
    for j in 0..3 {
        let column = |x: &[f64]| x[j].hypot(x[j + 3]);
        assert!((column(normalized.vector()) / column(&theta) - 1.0).abs() < 1e-14);
    }
}

#[test]
fn unit_directions_survive_extreme_lengths() {
    for size in [1e-300, 1.0, 1e300] {
        let d = Direction::new(vec![3.0 * size, -4.0 * size], Origin::Given).unwrap().unit();
        assert!((d.vector()[0] - 0.6).abs() < 1e-15 && (d.vector()[1] + 0.8).abs() < 1e-15);
        assert_eq!(d.normalization(), Normalization::Unit);
    }
}

#[test]
fn random_directions_are_standard_normal_and_repeatable() {
    let n = 100_000;
    let d = Direction::random(n, 11, 0).unwrap();
    assert_eq!(d, Direction::random(n, 11, 0).unwrap());
    assert_ne!(d.vector(), Direction::random(n, 11, 1).unwrap().vector());
    let mean = d.vector().iter().sum::<f64>() / n as f64;
    let second = d.vector().iter().map(|x| x * x).sum::<f64>() / n as f64;
    // Five standard errors: 1/√N of the mean, √(2/N) of the second moment.
    assert!(mean.abs() < 5.0 / (n as f64).sqrt(), "{mean}");
    assert!((second - 1.0).abs() < 5.0 * (2.0 / n as f64).sqrt(), "{second}");
}

#[test]
fn useless_directions_are_refused() {
    let given = |v: Vec<f64>| Direction::new(v, Origin::Given);
    assert_eq!(given(vec![]), Err(DirectionError::Empty));
    assert_eq!(given(vec![0.0, -0.0]), Err(DirectionError::Zero { after: None }));
    assert!(matches!(given(vec![1.0, f64::NAN]), Err(DirectionError::NotFinite { index: 1, .. })));
    assert!(matches!(given(vec![f64::INFINITY]), Err(DirectionError::NotFinite { index: 0, .. })));
    assert_eq!(Direction::random(0, 1, 0), Err(DirectionError::Empty));
    assert!(matches!(Direction::displacement(&[1.0], &[1.0, 2.0]), Err(DirectionError::Length { .. })));
    assert!(matches!(Direction::displacement(&[1.0], &[1.0]), Err(DirectionError::Zero { .. })));

    let (layout, theta) = small_network();
    let d = Direction::random(layout.len(), 0, 0).unwrap();
    let short = Direction::random(3, 0, 0).unwrap();
    let zero = vec![0.0; layout.len()];
    let mut broken = theta.clone();
    broken[5] = f64::NAN;
    let normalize = |d, t: &[f64], l| filter_normalize(d, t, l, Unfiltered::Zero);
    assert!(matches!(normalize(short, &theta, &layout), Err(DirectionError::Length { found: 3, .. })));
    assert!(matches!(normalize(d.clone(), &theta[1..], &layout), Err(DirectionError::Length { .. })));
    assert!(matches!(
        normalize(d.clone(), &broken, &layout),
        Err(DirectionError::NotFinite { index: 5, .. })
    ));
    assert!(matches!(normalize(d.clone(), &zero, &layout), Err(DirectionError::Zero { after: Some(_) })));
    let mut wrong = layout.clone();
    wrong.blocks[0].shape = vec![3, 3];
    assert!(matches!(normalize(d, &theta, &wrong), Err(DirectionError::Shape { .. })));
}
