//! A conformance kit for the kernels: convolutions and matrix products on any code path against plain sums in f64.

use super::{
    ConvGeometry, ConvShape, Filter, Isa, Method, Scratch, filter_adjoint_on, forward, input_adjoint,
    matmul_on,
};
use crate::scalar::{Dtype, Scalar};

/// Changes the output of a kernel: the path, the kernel's name, its output as f64. Tests break kernels with it.
pub type Fault<'a> = &'a dyn Fn(Isa, &str, &mut [f64]);

/// Rounding errors allowed, in ε of the largest sum of absolute products: sums of a few hundred terms stay far below, and the
/// transforms of Winograd's algorithm are within it too.
pub const ALLOWED: f64 = 16.0;

/// The largest error of forward pass, input adjoint and filter adjoint over convolutions of eight kinds, by the algorithm
/// that is chosen for each and by the direct one, in ε of the largest sum of absolute products. NaN stays NaN.
pub fn convolution_error(isa: Isa, dtype: Dtype, fault: Fault<'_>) -> f64 {
    match dtype {
        Dtype::F32 => convolutions::<f32>(isa, fault),
        Dtype::F64 => convolutions::<f64>(isa, fault),
    }
}

/// The same of matrix products.
pub fn matrix_product_error(isa: Isa, dtype: Dtype, fault: Fault<'_>) -> f64 {
    match dtype {
        Dtype::F32 => products::<f32>(isa, fault),
        Dtype::F64 => products::<f64>(isa, fault),
    }
}

/// Image, channels in and out, kernel, stride, padding, dilation, groups.
fn shape(
    input: usize,
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
    pad: usize,
    rest: [usize; 2],
) -> ConvShape {
    ConvShape {
        n: 2,
        input: [input, input + 1],
        c_in: channels[0],
        c_out: channels[1],
        kernel: [kernel; 2],
        stride: [stride; 2],
        pad: [pad; 4],
        dilation: [rest[0]; 2],
        groups: rest[1],
    }
}

/// Plain 3×3 (Winograd's algorithm and direct), strided, 1×1, depthwise, grouped, dilated, and odd channels.
fn shapes() -> [ConvShape; 8] {
    [
        shape(12, [32, 32], 3, 1, 1, [1, 1]),
        shape(9, [16, 48], 3, 1, 1, [1, 1]),
        shape(11, [16, 32], 3, 2, 1, [1, 1]),
        shape(6, [24, 40], 1, 1, 0, [1, 1]),
        shape(8, [16, 16], 3, 1, 1, [1, 16]),
        shape(7, [8, 12], 3, 1, 1, [1, 4]),
        shape(9, [5, 7], 3, 1, 2, [2, 1]),
        shape(10, [3, 6], 5, 1, 0, [1, 1]),
    ]
}

/// Numbers of type T, and the same in f64.
fn values<T: Scalar>(count: usize, seed: usize) -> (Vec<T>, Vec<f64>) {
    let number = |i: usize| (((1_103 + 2 * seed) * i + 7 * seed + 3) % 1_009) as f64 / 509.0 - 1.0;
    let rounded: Vec<T> = (0..count).map(|i| T::from_f64(number(i))).collect();
    let exact = rounded.iter().map(|x| x.to_f64()).collect();
    (rounded, exact)
}

/// A sum with the sum of absolute values beside it.
struct Sums {
    values: Vec<f64>,
    absolute: Vec<f64>,
}

impl Sums {
    fn new(len: usize) -> Self {
        Self { values: vec![0.0; len], absolute: vec![0.0; len] }
    }

    fn add(&mut self, at: usize, term: f64) {
        self.values[at] += term;
        self.absolute[at] += term.abs();
    }

    /// The largest error of `found` in ε of T times the largest absolute sum.
    fn error<T: Scalar>(&self, found: &[f64]) -> f64 {
        let largest = self.absolute.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let errors = found.iter().zip(&self.values).map(|(a, b)| (a - b).abs());
        // A NaN must not get lost in a maximum.
        errors.fold(0.0, |m: f64, e| if e.is_nan() || e > m { e } else { m })
            / (T::EPSILON.to_f64() * largest)
    }
}

fn tampered<T: Scalar>(isa: Isa, name: &str, out: &[T], fault: Fault<'_>) -> Vec<f64> {
    let mut out: Vec<f64> = out.iter().map(|x| x.to_f64()).collect();
    fault(isa, name, &mut out);
    out
}

