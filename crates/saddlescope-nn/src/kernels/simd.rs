//! Vector instructions behind one small trait, and the choice of the code path at run time.
//!
//! A kernel is a [`Job`] written once, generic over [`Simd`]. [`Element::dispatch`] runs it inside a function compiled
//! for the chosen [`Isa`]; every function on the way is `#[inline(always)]`, so the whole kernel is compiled with
//! those instructions. A value of a `Simd` type is proof that the processor has them, which makes the arithmetic safe
//! to call; only memory access without bounds checks is `unsafe`. It is checked by `debug_assert!` (on in tests), and
//! always checked on the portable path.

pub(crate) use super::number::Scalar;
use super::number::sealed;
pub use super::number::{Element, Isa, Job, Simd};

/// Plain arrays of `N` numbers with bounds-checked access.
#[derive(Clone, Copy)]
pub(crate) struct Portable<T, const N: usize>(std::marker::PhantomData<T>);

impl<T: Scalar, const N: usize> Portable<T, N> {
    pub(crate) fn only() -> Self {
        Portable(std::marker::PhantomData)
    }
}

impl<T, const N: usize> sealed::Vector for Portable<T, N> {}

impl<T: Scalar, const N: usize> Simd for Portable<T, N> {
    type T = T;
    type V = [T; N];
    type Tail = Portable<T, 1>;
    const LANES: usize = N;
    const REGISTERS: usize = 16;

