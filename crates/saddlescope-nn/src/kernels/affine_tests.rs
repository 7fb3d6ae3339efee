//! The four passes against plain f64 formulas on every code path.

use super::super::tests::numbers;
use super::*;
use proptest::prelude::*;

fn check_all<T: Scalar>(isa: Isa, rows: usize, c: usize, relu: bool, residual: bool, accumulate: bool) {
    let n = rows * c;
    let a: Vec<Vec<T>> = (0..8).map(|i| numbers(n, 10 + i)).collect();
    let p: Vec<Vec<T>> = (0..6).map(|i| numbers(c, 50 + i)).collect();
    let (x, dx, r, dr, gy, dgy) = (&a[0], &a[1], &a[2], &a[3], &a[4], &a[5]);
    let (scale, shift, dscale, dshift) = (&p[0], &p[1], &p[2], &p[3]);
    let f = |v: T| v.to_f64();
    // A handful of roundings for elements of size at most 4; for sums, at most `rows` of them.
    let element = 16.0 * T::EPSILON.to_f64();
    let total = element * (rows as f64 + 1.0);
    let near = |what: &str, got: T, want: f64, tolerance: f64| {
        assert!((f(got) - want).abs() <= tolerance, "{what} {isa:?} {rows}x{c}: {got} {want}");
    };

    let mut y = vec![T::ZERO; n];
    forward_on(isa, x, scale, shift, residual.then_some(&r[..]), relu, &mut y);
    for i in 0..n {
        let mut want = f(x[i]) * f(scale[i % c]) + f(shift[i % c]) + if residual { f(r[i]) } else { 0.0 };
        if relu {
            want = want.max(0.0);
        }
        near("y", y[i], want, element);
    }

    let mask = relu.then_some(&y[..]);
    let m = |i: usize| if !relu || y[i] > T::ZERO { 1.0 } else { 0.0 };
    let mut dy = vec![T::ZERO; n];
    let direction = AffineTangent {
        x: Some(dx),
        scale: Some(dscale),
        shift: Some(dshift),
        residual: residual.then_some(&dr[..]),
    };
    tangent_on(isa, mask, x, scale, direction, &mut dy);
    for i in 0..n {
        let j = i % c;
        let want = f(scale[j]) * f(dx[i])
            + f(dscale[j]) * f(x[i])
            + f(dshift[j])
            + if residual { f(dr[i]) } else { 0.0 };
        near("dy", dy[i], m(i) * want, element);
    }

    let (mut gx, mut gr) = (a[6].clone(), a[7].clone());
    let (mut gs, mut gt) = (p[4].clone(), p[5].clone());
    adjoint_on(
        isa,
        mask,
        x,
        scale,
        gy,
        Some(Target { values: &mut gx, accumulate }),
        residual.then_some(Target { values: &mut gr, accumulate }),
        &mut gs,
        &mut gt,
    );
    let before = |i: usize, v: &[T]| if accumulate { f(v[i]) } else { 0.0 };
    let (mut sum, mut sum_x) =
        (p[5].iter().map(|&v| f(v)).collect::<Vec<_>>(), p[4].iter().map(|&v| f(v)).collect::<Vec<_>>());
    let (mut dsum, mut dsum_x) = (sum.clone(), sum_x.clone());
    for i in 0..n {
        let g = m(i) * f(gy[i]);
        let dg = m(i) * f(dgy[i]);
        near("gx", gx[i], before(i, &a[6]) + f(scale[i % c]) * g, element);
        if residual {
            near("gr", gr[i], before(i, &a[7]) + g, element);
        }
        sum[i % c] += g;
        sum_x[i % c] += g * f(x[i]);
        dsum[i % c] += dg;
        dsum_x[i % c] += dg * f(x[i]) + g * f(dx[i]);
    }
    for j in 0..c {
        near("gshift", gt[j], sum[j], total);
        near("gscale", gs[j], sum_x[j], total);
    }

    let (mut dgx, mut dgr) = (a[6].clone(), a[7].clone());
    let (mut dgs, mut dgt) = (p[4].clone(), p[5].clone());
    adjoint_tangent_on(
        isa,
        mask,
        x,
        Some(dx),
        scale,
        Some(dscale),
        gy,
        dgy,
        Some(Target { values: &mut dgx, accumulate }),
        residual.then_some(Target { values: &mut dgr, accumulate }),
        &mut dgs,
        &mut dgt,
    );
    for i in 0..n {
        let (g, dg) = (m(i) * f(gy[i]), m(i) * f(dgy[i]));
        near("dgx", dgx[i], before(i, &a[6]) + f(scale[i % c]) * dg + f(dscale[i % c]) * g, element);
        if residual {
            near("dgr", dgr[i], before(i, &a[7]) + dg, element);
        }
    }
    for j in 0..c {
        near("dgshift", dgt[j], dsum[j], total);
        near("dgscale", dgs[j], dsum_x[j], total);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_passes_match_their_formulas(
        rows in 0_usize..70,
        c in 1_usize..50,
        relu: bool,
        residual: bool,
        accumulate: bool,
    ) {
        for &isa in Isa::available() {
            check_all::<f32>(isa, rows, c, relu, residual, accumulate);
            check_all::<f64>(isa, rows, c, relu, residual, accumulate);
        }
    }
}

#[test]
fn relu_hands_nan_on() {
    for &isa in Isa::available() {
        let mut y = vec![0.0_f32; 17];
        forward_on(isa, &[f32::NAN; 17], &[1.0; 17], &[0.0; 17], None, true, &mut y);
        assert!(y.iter().all(|v| v.is_nan()), "{isa:?}");
    }
}
