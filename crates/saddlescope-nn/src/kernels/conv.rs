//! The passes of a convolution: forward, input adjoint, filter adjoint, each also as a sum of two terms.

use super::filter::{Filter, Packed};
use super::geometry::ConvGeometry;
use super::method::Method;
use super::plan::Correlation;
use super::scratch::Scratch;
use super::simd::Isa;
use super::{correlate, depthwise, filter_gradient, winograd};
use crate::scalar::Scalar;

/// y (+)= x ∗ W. Shapes: x \[n, h, w, c_in\], y \[n, ho, wo, c_out\].
///
/// # Panics
/// If a slice does not have the length of its shape; shapes are checked by the caller.
pub fn forward<T: Scalar>(
    g: &ConvGeometry,
    x: &[T],
    w: &Filter<T>,
    y: &mut [T],
    accumulate: bool,
    scratch: &mut Scratch<T>,
) {
    run_forward(g, &[(x, w)], y, accumulate, scratch);
}

/// y (+)= x₁ ∗ W₁ + x₂ ∗ W₂ in one pass: the tangent ẋ ∗ W + x ∗ Ẇ.
///
/// # Panics
/// As [`forward`].
pub fn forward_pair<T: Scalar>(
    g: &ConvGeometry,
    x1: &[T],
    w1: &Filter<T>,
    x2: &[T],
    w2: &Filter<T>,
    y: &mut [T],
    accumulate: bool,
    scratch: &mut Scratch<T>,
) {
    run_forward(g, &[(x1, w1), (x2, w2)], y, accumulate, scratch);
}

/// gx (+)= Wᵀ gy: the adjoint of [`forward`] in x. Shapes: gy \[n, ho, wo, c_out\], gx \[n, h, w, c_in\].
///
/// # Panics
/// As [`forward`].
pub fn input_adjoint<T: Scalar>(
    g: &ConvGeometry,
    gy: &[T],
    w: &Filter<T>,
    gx: &mut [T],
    accumulate: bool,
    scratch: &mut Scratch<T>,
) {
    run_input_adjoint(g, &[(gy, w)], gx, accumulate, scratch);
}

/// gx (+)= W₁ᵀ gy₁ + W₂ᵀ gy₂ in one pass.
///
/// # Panics
/// As [`forward`].
pub fn input_adjoint_pair<T: Scalar>(
    g: &ConvGeometry,
    gy1: &[T],
    w1: &Filter<T>,
    gy2: &[T],
    w2: &Filter<T>,
    gx: &mut [T],
    accumulate: bool,
    scratch: &mut Scratch<T>,
) {
    run_input_adjoint(g, &[(gy1, w1), (gy2, w2)], gx, accumulate, scratch);
}

/// gw (+)= x ⋆ gy: the adjoint of [`forward`] in W, summed over images. Shape of gw: \[kh, kw, c_in/groups, c_out\].
///
/// # Panics
/// As [`forward`].
pub(crate) fn filter_adjoint<T: Scalar>(
    g: &ConvGeometry,
    x: &[T],
    gy: &[T],
    gw: &mut [T],
    accumulate: bool,
    scratch: &mut Scratch<T>,
) {
    filter_adjoint_on(Isa::detect(), None, g, &[(x, gy)], gw, accumulate, scratch);
}

/// gw (+)= x₁ ⋆ gy₁ + x₂ ⋆ gy₂ in one pass.
///
/// # Panics
/// As [`forward`].
pub(crate) fn filter_adjoint_pair<T: Scalar>(
    g: &ConvGeometry,
    x1: &[T],
    gy1: &[T],
    x2: &[T],
    gy2: &[T],
    gw: &mut [T],
    accumulate: bool,
    scratch: &mut Scratch<T>,
) {
    filter_adjoint_on(Isa::detect(), None, g, &[(x1, gy1), (x2, gy2)], gw, accumulate, scratch);
}

fn run_forward<T: Scalar>(
    g: &ConvGeometry,
    terms: &[(&[T], &Filter<T>)],
    y: &mut [T],
    accumulate: bool,
    scratch: &mut Scratch<T>,
) {
    assert_eq!(y.len(), g.output_len(), "output length");
    assert!(terms.iter().all(|(x, _)| x.len() == g.input_len()), "input length");
    run_correlation(g, &g.forward, terms, |filter| &filter.forward, y, accumulate, scratch);
}

fn run_input_adjoint<T: Scalar>(
    g: &ConvGeometry,
    terms: &[(&[T], &Filter<T>)],
    gx: &mut [T],
    accumulate: bool,
    scratch: &mut Scratch<T>,
) {
    assert_eq!(gx.len(), g.input_len(), "input length");
    assert!(terms.iter().all(|(gy, _)| gy.len() == g.output_len()), "output length");
    run_correlation(g, &g.adjoint, terms, |filter| &filter.adjoint, gx, accumulate, scratch);
}

/// A pass with one or two terms, by the algorithm the filters were packed for.
fn run_correlation<T: Scalar>(
    g: &ConvGeometry,
    pass: &Correlation,
    terms: &[(&[T], &Filter<T>)],
    packed: impl Fn(&Filter<T>) -> &Packed<T>,
    out: &mut [T],
    accumulate: bool,
    scratch: &mut Scratch<T>,
) {
    let isa = terms[0].1.isa;
    assert!(terms.iter().all(|(_, w)| w.isa == isa), "filters of a pair are packed for different code paths");
    let ends = [terms[0], terms[terms.len() - 1]];
    match ends.map(|(_, filter)| packed(filter)) {
        [Packed::Winograd(w1), Packed::Winograd(w2)] => {
            let sources = [(ends[0].0, w1), (ends[1].0, w2)];
            winograd::correlate(pass, g.n(), &sources[..terms.len()], out, accumulate, isa, scratch);
        }
        [Packed::Direct(w1), Packed::Direct(w2)] => {
            let sources = &[(ends[0].0, w1), (ends[1].0, w2)][..terms.len()];
            if g.is_depthwise() {
                depthwise::correlate(pass, g.n(), sources, out, accumulate, isa, scratch);
            } else {
                correlate::correlate(pass, g.groups, g.n(), sources, out, accumulate, isa, scratch);
            }
        }
        _ => panic!("filters of a pair are packed for different algorithms"),
    }
}

/// Both filter adjoints on a given code path, for tests and benchmarks.
pub fn filter_adjoint_on<T: Scalar>(
    isa: Isa,
    method: Option<Method>,
    g: &ConvGeometry,
    pairs: &[(&[T], &[T])],
    gw: &mut [T],
    accumulate: bool,
    scratch: &mut Scratch<T>,
) {
    assert_eq!(gw.len(), g.filter_len(), "filter length");
    for (x, gy) in pairs {
        assert_eq!(x.len(), g.input_len(), "input length");
        assert_eq!(gy.len(), g.output_len(), "output length");
    }
    if !accumulate {
        gw.fill(T::ZERO);
    }
    if g.is_depthwise() {
        for (x, gy) in pairs {
            depthwise::filter_adjoint(&g.forward, g.n(), x, gy, gw, isa, scratch);
        }
        return;
    }
    match winograd::choose_gradient(&g.forward, method, g.n(), T::lanes(isa), size_of::<T>()).tile() {
        Some(size) => winograd::filter_gradient(&g.forward, size, g.n(), pairs, gw, isa, scratch),
        None => filter_gradient::filter_gradient(&g.forward, g.groups, g.n(), pairs, gw, isa, scratch),
    }
}