    #[inline(always)]
    fn tail(self) -> Self::Tail {
        Portable(std::marker::PhantomData)
    }
    #[inline(always)]
    fn splat(self, x: T) -> [T; N] {
        [x; N]
    }
    #[inline(always)]
    unsafe fn load(self, x: &[T], at: usize) -> [T; N] {
        let mut v = [T::ZERO; N];
        v.copy_from_slice(&x[at..at + N]);
        v
    }
    #[inline(always)]
    unsafe fn store(self, v: [T; N], y: &mut [T], at: usize) {
        y[at..at + N].copy_from_slice(&v);
    }
    #[inline(always)]
    unsafe fn broadcast(self, x: &[T], at: usize) -> [T; N] {
        [x[at]; N]
    }
    #[inline(always)]
    unsafe fn from(self, x: &[T], at: usize) -> &[T] {
        &x[at..]
    }
    #[inline(always)]
    fn mul_add(self, a: [T; N], b: [T; N], c: [T; N]) -> [T; N] {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    fn add(self, a: [T; N], b: [T; N]) -> [T; N] {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    fn sub(self, a: [T; N], b: [T; N]) -> [T; N] {
        std::array::from_fn(|i| a[i] - b[i])
    }
    #[inline(always)]
    fn mul(self, a: [T; N], b: [T; N]) -> [T; N] {
        std::array::from_fn(|i| a[i] * b[i])
    }
    #[inline(always)]
    fn relu(self, a: [T; N]) -> [T; N] {
        std::array::from_fn(|i| if a[i] < T::ZERO { T::ZERO } else { a[i] })
    }
    #[inline(always)]
    fn where_positive(self, y: [T; N], v: [T; N]) -> [T; N] {
        std::array::from_fn(|i| if y[i] > T::ZERO { v[i] } else { T::ZERO })
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Simd;
    use super::sealed::Vector;
    use std::arch::x86_64::*;

    /// One number, fused multiplication and addition.
    #[derive(Clone, Copy)]
    pub(super) struct Fused1<T>(std::marker::PhantomData<T>);

    macro_rules! fused_tail {
        ($t:ident) => {
            impl Vector for Fused1<$t> {}

            impl Simd for Fused1<$t> {
                type T = $t;
                type V = $t;
                type Tail = Self;
                const LANES: usize = 1;
                const REGISTERS: usize = 16;

                #[inline(always)]
                fn tail(self) -> Self {
                    self
                }
                #[inline(always)]
                fn splat(self, x: $t) -> $t {
                    x
                }
                #[inline(always)]
                unsafe fn load(self, x: &[$t], at: usize) -> $t {
                    debug_assert!(at < x.len());
                    // SAFETY: the caller promises at < x.len().
                    unsafe { *x.get_unchecked(at) }
                }
                #[inline(always)]
                unsafe fn store(self, v: $t, y: &mut [$t], at: usize) {
                    debug_assert!(at < y.len());
                    // SAFETY: the caller promises at < y.len().
                    unsafe { *y.get_unchecked_mut(at) = v }
                }
                #[inline(always)]
                unsafe fn broadcast(self, x: &[$t], at: usize) -> $t {
                    // SAFETY: the caller promises at < x.len().
                    unsafe { self.load(x, at) }
                }
                #[inline(always)]
                fn mul_add(self, a: $t, b: $t, c: $t) -> $t {
                    a.mul_add(b, c)
                }
                #[inline(always)]
                fn add(self, a: $t, b: $t) -> $t {
                    a + b
                }
                #[inline(always)]
                fn sub(self, a: $t, b: $t) -> $t {
                    a - b
                }
                #[inline(always)]
                fn mul(self, a: $t, b: $t) -> $t {
                    a * b
                }
                #[inline(always)]
                fn relu(self, a: $t) -> $t {
                    if a < 0.0 { 0.0 } else { a }
                }
                #[inline(always)]
                fn where_positive(self, y: $t, v: $t) -> $t {
                    if y > 0.0 { v } else { 0.0 }
                }
            }
        };
    }
    fused_tail!(f32);
    fused_tail!(f64);

    macro_rules! x86_simd {
        ($(#[$doc:meta])* $name:ident, $t:ident, $v:ident, $lanes:expr, $registers:expr,
         $set1:ident, $loadu:ident, $storeu:ident, $fmadd:ident, $add:ident, $sub:ident, $mul:ident, $max:ident,
         |$y:ident, $x:ident| $select:expr $(, { $($more:tt)* })?) => {
            $(#[$doc])*
            #[derive(Clone, Copy)]
            pub(super) struct $name(());

            impl $name {
                /// # Safety
                /// The processor has the instructions.
                #[inline(always)]
                pub(super) unsafe fn new() -> Self {
                    $name(())
                }
            }

            impl Vector for $name {}

            impl Simd for $name {
                type T = $t;
                type V = $v;
                type Tail = Fused1<$t>;
                const LANES: usize = $lanes;
                const REGISTERS: usize = $registers;

                #[inline(always)]
                fn tail(self) -> Fused1<$t> {
                    Fused1(std::marker::PhantomData)
                }
                #[inline(always)]
                fn splat(self, x: $t) -> $v {
                    // SAFETY: `self` proves that the processor has the instruction.
                    unsafe { $set1(x) }
                }
                #[inline(always)]
                unsafe fn load(self, x: &[$t], at: usize) -> $v {
                    debug_assert!(at + $lanes <= x.len());
                    // SAFETY: the caller promises at + LANES <= x.len(); the load needs no alignment; `self` proves
                    // that the processor has the instruction.
                    unsafe { $loadu(x.as_ptr().add(at)) }
                }
                #[inline(always)]
                unsafe fn store(self, v: $v, y: &mut [$t], at: usize) {
                    debug_assert!(at + $lanes <= y.len());
                    // SAFETY: as for `load`.
                    unsafe { $storeu(y.as_mut_ptr().add(at), v) }
                }
                #[inline(always)]
                fn prefetch(self, x: &[$t], at: usize) {
                    // SAFETY: a request does not touch the memory, whatever its address; SSE is part of every x86-64.
                    unsafe { _mm_prefetch::<_MM_HINT_T0>(x.as_ptr().wrapping_add(at).cast()) };
                }
                #[inline(always)]
                fn prefetch_to_write(self, y: &[$t], at: usize) {
                    // SAFETY: as for `prefetch`; processors without this request take the instruction for none.
                    unsafe { _mm_prefetch::<_MM_HINT_ET0>(y.as_ptr().wrapping_add(at).cast()) };
                }
                #[inline(always)]
                unsafe fn broadcast(self, x: &[$t], at: usize) -> $v {
                    debug_assert!(at < x.len());
                    // SAFETY: the caller promises at < x.len(); `self` proves that the processor has the instruction.
                    unsafe { $set1(*x.get_unchecked(at)) }
                }
                #[inline(always)]
                fn mul_add(self, a: $v, b: $v, c: $v) -> $v {
                    // SAFETY: `self` proves that the processor has the instruction.
                    unsafe { $fmadd(a, b, c) }
                }
                #[inline(always)]
                fn add(self, a: $v, b: $v) -> $v {
                    // SAFETY: `self` proves that the processor has the instruction.
                    unsafe { $add(a, b) }
                }
                #[inline(always)]
                fn sub(self, a: $v, b: $v) -> $v {
                    // SAFETY: `self` proves that the processor has the instruction.
                    unsafe { $sub(a, b) }
                }
                #[inline(always)]
                fn mul(self, a: $v, b: $v) -> $v {
                    // SAFETY: `self` proves that the processor has the instruction.
                    unsafe { $mul(a, b) }
                }
                #[inline(always)]
                fn relu(self, a: $v) -> $v {
                    // The instruction returns its second operand if one is NaN.
                    // SAFETY: `self` proves that the processor has the instruction.
                    unsafe { $max($set1(0.0), a) }
                }
                #[inline(always)]
                fn where_positive(self, $y: $v, $x: $v) -> $v {
                    // SAFETY: `self` proves that the processor has the instructions.
                    unsafe { $select }
                }
                $($($more)*)?
            }
        };
    }

    x86_simd!(
        /// 8 × f32 with AVX2 and FMA.
        Avx2F32, f32, __m256, 8, 16,
        _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps, _mm256_add_ps, _mm256_sub_ps,
        _mm256_mul_ps, _mm256_max_ps,
        |y, x| _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(y, _mm256_set1_ps(0.0)), x)
    );
    x86_simd!(
        /// 4 × f64 with AVX2 and FMA.
        Avx2F64, f64, __m256d, 4, 16,
        _mm256_set1_pd, _mm256_loadu_pd, _mm256_storeu_pd, _mm256_fmadd_pd, _mm256_add_pd, _mm256_sub_pd,
        _mm256_mul_pd, _mm256_max_pd,
        |y, x| _mm256_and_pd(_mm256_cmp_pd::<_CMP_GT_OQ>(y, _mm256_set1_pd(0.0)), x)
    );
    x86_simd!(
        /// 16 × f32 with AVX-512F.
        Avx512F32, f32, __m512, 16, 32,
        _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps, _mm512_add_ps, _mm512_sub_ps,
        _mm512_mul_ps, _mm512_max_ps,
        |y, x| _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(y, _mm512_set1_ps(0.0)), x),
        {
            #[inline(always)]
            unsafe fn load_part(self, x: &[f32], at: usize, count: usize) -> __m512 {
                debug_assert!(count <= 16 && at + count <= x.len());
                // SAFETY: the caller promises at + count <= x.len(), and only these lanes are read; `self` proves that the
                // processor has the instruction.
                unsafe { _mm512_maskz_loadu_ps(u16::MAX.unbounded_shr(16 - count as u32), x.as_ptr().add(at)) }
            }
            #[inline(always)]
            unsafe fn store_part(self, v: __m512, y: &mut [f32], at: usize, count: usize) {
                debug_assert!(count <= 16 && at + count <= y.len());
                // SAFETY: as for `load_part`.
                unsafe { _mm512_mask_storeu_ps(y.as_mut_ptr().add(at), u16::MAX.unbounded_shr(16 - count as u32), v) };
            }
            #[inline(always)]
            unsafe fn transpose(self, from: &[f32], step: usize, to: &mut [f32], to_step: usize) {
                debug_assert!(15 * step + 16 <= from.len() && 15 * to_step + 16 <= to.len());
                // SAFETY: the caller promises both lengths; `self` proves that the processor has the instructions.
                unsafe {
                    let zero = _mm512_set1_ps(0.0);
                    let mut rows = [zero; 16];
                    for i in 0..16 {
                        rows[i] = _mm512_loadu_ps(from.as_ptr().add(i * step));
                    }
                    let mut pairs = [zero; 16];
                    for i in 0..8 {
                        pairs[2 * i] = _mm512_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
                        pairs[2 * i + 1] = _mm512_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
                    }
                    // Block b of fours[4q + c] holds column 4b + c of rows 4q to 4q + 3.
                    let mut fours = [zero; 16];
                    for q in 0..4 {
                        for h in 0..2 {
                            let a = _mm512_castps_pd(pairs[4 * q + h]);
                            let b = _mm512_castps_pd(pairs[4 * q + h + 2]);
                            fours[4 * q + 2 * h] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
                            fours[4 * q + 2 * h + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
                        }
                    }
                    for c in 0..4 {
                        let (a, b, d, e) = (fours[c], fours[4 + c], fours[8 + c], fours[12 + c]);
                        let even = [_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0x88>(d, e)];
                        let odd = [_mm512_shuffle_f32x4::<0xdd>(a, b), _mm512_shuffle_f32x4::<0xdd>(d, e)];
                        let out = [
                            _mm512_shuffle_f32x4::<0x88>(even[0], even[1]),
                            _mm512_shuffle_f32x4::<0x88>(odd[0], odd[1]),
                            _mm512_shuffle_f32x4::<0xdd>(even[0], even[1]),
                            _mm512_shuffle_f32x4::<0xdd>(odd[0], odd[1]),
                        ];
                        for b in 0..4 {
                            _mm512_storeu_ps(to.as_mut_ptr().add((4 * b + c) * to_step), out[b]);
                        }
                    }
                }
            }
        }
    );
    x86_simd!(
        /// 8 × f64 with AVX-512F.
        Avx512F64, f64, __m512d, 8, 32,
        _mm512_set1_pd, _mm512_loadu_pd, _mm512_storeu_pd, _mm512_fmadd_pd, _mm512_add_pd, _mm512_sub_pd,
        _mm512_mul_pd, _mm512_max_pd,
        |y, x| _mm512_maskz_mov_pd(_mm512_cmp_pd_mask::<_CMP_GT_OQ>(y, _mm512_set1_pd(0.0)), x),
        {
            #[inline(always)]
            unsafe fn load_part(self, x: &[f64], at: usize, count: usize) -> __m512d {
                debug_assert!(count <= 8 && at + count <= x.len());
                // SAFETY: the caller promises at + count <= x.len(), and only these lanes are read; `self` proves that the
                // processor has the instruction.
                unsafe { _mm512_maskz_loadu_pd(u8::MAX.unbounded_shr(8 - count as u32), x.as_ptr().add(at)) }
            }
            #[inline(always)]
            unsafe fn store_part(self, v: __m512d, y: &mut [f64], at: usize, count: usize) {
                debug_assert!(count <= 8 && at + count <= y.len());
                // SAFETY: as for `load_part`.
                unsafe { _mm512_mask_storeu_pd(y.as_mut_ptr().add(at), u8::MAX.unbounded_shr(8 - count as u32), v) };
            }
        }
    );
}

macro_rules! element {
    ($t:ident, $portable:expr, $avx2:ident, $avx512:ident $(, { $($more:tt)* })?) => {
        impl Element for $t {
            fn dispatch<J: Job<Self>>(isa: Isa, job: J) -> J::Output {
                #[cfg(target_arch = "x86_64")]
                {
                    #[target_feature(enable = "avx2,fma")]
                    fn avx2<J: Job<$t>>(job: J) -> J::Output {
                        // SAFETY: this function runs only where its target features exist.
                        job.run(unsafe { x86::$avx2::new() })
                    }
                    #[target_feature(enable = "avx512f,avx2,fma")]
                    fn avx512<J: Job<$t>>(job: J) -> J::Output {
                        // SAFETY: this function runs only where its target features exist.
                        job.run(unsafe { x86::$avx512::new() })
                    }
                    let isa = isa.min(Isa::detect());
                    if isa >= Isa::Avx512 {
                        // SAFETY: `detect` found avx512f, avx2 and fma.
                        return unsafe { avx512(job) };
                    }
                    if isa == Isa::Avx2 {
                        // SAFETY: `detect` found avx2 and fma.
                        return unsafe { avx2(job) };
                    }
                }
                let _ = isa;
                job.run(Portable::<$t, $portable>::only())
            }

            fn lanes(isa: Isa) -> usize {
                #[cfg(target_arch = "x86_64")]
                match isa.min(Isa::detect()) {
                    Isa::Avx512 | Isa::Amx => return <x86::$avx512 as Simd>::LANES,
                    Isa::Avx2 => return <x86::$avx2 as Simd>::LANES,
                    Isa::Portable => {}
                }
                let _ = isa;
                $portable
            }
            $($($more)*)?
        }
    };
}
element!(f32, 4, Avx2F32, Avx512F32, {
    fn as_f32(x: &[f32]) -> Option<&[f32]> {
        Some(x)
    }
    fn as_f32_mut(x: &mut [f32]) -> Option<&mut [f32]> {
        Some(x)
    }
});
element!(f64, 2, Avx2F64, Avx512F64);
