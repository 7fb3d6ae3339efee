//! Plain loops compiled for vector instructions.
//!
//! [`vectorised`] makes a function whose body is compiled once for every [`Isa`](super::Isa), as a [`Job`](super::simd::Job)
//! is; loops in it become vector loops where the compiler can show that this changes no bit. What the body calls must be
//! `#[inline(always)]` (or a closure small enough to be inlined anyway); otherwise it is compiled for the base instructions.

/// A function whose body is compiled for every instruction set, chosen by its first argument:
/// `vectorised! { /// doc  fn name['a, T, G: Bound; CONST](argument: Type, …) { body } }`. References in the types carry `'a`.
macro_rules! vectorised {
    ($(#[$meta:meta])* $vis:vis fn $name:ident[$a:lifetime, $t:ident $(, $g:ident: $bound:path)* $(; $($c:ident),+)?](
        $($arg:ident: $ty:ty),* $(,)?
    ) $body:block) => {
        $(#[$meta])*
        $vis fn $name<$a, $t: $crate::scalar::Scalar, $($g: $bound,)* $($(const $c: usize),+)?>(
            isa: $crate::kernels::Isa, $($arg: $ty),*
        ) {
            struct Call<$a, $t, $($g,)* $($(const $c: usize),+)?> {
                $($arg: $ty,)*
                marker: std::marker::PhantomData<(&$a $t, $(&$a $g),*)>,
            }

            impl<$a, $t: $crate::scalar::Scalar, $($g: $bound,)* $($(const $c: usize),+)?> $crate::kernels::simd::Job<$t>
                for Call<$a, $t, $($g,)* $($($c),+)?>
            {
                type Output = ();

                #[inline(always)]
                fn run<S: $crate::kernels::simd::Simd<T = $t>>(self, _: S) {
                    let Call { $($arg,)* marker: _ } = self;
                    $body
                }
            }

            <$t as $crate::kernels::simd::Element>::dispatch(
                isa,
                Call::<$t, $($g,)* $($($c),+)?> { $($arg,)* marker: std::marker::PhantomData },
            );
        }
    };
}
pub(crate) use vectorised;

/// Numbers of a partial sum: one 512-bit vector of f32.
pub(crate) const LANES: usize = 16;

/// Σ f(x₀ᵢ, x₁ᵢ, …) over `N` slices of one length, in [`LANES`] interleaved partial sums.
#[inline(always)]
pub(crate) fn sum<T: crate::scalar::Scalar, const N: usize>(x: [&[T]; N], f: impl Fn([T; N]) -> T) -> T {
    let n = x[0].len();
    let x = x.map(|x| &x[..n]);
    let mut lanes = [T::ZERO; LANES];
    let chunks = x.map(|x| x.as_chunks::<LANES>().0);
    for i in 0..n / LANES {
        for l in 0..LANES {
            let mut at = [T::ZERO; N];
            for j in 0..N {
                at[j] = chunks[j][i][l];
            }
            lanes[l] += f(at);
        }
    }
    for (l, i) in (n - n % LANES..n).enumerate() {
        let mut at = [T::ZERO; N];
        for j in 0..N {
            at[j] = x[j][i];
        }
        lanes[l] += f(at);
    }
    fold(lanes, |a, b| a + b)
}

/// The largest number of a slice, −∞ if there is none; NaN if there is one.
#[inline(always)]
pub(crate) fn largest<T: crate::scalar::Scalar>(x: &[T]) -> T {
    let (chunks, rest) = x.as_chunks::<LANES>();
    let mut lanes = [T::from_f64(f64::NEG_INFINITY); LANES];
    for chunk in chunks {
        for l in 0..LANES {
            lanes[l] = lanes[l].max(chunk[l]);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane = lane.max(x);
    }
    fold(lanes, T::max)
}

/// Combines the lanes in a fixed tree.
#[inline(always)]
fn fold<T: Copy>(mut lanes: [T; LANES], f: impl Fn(T, T) -> T) -> T {
    let mut half = LANES / 2;
    while half > 0 {
        for l in 0..half {
            lanes[l] = f(lanes[l], lanes[l + half]);
        }
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Isa;

    vectorised! {
        fn products['a, T; N](x: &'a [T], y: &'a mut [T], count: &'a mut usize) {
            for (y, &x) in y.iter_mut().zip(x) {
                *y += x * x;
            }
            *count += N;
        }
    }

    #[test]
    fn every_path_runs_the_body() {
        let x: Vec<f64> = (0..100).map(f64::from).collect();
        let (mut y, mut count) = (vec![1.0; 100], 0);
        for &isa in Isa::available() {
            products::<f64, 3>(isa, &x, &mut y, &mut count);
        }
        let paths = Isa::available().len();
        assert_eq!(count, 3 * paths);
        assert!(y.iter().zip(&x).all(|(y, x)| *y == 1.0 + paths as f64 * x * x));
    }

    #[test]
    fn sums_and_largest_are_exact_on_integers() {
        for n in [0_usize, 1, 15, 16, 17, 100] {
            let x: Vec<f64> = (0..n).map(|i| i as f64).collect();
            assert_eq!(sum([&x, &x], |[a, b]| a + b), (n * n.saturating_sub(1)) as f64);
            let expected = x.last().copied().unwrap_or(f64::NEG_INFINITY);
            assert_eq!(largest(&x), expected);
        }
        for i in 0..20 {
            let mut x = [1.0_f32; 20];
            x[i] = f32::NAN;
            assert!(largest(&x).is_nan());
        }
    }
}
