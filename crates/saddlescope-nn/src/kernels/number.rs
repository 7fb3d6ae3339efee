//! What kernels are generic over: a number type ([`Scalar`]) and the vector instructions on it ([`Simd`]).

use std::fmt::{Debug, Display};
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

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
}

impl Isa {
    /// The fastest path this processor supports.
    #[must_use]
    pub fn detect() -> Isa {
        Isa::available().last().copied().unwrap_or(Isa::Portable)
    }

    /// All paths this processor supports, slowest first.
    #[must_use]
    pub fn available() -> &'static [Isa] {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            if is_x86_feature_detected!("avx512f") {
                return &[Isa::Portable, Isa::Avx2, Isa::Avx512];
            }
            return &[Isa::Portable, Isa::Avx2];
        }
        &[Isa::Portable]
    }
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
    /// Asks for the cache line of `x[at]`, without waiting for it.
    ///
    /// # Safety
    /// `at < x.len()`.
    #[inline(always)]
    unsafe fn prefetch(self, _x: &[Self::T], _at: usize) {}
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
