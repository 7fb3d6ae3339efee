//! What kernels are generic over: a number type ([`Scalar`]) and the vector instructions on it ([`Simd`]).

use std::fmt::{Debug, Display};
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};
use std::sync::OnceLock;

use crate::dtype::Dtype;

/// What keeps [`Scalar`] and [`Simd`] to the implementations of this crate: the `unsafe` code of the kernels relies on them.
pub(super) mod sealed {
    /// `f32` and `f64`.
    pub trait Number {}
    impl Number for f32 {}
    impl Number for f64 {}
    /// The vector types of [`simd`](crate::kernels::simd).
    pub trait Vector {}
}

/// A real number: `f32` or `f64`; nothing else can implement it.
///
/// Methods mean what they mean on `f64`. `PartialOrd` follows IEEE 754, so every comparison with NaN is false;
/// [`Scalar::max`] and [`Scalar::min`] propagate NaN, because a NaN in a loss must be seen.
pub trait Scalar:
    Copy
    + Send
    + Sync
    + 'static
    + Debug
    + Display
    + Default
    + PartialEq
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + Sum
    + Element
    + sealed::Number
{
    /// The number 0.
    const ZERO: Self;
    /// The number 1.
    const ONE: Self;
    /// Distance from 1 to the next larger number.
    const EPSILON: Self;
    /// Which of the two types this is.
    const DTYPE: Dtype;

    /// Nearest number of this type.
    fn from_f64(x: f64) -> Self;
    /// The same number in double precision (exact).
    fn to_f64(self) -> f64;
    /// Square root; NaN below zero.
    fn sqrt(self) -> Self;
    /// Exponential.
    fn exp(self) -> Self;
    /// exp(x) − 1, accurate near 0.
    fn exp_m1(self) -> Self;
    /// Natural logarithm; NaN below zero.
    fn ln(self) -> Self;
    /// ln(1 + x), accurate near 0.
    fn ln_1p(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
    /// Sine.
    fn sin(self) -> Self;
    /// Cosine.
    fn cos(self) -> Self;
    /// Error function (2/√π) ∫₀ˣ exp(−t²) dt.
    fn erf(self) -> Self;
    /// Power with a real exponent.
    fn powf(self, exponent: Self) -> Self;
    /// Power with an integer exponent.
    fn powi(self, exponent: i32) -> Self;
    /// Absolute value.
    fn abs(self) -> Self;
    /// Larger of two numbers; NaN if either is NaN.
    fn max(self, other: Self) -> Self;
    /// Smaller of two numbers; NaN if either is NaN.
    fn min(self, other: Self) -> Self;
    /// Neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// Not a number.
    fn is_nan(self) -> bool;
}

/// Code path: the set of vector instructions a kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// Plain Rust with bounds checks; the compiler vectorises it for the base instruction set.
    Portable,
    /// x86-64 with AVX2 and FMA: 256-bit vectors, 16 registers.
    Avx2,
    /// x86-64 with AVX-512F: 512-bit vectors, 32 registers.
    Avx512,
    /// AVX-512F, and the matrix instructions on 16-bit numbers (AMX) for matrix products in `f32`, without loss of accuracy. Only used
    /// where it is asked for: on shared machines the processor often runs these instructions at a quarter of their speed.
    Amx,
}

impl Isa {
    /// The path that is used: the one that the environment variable `SADDLESCOPE_ISA` asks for, or else the fastest one with
    /// vectors alone. The variable is read once; a value that [`Isa::requested`] refuses counts as none.
    #[must_use]
    pub fn detect() -> Isa {
        static CHOSEN: OnceLock<Isa> = OnceLock::new();
        *CHOSEN.get_or_init(|| Isa::requested().ok().flatten().unwrap_or_else(Isa::fastest_vectors))
    }

    fn fastest_vectors() -> Isa {
        Isa::available().iter().rfind(|isa| **isa <= Isa::Avx512).copied().unwrap_or(Isa::Portable)
    }

    /// The path that the environment variable `SADDLESCOPE_ISA` asks for, by its [name](Isa::name); none if it is not set or empty.
    ///
    /// # Errors
    /// If the variable names no path, or one that this processor (or the system, for AMX) lacks.
    pub fn requested() -> Result<Option<Isa>, String> {
        Isa::named(&std::env::var("SADDLESCOPE_ISA").unwrap_or_default())
    }

    /// As [`Isa::requested`], for a value of the variable.
    fn named(wanted: &str) -> Result<Option<Isa>, String> {
        let wanted = wanted.trim();
        if wanted.is_empty() {
            return Ok(None);
        }
        let found = Isa::available().iter().find(|isa| isa.name() == wanted);
        found.copied().map(Some).ok_or_else(|| {
            let known: Vec<&str> = Isa::available().iter().map(|isa| isa.name()).collect();
            format!("SADDLESCOPE_ISA is {wanted:?}; this machine has {}", known.join(", "))
        })
    }

    /// All paths this processor supports, slowest first.
    #[must_use]
    pub fn available() -> &'static [Isa] {
        static COUNT: OnceLock<usize> = OnceLock::new();
        &ALL[..*COUNT.get_or_init(supported)]
    }

    /// The name that `SADDLESCOPE_ISA` knows it by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Amx => "amx",
        }
    }
}

/// All paths, slowest first.
const ALL: [Isa; 4] = [Isa::Portable, Isa::Avx2, Isa::Avx512, Isa::Amx];

/// How many of [`ALL`] this processor supports.
fn supported() -> usize {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        return match is_x86_feature_detected!("avx512f") {
            false => 2,
            true if super::tile_permission::granted() => 4,
            true => 3,
        };
    }
    1
}