fn convolutions<T: Scalar>(isa: Isa, fault: Fault<'_>) -> f64 {
    let mut worst: f64 = 0.0;
    for (number, shape) in shapes().into_iter().enumerate() {
        let Ok(g) = ConvGeometry::new(shape) else { return f64::NAN };
        let (x, x64) = values::<T>(g.input_len(), number + 1);
        let (w, w64) = values::<T>(g.filter_len(), number + 20);
        let (gy, gy64) = values::<T>(g.output_len(), number + 40);
        let [mut y_sums, mut gx_sums, mut gw_sums] =
            [g.output_len(), g.input_len(), g.filter_len()].map(Sums::new);
        for_each_product(&g, |ix, iw, iy| {
            y_sums.add(iy, x64[ix] * w64[iw]);
            gx_sums.add(ix, gy64[iy] * w64[iw]);
            gw_sums.add(iw, x64[ix] * gy64[iy]);
        });
        // What is chosen for this shape, and the direct algorithm.
        for method in [None, Some(Method::Direct)] {
            let mut scratch = Scratch::new();
            let filter = Filter::pack_for(isa, method, &g, &w);
            let mut y = vec![T::ZERO; g.output_len()];
            let mut gx = vec![T::ZERO; g.input_len()];
            let mut gw = vec![T::ZERO; g.filter_len()];
            forward(&g, &x, &filter, &mut y, false, &mut scratch);
            input_adjoint(&g, &gy, &filter, &mut gx, false, &mut scratch);
            filter_adjoint_on(isa, method, &g, &[(&x, &gy)], &mut gw, false, &mut scratch);
            let errors = [
                y_sums.error::<T>(&tampered(isa, "forward", &y, fault)),
                gx_sums.error::<T>(&tampered(isa, "input adjoint", &gx, fault)),
                gw_sums.error::<T>(&tampered(isa, "filter adjoint", &gw, fault)),
            ];
            for error in errors {
                worst = if error.is_nan() || error > worst { error } else { worst };
            }
        }
    }
    worst
}

/// Calls `visit(x index, w index, y index)` for every product of the convolution.
fn for_each_product(g: &ConvGeometry, mut visit: impl FnMut(usize, usize, usize)) {
    let s = g.shape();
    let [ho, wo] = g.output();
    let (group_in, group_out) = (s.c_in / s.groups, s.c_out / s.groups);
    for (n, oy, ox) in (0..s.n).flat_map(|n| (0..ho).flat_map(move |oy| (0..wo).map(move |ox| (n, oy, ox)))) {
        for (ky, kx) in (0..s.kernel[0]).flat_map(|ky| (0..s.kernel[1]).map(move |kx| (ky, kx))) {
            let row =
                (oy * s.stride[0] + ky * s.dilation[0]).checked_sub(s.pad[0]).filter(|r| *r < s.input[0]);
            let column =
                (ox * s.stride[1] + kx * s.dilation[1]).checked_sub(s.pad[1]).filter(|c| *c < s.input[1]);
            let (Some(row), Some(column)) = (row, column) else { continue };
            for co in 0..s.c_out {
                for ci in 0..group_in {
                    let x = ((n * s.input[0] + row) * s.input[1] + column) * s.c_in
                        + co / group_out * group_in
                        + ci;
                    let w = ((ky * s.kernel[1] + kx) * group_in + ci) * s.c_out + co;
                    visit(x, w, ((n * ho + oy) * wo + ox) * s.c_out + co);
                }
            }
        }
    }
}

fn products<T: Scalar>(isa: Isa, fault: Fault<'_>) -> f64 {
    let mut worst: f64 = 0.0;
    for (m, n, k) in [(64, 96, 80), (33, 17, 129), (1, 50, 300), (70, 1, 65)] {
        let (a, a64) = values::<T>(m * k, 3);
        let (b, b64) = values::<T>(k * n, 5);
        let mut sums = Sums::new(m * n);
        for i in 0..m {
            for j in 0..n {
                (0..k).for_each(|l| sums.add(i * n + j, a64[i * k + l] * b64[l * n + j]));
            }
        }
        let mut c = vec![T::ZERO; m * n];
        matmul_on(isa, [m, n, k], &a, &b, &mut c, &mut Scratch::new());
        let error = sums.error::<T>(&tampered(isa, "matrix product", &c, fault));
        worst = if error.is_nan() || error > worst { error } else { worst };
    }
    worst
}
