//! Every kernel on every code path against naive sums in f64, and the identities that tie the passes together.

use super::*;
use crate::scalar::Scalar;
use proptest::prelude::*;

/// Reproducible numbers in (−1, 1).
pub(super) fn numbers<T: Scalar>(len: usize, seed: u64) -> Vec<T> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            T::from_f64((state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0)
        })
        .collect()
}

/// Calls `visit(x index, w index, y index)` for every product of the convolution.
fn visit_products(g: &ConvGeometry, mut visit: impl FnMut(usize, usize, usize)) {
    let s = g.shape();
    let [ho, wo] = g.output();
    let (gi, go) = (s.c_in / s.groups, s.c_out / s.groups);
    for n in 0..s.n {
        for oy in 0..ho {
            for ox in 0..wo {
                for ky in 0..s.kernel[0] {
                    for kx in 0..s.kernel[1] {
                        let iy = (oy * s.stride[0] + ky * s.dilation[0]) as isize - s.pad[0] as isize;
                        let ix = (ox * s.stride[1] + kx * s.dilation[1]) as isize - s.pad[1] as isize;
                        if iy < 0 || ix < 0 || iy >= s.input[0] as isize || ix >= s.input[1] as isize {
                            continue;
                        }
                        for co in 0..s.c_out {
                            for ci in 0..gi {
                                let x = ((n * s.input[0] + iy as usize) * s.input[1] + ix as usize) * s.c_in
                                    + co / go * gi
                                    + ci;
                                let w = ((ky * s.kernel[1] + kx) * gi + ci) * s.c_out + co;
                                let y = ((n * ho + oy) * wo + ox) * s.c_out + co;
                                visit(x, w, y);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Largest |a − b| against a bound on the rounding error: terms · ε · (sum of absolute products).
///
/// Winograd's algorithm adds and subtracts neighbouring pixels and taps, so its error is bounded by the largest
/// absolute sum of all outputs, not by that of each output alone.
fn assert_close<T: Scalar>(what: &str, method: Method, got: &[T], want: &[f64], magnitude: &[f64]) {
    let largest = magnitude.iter().copied().fold(0.0, f64::max);
    for (i, ((&a, &b), &m)) in got.iter().zip(want).zip(magnitude).enumerate() {
        let m = if method == Method::Direct { m } else { largest };
        let bound = FACTOR * T::EPSILON.to_f64() * (m + 1e-3);
        let error = (a.to_f64() - b).abs();
        assert!(error <= bound, "{what}[{i}]: got {a}, expected {b}, error {error:e} > {bound:e}");
    }
}

/// One case: all passes, singles and pairs, plain and accumulating, against the naive sums.
fn check<T: Scalar>(shape: ConvShape, isa: Isa, method: Method, seed: u64) {
    let g = ConvGeometry::new(shape).expect("valid shape");
    let x: [Vec<T>; 2] = [1, 2].map(|i| numbers(g.input_len(), seed + i));
    let w: [Vec<T>; 2] = [3, 4].map(|i| numbers(g.filter_len(), seed + i));
    let gy: [Vec<T>; 2] = [5, 6].map(|i| numbers(g.output_len(), seed + i));
    let mut scratch = Scratch::new();
    let filter = [0, 1].map(|i| Filter::pack_for(isa, Some(method), &g, &w[i]));
    for terms in [1, 2] {
        for accumulate in [false, true] {
            let mut y: Vec<T> = numbers(g.output_len(), seed + 7);
            let mut gx: Vec<T> = numbers(g.input_len(), seed + 8);
            let mut gw: Vec<T> = numbers(g.filter_len(), seed + 9);
            let start = |v: &[T]| -> Vec<f64> {
                v.iter().map(|a| if accumulate { a.to_f64() } else { 0.0 }).collect()
            };
            let (mut y_ref, mut gx_ref, mut gw_ref) = (start(&y), start(&gx), start(&gw));
            let magnitude = |v: &[f64]| -> Vec<f64> { v.iter().map(|a| a.abs()).collect() };
            let (mut y_abs, mut gx_abs, mut gw_abs) =
                (magnitude(&y_ref), magnitude(&gx_ref), magnitude(&gw_ref));
            for t in 0..terms {
                visit_products(&g, |ix, iw, iy| {
                    let (x, w, gy) = (x[t][ix].to_f64(), w[t][iw].to_f64(), gy[t][iy].to_f64());
                    y_ref[iy] += x * w;
                    y_abs[iy] += (x * w).abs();
                    gx_ref[ix] += gy * w;
                    gx_abs[ix] += (gy * w).abs();
                    gw_ref[iw] += x * gy;
                    gw_abs[iw] += (x * gy).abs();
                });
            }
            let pairs: Vec<(&[T], &[T])> = (0..terms).map(|t| (&x[t][..], &gy[t][..])).collect();
            if terms == 1 {
                forward(&g, &x[0], &filter[0], &mut y, accumulate, &mut scratch);
                input_adjoint(&g, &gy[0], &filter[0], &mut gx, accumulate, &mut scratch);
            } else {
                forward_pair(&g, &x[0], &filter[0], &x[1], &filter[1], &mut y, accumulate, &mut scratch);
                let gx = &mut gx;
                input_adjoint_pair(&g, &gy[0], &filter[0], &gy[1], &filter[1], gx, accumulate, &mut scratch);
            }
            filter_adjoint_on(isa, Some(method), &g, &pairs, &mut gw, accumulate, &mut scratch);
            let label = |pass: &str| {
                format!("{pass} {isa:?} {method:?} {} terms={terms} add={accumulate} {shape:?}", T::DTYPE)
            };
            // Sums of a few hundred terms: the rounding error of a sum is far below 16 ε of its absolute sum.
            assert_close(&label("y"), method, &y, &y_ref, &y_abs);
            assert_close(&label("gx"), method, &gx, &gx_ref, &gx_abs);
            assert_close(&label("gw"), method, &gw, &gw_ref, &gw_abs);
        }
    }
}

/// Rounding errors allowed, in ε of the sum of absolute products.
const FACTOR: f64 = 16.0;

fn check_all_paths(shape: ConvShape, seed: u64) {
    for &isa in Isa::available() {
        for method in [Method::Direct, Method::Winograd2, Method::Winograd4] {
            check::<f32>(shape, isa, method, seed);
            check::<f64>(shape, isa, method, seed);
        }
    }
}

fn shape(n: usize, hw: usize, c_in: usize, c_out: usize, k: usize, stride: usize, pad: usize) -> ConvShape {
    ConvShape {
        n,
        input: [hw, hw],
        c_in,
        c_out,
        kernel: [k, k],
        stride: [stride; 2],
        pad: [pad; 4],
        dilation: [1, 1],
        groups: 1,
    }
}

#[test]
fn shapes_of_real_networks() {
    for (i, s) in [
        shape(2, 8, 16, 16, 3, 1, 1),
        shape(5, 4, 32, 32, 3, 1, 1),
        shape(1, 8, 3, 16, 3, 1, 1),
        shape(1, 9, 3, 24, 7, 2, 3),
        shape(2, 8, 16, 32, 3, 2, 1),
        shape(2, 8, 16, 32, 1, 2, 0),
        shape(3, 4, 70, 128, 1, 1, 0),
        shape(1, 4, 128, 32, 3, 1, 1),
        shape(2, 1, 48, 10, 1, 1, 0),
        ConvShape { groups: 32, ..shape(2, 5, 32, 32, 3, 1, 1) },
        ConvShape { groups: 19, ..shape(2, 6, 19, 19, 3, 2, 1) },
        ConvShape { groups: 4, ..shape(2, 6, 32, 64, 3, 2, 1) },
        ConvShape { dilation: [2, 2], ..shape(1, 9, 16, 16, 3, 1, 2) },
        // No tap touches the image.
        ConvShape { pad: [0, 2, 0, 0], stride: [1, 3], ..shape(1, 1, 3, 4, 1, 1, 0) },
        ConvShape { pad: [3, 3, 0, 0], stride: [5, 5], ..shape(1, 1, 3, 4, 2, 1, 0) },
    ]
    .into_iter()
    .enumerate()
    {
        check_all_paths(s, i as u64 * 100);
    }
}

/// 3×3 convolutions with channels in whole vectors.
fn any_winograd_shape() -> impl Strategy<Value = ConvShape> {
    let sizes = (1_usize..3, 1_usize..8, 1_usize..14, 1_usize..4, 1_usize..4);
    (sizes, [0_usize..4, 0..4, 0..4, 0..4]).prop_filter_map("too small", |((n, h, w, ci, co), pad)| {
        let s = ConvShape { input: [h, w], pad, ..shape(n, 1, ci * 16, co * 16, 3, 1, 0) };
        ConvGeometry::new(s).is_ok().then_some(s)
    })
}

fn any_shape() -> impl Strategy<Value = ConvShape> {
    let sizes = (1_usize..4, 1_usize..12, 1_usize..12, 1_usize..4, 1_usize..9, 1_usize..40);
    let taps = (1_usize..5, 1_usize..5, 1_usize..4, 1_usize..4, 1_usize..4, 1_usize..4);
    let pads = [0_usize..4, 0..4, 0..4, 0..4];
    (sizes, taps, pads, any::<bool>()).prop_filter_map(
        "kernel larger than input",
        |((n, h, w, groups, gi, go), (kh, kw, sy, sx, dy, dx), pad, depthwise)| {
            let (groups, gi, go) = if depthwise { (gi * 5 + 1, 1, 1) } else { (groups, gi, go) };
            let s = ConvShape {
                n,
                input: [h, w],
                c_in: groups * gi,
                c_out: groups * go,
                kernel: [kh, kw],
                stride: [sy, sx],
                pad,
                dilation: [dy, dx],
                groups,
            };
            ConvGeometry::new(s).is_ok().then_some(s)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_convolution_matches_naive_sums(s in any_shape(), seed in 0_u64..1000) {
        check_all_paths(s, seed);
    }

    #[test]
    fn winograd_matches_naive_sums(s in any_winograd_shape(), seed in 0_u64..1000) {
        check_all_paths(s, seed);
    }

    #[test]
    fn filters_take_the_memory_that_is_forecast(s in any_shape(), winograd in any_winograd_shape()) {
        for s in [s, winograd] {
            let g = ConvGeometry::new(s).expect("valid shape");
            let single = Filter::pack(&g, &numbers::<f32>(g.filter_len(), 0));
            prop_assert_eq!(single.held(), Filter::<f32>::packed_len(&g));
            let double = Filter::pack(&g, &numbers::<f64>(g.filter_len(), 0));
            prop_assert_eq!(double.held(), Filter::<f64>::packed_len(&g));
        }
    }

    #[test]
    fn passes_are_adjoint(s in any_shape(), seed in 0_u64..1000) {
        let g = ConvGeometry::new(s).expect("valid shape");
        let x = numbers::<f64>(g.input_len(), seed);
        let w = numbers::<f64>(g.filter_len(), seed + 1);
        let gy = numbers::<f64>(g.output_len(), seed + 2);
        let mut scratch = Scratch::new();
        let filter = Filter::pack(&g, &w);
        let (mut y, mut gx, mut gw) = (vec![0.0; gy.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
        forward(&g, &x, &filter, &mut y, false, &mut scratch);
        input_adjoint(&g, &gy, &filter, &mut gx, false, &mut scratch);
        filter_adjoint(&g, &x, &gy, &mut gw, false, &mut scratch);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let norm = |a: &[f64]| dot(a, a).sqrt();
        let forms = [dot(&y, &gy), dot(&x, &gx), dot(&w, &gw)];
        // Rounding of sums of up to some 10⁵ terms, relative to the largest value the form can take.
        let scale = 1e-13 * (norm(&y) * norm(&gy) + norm(&x) * norm(&gx) + norm(&w) * norm(&gw));
        prop_assert!((forms[0] - forms[1]).abs() <= scale, "{forms:?}");
        prop_assert!((forms[0] - forms[2]).abs() <= scale, "{forms:?}");
    }
}

#[test]
fn impossible_shapes_are_errors() {
    let ok = shape(1, 4, 4, 4, 3, 1, 1);
    for (bad, text) in [
        (ConvShape { n: 0, ..ok }, "number of images is 0"),
        (ConvShape { stride: [1, 0], ..ok }, "horizontal stride is 0"),
        (ConvShape { groups: 3, ..ok }, "4 input channels cannot be split into 3 groups"),
        (ConvShape { kernel: [7, 3], ..ok }, "covers 7 pixels, the padded input has only 6"),
        (ConvShape { input: [usize::MAX, 4], ..ok }, "overflow"),
        (ConvShape { pad: [usize::MAX / 16, 1, 1, 1], ..ok }, "overflow"),
        (ConvShape { c_in: usize::MAX / 4, ..ok }, "overflow"),
    ] {
        let error = ConvGeometry::new(bad).expect_err("must be refused").to_string();
        assert!(error.contains(text), "{error}");
    }
}

/// Relative error in the Euclidean norm of f32 passes against f64 on a layer of a real network.
fn relative_errors(method: Method, c: usize, hw: usize) -> [f64; 3] {
    let g = ConvGeometry::new(shape(4, hw, c, c, 3, 1, 1)).expect("valid shape");
    let run = |x: &[f32], w: &[f32], gy: &[f32]| -> [Vec<f64>; 3] {
        let mut scratch = Scratch::new();
        let filter = Filter::pack_for(Isa::detect(), Some(method), &g, w);
        let (mut y, mut gx, mut gw) = (vec![0.0; gy.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
        forward(&g, x, &filter, &mut y, false, &mut scratch);
        input_adjoint(&g, gy, &filter, &mut gx, false, &mut scratch);
        filter_adjoint_on(Isa::detect(), Some(method), &g, &[(x, gy)], &mut gw, false, &mut scratch);
        [y, gx, gw].map(|v| v.into_iter().map(f64::from).collect())
    };
    let (x, w, gy) = (
        numbers::<f32>(g.input_len(), 1),
        numbers::<f32>(g.filter_len(), 2),
        numbers::<f32>(g.output_len(), 3),
    );
    let double = |v: &[f32]| -> Vec<f64> { v.iter().map(|&v| f64::from(v)).collect() };
    let (xd, wd, gyd) = (double(&x), double(&w), double(&gy));
    let mut scratch = Scratch::new();
    let filter = Filter::pack_for(Isa::detect(), Some(Method::Direct), &g, &wd);
    let (mut y, mut gx, mut gw) = (vec![0.0; gy.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
    forward(&g, &xd, &filter, &mut y, false, &mut scratch);
    input_adjoint(&g, &gyd, &filter, &mut gx, false, &mut scratch);
    filter_adjoint_on(Isa::detect(), Some(Method::Direct), &g, &[(&xd, &gyd)], &mut gw, false, &mut scratch);
    let got = run(&x, &w, &gy);
    let want = [y, gx, gw];
    [0, 1, 2].map(|i| {
        let square = |f: &dyn Fn(usize) -> f64| (0..want[i].len()).map(|j| f(j).powi(2)).sum::<f64>();
        (square(&|j| got[i][j] - want[i][j]) / square(&|j| want[i][j])).sqrt()
    })
}

#[test]
fn winograd_rounds_about_as_the_direct_sum_does() {
    for (c, hw) in [(16, 32), (32, 16), (64, 8)] {
        let direct = relative_errors(Method::Direct, c, hw);
        // Measured ratios (docs/performance.md): 0.65 to 1.0 and at most 2.5.
        for (method, limit) in [(Method::Winograd2, 2.0), (Method::Winograd4, 4.0)] {
            let winograd = relative_errors(method, c, hw);
            for i in 0..3 {
                let ratio = winograd[i] / direct[i];
                assert!(ratio <= limit, "{method:?}, {c} channels, pass {i}: ratio {ratio}");
            }
        }
    }
}