/// A kernel with its arguments, generic over the vector instructions.
pub trait Job<T> {
    /// What the kernel returns.
    type Output;
    /// Runs the kernel; implementations are `#[inline(always)]`.
    fn run<S: Simd<T = T>>(self, s: S) -> Self::Output;
}

/// A number type that kernels exist for.
pub trait Element: Sized + sealed::Number {
    /// Runs a kernel on the given path, or on the portable one if this processor lacks it.
    fn dispatch<J: Job<Self>>(isa: Isa, job: J) -> J::Output;
    /// Numbers per vector on a path.
    fn lanes(isa: Isa) -> usize;
    /// The same numbers, if they are `f32`.
    fn as_f32(_x: &[Self]) -> Option<&[f32]> {
        None
    }
    /// The same numbers, if they are `f32`.
    fn as_f32_mut(_x: &mut [Self]) -> Option<&mut [f32]> {
        None
    }
}

/// Vector instructions on vectors of `LANES` numbers; a value is proof that the processor has them.
pub trait Simd: Copy + sealed::Vector {
    /// Number type.
    type T: Scalar;
    /// Vector type.
    type V: Copy;
    /// One-number vectors with the same rounding, for remainders.
    type Tail: Simd<T = Self::T>;
    /// Numbers per vector.
    const LANES: usize;
    /// Vector registers of the instruction set; decides the size of register tiles.
    const REGISTERS: usize;

    /// The one-number version.
    fn tail(self) -> Self::Tail;
    /// All lanes equal to `x`.
    fn splat(self, x: Self::T) -> Self::V;
    /// Loads `x[at..at + LANES]`.
    ///
    /// # Safety
    /// `at + LANES <= x.len()`.
    unsafe fn load(self, x: &[Self::T], at: usize) -> Self::V;
    /// Stores to `y[at..at + LANES]`.
    ///
    /// # Safety
    /// `at + LANES <= y.len()`.
    unsafe fn store(self, v: Self::V, y: &mut [Self::T], at: usize);
    /// Asks for the cache line of `x[at]`, without waiting for it; `at` may lie beyond the end, where nothing happens.
    #[inline(always)]
    fn prefetch(self, _x: &[Self::T], _at: usize) {}
    /// The same for a line that will be written.
    #[inline(always)]
    fn prefetch_to_write(self, _y: &[Self::T], _at: usize) {}
    /// All lanes equal to `x[at]`.
    ///
    /// # Safety
    /// `at < x.len()`.
    unsafe fn broadcast(self, x: &[Self::T], at: usize) -> Self::V;
    /// The slice `x[at..]`.
    ///
    /// # Safety
    /// `at <= x.len()`.
    #[inline(always)]
    unsafe fn from(self, x: &[Self::T], at: usize) -> &[Self::T] {
        debug_assert!(at <= x.len());
        // SAFETY: the caller promises at <= x.len().
        unsafe { x.get_unchecked(at..) }
    }
    /// `a·b + c`, fused where the path has fused instructions.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a − b`.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a·b`.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// max(a, 0) that hands NaN on.
    fn relu(self, a: Self::V) -> Self::V;
    /// `v` in lanes where `y > 0`, else 0.
    fn where_positive(self, y: Self::V, v: Self::V) -> Self::V;

    /// Transposes a square: `to[j * to_step + i] = from[i * step + j]` for i, j < LANES.
    ///
    /// # Safety
    /// `(LANES − 1) · step + LANES <= from.len()`, and the same of `to`.
    #[inline(always)]
    unsafe fn transpose(self, from: &[Self::T], step: usize, to: &mut [Self::T], to_step: usize) {
        for i in 0..Self::LANES {
            for j in 0..Self::LANES {
                to[j * to_step + i] = from[i * step + j];
            }
        }
    }

    /// All lanes 0.
    #[inline(always)]
    fn zero(self) -> Self::V {
        self.splat(Self::T::ZERO)
    }
    /// Loads `x[at..at + count]`, other lanes 0.
    ///
    /// # Safety
    /// `count <= LANES` and `at + count <= x.len()`.
    #[inline(always)]
    unsafe fn load_part(self, x: &[Self::T], at: usize, count: usize) -> Self::V {
        let mut buffer = [Self::T::ZERO; MAX_LANES];
        buffer[..count].copy_from_slice(&x[at..at + count]);
        // SAFETY: LANES <= MAX_LANES for every implementation.
        unsafe { self.load(&buffer, 0) }
    }
    /// Stores the first `count` lanes to `y[at..at + count]`.
    ///
    /// # Safety
    /// `count <= LANES` and `at + count <= y.len()`.
    #[inline(always)]
    unsafe fn store_part(self, v: Self::V, y: &mut [Self::T], at: usize, count: usize) {
        let mut buffer = [Self::T::ZERO; MAX_LANES];
        // SAFETY: LANES <= MAX_LANES for every implementation.
        unsafe { self.store(v, &mut buffer, 0) };
        y[at..at + count].copy_from_slice(&buffer[..count]);
    }
}

/// Largest number of lanes of any path.
pub(crate) const MAX_LANES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_named_or_refused() {
        assert_eq!(Isa::named(""), Ok(None));
        for isa in Isa::available() {
            assert_eq!(Isa::named(isa.name()), Ok(Some(*isa)));
        }
        let error = Isa::named("sse9").unwrap_err();
        assert!(error.contains("\"sse9\"") && error.contains("portable"), "{error}");
    }
}
