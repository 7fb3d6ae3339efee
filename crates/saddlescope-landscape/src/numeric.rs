//! Sums over vectors in a fixed order, so that a result never depends on threads or compiler whims.

/// Independent partial sums: enough for the compiler to use vector registers.
const LANES: usize = 16;

/// Σ xᵢ yᵢ, in a fixed order.
pub(crate) fn dot(x: &[f64], y: &[f64]) -> f64 {
    debug_assert_eq!(x.len(), y.len());
    let mut lanes = [0.0; LANES];
    let (xs, x_rest) = x.as_chunks::<LANES>();
    let (ys, y_rest) = y.as_chunks::<LANES>();
    for (a, b) in xs.iter().zip(ys) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    for (lane, (a, b)) in lanes.iter_mut().zip(x_rest.iter().zip(y_rest)) {
        *lane += a * b;
    }
    sum_lanes(lanes)
}

/// Σ xᵢ² in a fixed order.
pub fn norm_squared(x: &[f64]) -> f64 {
    dot(x, x)
}

/// ‖x‖₂, safe against overflow and underflow of the squares.
pub fn norm(x: &[f64]) -> f64 {
    let squared = norm_squared(x);
    if squared.is_finite() && squared > f64::MIN_POSITIVE / f64::EPSILON {
        return squared.sqrt();
    }
    let largest = x.iter().fold(0.0_f64, |m, v| if v.is_nan() { f64::NAN } else { m.max(v.abs()) });
    if largest == 0.0 || !largest.is_finite() {
        return largest;
    }
    let scaled: f64 = x.iter().map(|v| (v / largest).powi(2)).sum();
    largest * scaled.sqrt()
}

/// y ← y + a x.
pub(crate) fn add_scaled(y: &mut [f64], a: f64, x: &[f64]) {
    for (yi, xi) in y.iter_mut().zip(x) {
        *yi += a * xi;
    }
}

fn sum_lanes(lanes: [f64; LANES]) -> f64 {
    let mut width = LANES / 2;
    let mut sums = lanes;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_agrees_with_the_plain_sum_for_every_remainder() {
        for n in 0..70 {
            let x: Vec<f64> = (0..n).map(|i| 1.0 + f64::from(i)).collect();
            let y: Vec<f64> = (0..n).map(|i| 2.0 - f64::from(i)).collect();
            // Small integers: every partial sum is exact, so the order cannot matter.
            let plain: f64 = x.iter().zip(&y).map(|(a, b)| a * b).sum();
            assert_eq!(dot(&x, &y), plain);
        }
    }

    #[test]
    fn norm_survives_squares_out_of_range() {
        assert!((norm(&[3e200, 4e200]) / 5e200 - 1.0).abs() < 1e-15);
        assert!((norm(&[3e-200, 4e-200]) / 5e-200 - 1.0).abs() < 1e-15);
        assert_eq!(norm(&[0.0, 0.0]), 0.0);
        assert!(norm(&[1.0, f64::NAN]).is_nan());
        assert_eq!(norm(&[1.0, f64::NEG_INFINITY]), f64::INFINITY);
    }
}
