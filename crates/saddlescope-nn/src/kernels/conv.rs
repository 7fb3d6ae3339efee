//! The passes of a convolution: forward, input adjoint, filter adjoint, each also as a sum of two terms.

use super::filter::Filter;
use super::geometry::ConvGeometry;
use super::scratch::Scratch;
use super::simd::Isa;
use super::{correlate, depthwise, filter_gradient};
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
pub fn filter_adjoint<T: Scalar>(
    g: &ConvGeometry,
    x: &[T],
    gy: &[T],
    gw: &mut [T],
    accumulate: bool,
    scratch: &mut Scratch<T>,
) {
    filter_adjoint_on(Isa::detect(), g, &[(x, gy)], gw, accumulate, scratch);
}

/// gw (+)= x₁ ⋆ gy₁ + x₂ ⋆ gy₂ in one pass.
///
/// # Panics
/// As [`forward`].
pub fn filter_adjoint_pair<T: Scalar>(
    g: &ConvGeometry,
    x1: &[T],
    gy1: &[T],
    x2: &[T],
    gy2: &[T],
    gw: &mut [T],
    accumulate: bool,
    scratch: &mut Scratch<T>,
) {
    filter_adjoint_on(Isa::detect(), g, &[(x1, gy1), (x2, gy2)], gw, accumulate, scratch);
}

fn run_forward<T: Scalar>(
    g: &ConvGeometry,
    terms: &[(&[T], &Filter<T>)],
    y: &mut [T],
    accumulate: bool,
    scratch: &mut Scratch<T>,
) {
    assert_eq!(y.len(), g.output_len(), "output length");
    let isa = common_path(terms);
    let sources: [_; 2] = [0, terms.len() - 1].map(|i| {
        assert_eq!(terms[i].0.len(), g.input_len(), "input length");
        (terms[i].0, &terms[i].1.forward)
    });
    let sources = &sources[..terms.len()];
    if g.is_depthwise() {
        depthwise::correlate(&g.forward, g.n(), sources, y, accumulate, isa, scratch);
    } else {
        correlate::correlate(&g.forward, g.groups, g.n(), sources, y, accumulate, isa, scratch);
    }
}

fn run_input_adjoint<T: Scalar>(
    g: &ConvGeometry,
    terms: &[(&[T], &Filter<T>)],
    gx: &mut [T],
    accumulate: bool,
    scratch: &mut Scratch<T>,
) {
    assert_eq!(gx.len(), g.input_len(), "input length");
    let isa = common_path(terms);
    let sources: [_; 2] = [0, terms.len() - 1].map(|i| {
        assert_eq!(terms[i].0.len(), g.output_len(), "output length");
        (terms[i].0, &terms[i].1.adjoint)
    });
    let sources = &sources[..terms.len()];
    if g.is_depthwise() {
        depthwise::correlate(&g.adjoint, g.n(), sources, gx, accumulate, isa, scratch);
    } else {
        correlate::correlate(&g.adjoint, g.groups, g.n(), sources, gx, accumulate, isa, scratch);
    }
}

/// Both filter adjoints on a given code path, for tests and benchmarks.
#[doc(hidden)]
pub fn filter_adjoint_on<T: Scalar>(
    isa: Isa,
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
    } else {
        filter_gradient::filter_gradient(&g.forward, g.groups, g.n(), pairs, gw, isa, scratch);
    }
}

/// The code path both filters were packed for.
fn common_path<T>(terms: &[(&[T], &Filter<T>)]) -> Isa {
    let isa = terms[0].1.isa;
    assert!(terms.iter().all(|(_, w)| w.isa == isa), "filters of a pair packed for different code paths");
    isa
}
