//! Speed of the convolution kernels on one thread, in GFLOP/s of a direct convolution.
//!
//! `cargo run --release -p saddlescope-nn --example kernel_bench [-- FILTER [IMAGES]]` prints one line per shape, with
//! the passes as columns, for every code path of this processor. FILTER selects shapes by a part of their name,
//! IMAGES is the size of a micro-batch (default 4).
#![allow(clippy::print_stdout)]

use saddlescope_nn::Scalar;
use saddlescope_nn::bench::{
    ConvGeometry, ConvShape, Filter, Isa, Method, Scratch, filter_adjoint_on, forward, forward_pair,
    input_adjoint, input_adjoint_pair,
};
use saddlescope_nn::bench::{Element, Job, Simd};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// (name, height and width, input channels, output channels, kernel, stride, padding, depthwise)
type Case = (&'static str, usize, usize, usize, usize, usize, usize, bool);

const CASES: &[Case] = &[
    ("resnet first", 32, 3, 16, 3, 1, 1, false),
    ("resnet 16", 32, 16, 16, 3, 1, 1, false),
    ("resnet 32", 16, 32, 32, 3, 1, 1, false),
    ("resnet 64", 8, 64, 64, 3, 1, 1, false),
    ("resnet 16-32 s2", 32, 16, 32, 3, 2, 1, false),
    ("resnet 32-64 s2", 16, 32, 64, 3, 2, 1, false),
    ("resnet proj s2", 32, 16, 32, 1, 2, 0, false),
    ("resnet 128 big", 16, 128, 128, 3, 1, 1, false),
    ("resnet 512 big", 4, 512, 512, 3, 1, 1, false),
    ("dense 1x1 64-128", 32, 64, 128, 1, 1, 0, false),
    ("dense 1x1 256-128", 16, 256, 128, 1, 1, 0, false),
    ("dense 1x1 512-128", 8, 512, 128, 1, 1, 0, false),
    ("dense 1x1 1024-128", 4, 1024, 128, 1, 1, 0, false),
    ("dense 3x3 32^2", 32, 128, 32, 3, 1, 1, false),
    ("dense 3x3 8^2", 8, 128, 32, 3, 1, 1, false),
    ("dense 3x3 4^2", 4, 128, 32, 3, 1, 1, false),
    ("dense transition", 16, 512, 256, 1, 1, 0, false),
    ("imagenet first", 112, 3, 64, 7, 2, 3, false),
    ("imagenet 7x7", 7, 512, 512, 3, 1, 1, false),
    ("odd 30-50", 15, 30, 50, 3, 1, 1, false),
    ("lenet 5x5", 28, 1, 6, 5, 1, 0, false),
    ("depthwise 64", 16, 64, 64, 3, 1, 1, true),
];

fn main() {
    let mut args = std::env::args().skip(1);
    let filter = args.next().unwrap_or_default();
    let images = args.next().and_then(|n| n.parse().ok()).unwrap_or(4);
    let only = args.next().unwrap_or_default();
    for &isa in Isa::available() {
        if format!("{isa:?}").contains(&only) {
            table::<f32>(isa, &filter, images);
        }
    }
    for &isa in Isa::available() {
        if format!("{isa:?}").contains(&only) && !filter.ends_with('!') {
            table::<f64>(isa, &filter, images);
        }
    }
}

fn table<T: Scalar>(isa: Isa, filter: &str, images: usize) {
    println!("{} {isa:?}, {images} images, multiply-add peak {:.0} GFLOP/s", T::DTYPE, peak::<T>(isa));
    println!(
        "{:<20} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "shape", "forward", "input", "filter", "fwd pair", "inp pair", "fil pair"
    );
    for &(name, hw, c_in, c_out, k, stride, pad, depthwise) in CASES {
        if !name.contains(filter.trim_end_matches('!')) {
            continue;
        }
        let shape = ConvShape {
            n: images,
            input: [hw, hw],
            c_in,
            c_out,
            kernel: [k, k],
            stride: [stride; 2],
            pad: [pad; 4],
            dilation: [1, 1],
            groups: if depthwise { c_in } else { 1 },
        };
        let Ok(g) = ConvGeometry::new(shape) else { continue };
        bench::<T>(isa, Method::Direct, name, &g);
        if k == 3 && stride == 1 && c_in % 16 == 0 && !depthwise {
            bench::<T>(isa, Method::Winograd2, "  Winograd 2", &g);
            bench::<T>(isa, Method::Winograd4, "  Winograd 4", &g);
        }
    }
}

fn bench<T: Scalar>(isa: Isa, method: Method, name: &str, g: &ConvGeometry) {
    {
        let numbers = |n: usize, seed: usize| -> Vec<T> {
            (0..n).map(|i| T::from_f64(((i * 7919 + seed * 104_729) % 1000) as f64 / 1000.0 - 0.5)).collect()
        };
        let (x, gy, w) = (numbers(g.input_len(), 1), numbers(g.output_len(), 2), numbers(g.filter_len(), 3));
        let (x2, gy2) = (x.clone(), gy.clone());
        let (f, f2) =
            (Filter::pack_for(isa, Some(method), g, &w), Filter::pack_for(isa, Some(method), g, &w));
        let (mut y, mut gx, mut gw) = (gy.clone(), x.clone(), w.clone());
        let mut s = Scratch::new();
        let times = [
            time(|| forward(g, &x, &f, &mut y, false, &mut s)),
            time(|| input_adjoint(g, &gy, &f, &mut gx, false, &mut s)),
            time(|| filter_adjoint_on(isa, Some(method), g, &[(&x, &gy)], &mut gw, false, &mut s)),
            time(|| forward_pair(g, &x, &f, &x2, &f2, &mut y, false, &mut s)) / 2.0,
            time(|| input_adjoint_pair(g, &gy, &f, &gy2, &f2, &mut gx, false, &mut s)) / 2.0,
            time(|| {
                filter_adjoint_on(isa, Some(method), g, &[(&x, &gy), (&x2, &gy2)], &mut gw, false, &mut s)
            }) / 2.0,
        ];
        print!("{name:<20}");
        for t in times {
            print!(" {:>8.1}", g.flops() / t * 1e-9);
        }
        println!();
    }
}

/// Shortest of many short timings, seconds per call: the machine may be shared.
fn time(mut f: impl FnMut()) -> f64 {
    f();
    let start = Instant::now();
    f();
    let once = start.elapsed().max(Duration::from_nanos(100));
    let repeats = (Duration::from_micros(300).as_secs_f64() / once.as_secs_f64()).ceil() as usize;
    let mut best = f64::INFINITY;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(80) {
        let start = Instant::now();
        for _ in 0..repeats {
            f();
        }
        best = best.min(start.elapsed().as_secs_f64() / repeats as f64);
    }
    best
}

const CHAINS: usize = 12;

struct Peak<T>(usize, T);

impl<T: Scalar> Job<T> for Peak<T> {
    type Output = T;

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, s: S) -> T {
        let factor = s.splat(self.1);
        let mut acc = [s.splat(T::ONE); CHAINS];
        for _ in 0..self.0 {
            for a in &mut acc {
                *a = s.mul_add(*a, factor, factor);
            }
        }
        let mut sum = s.zero();
        for a in acc {
            sum = s.add(sum, a);
        }
        let mut out = vec![T::ZERO; S::LANES];
        // SAFETY: `out` has LANES numbers.
        #[allow(unsafe_code)]
        unsafe {
            s.store(sum, &mut out, 0);
        }
        out[0]
    }
}

/// Rate of independent multiply-adds in registers.
fn peak<T: Scalar>(isa: Isa) -> f64 {
    const STEPS: usize = 100_000;
    let t = time(|| {
        black_box(T::dispatch(isa, Peak(STEPS, black_box(T::from_f64(0.5)))));
    });
    (2 * STEPS * CHAINS * <T as Element>::lanes(isa)) as f64 / t * 1e-9
}
