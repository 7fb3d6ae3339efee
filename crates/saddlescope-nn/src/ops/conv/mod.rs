//! Convolution and transposed convolution on the kernels of [`crate::kernels`].
//!
//! Both are bilinear in the image and the filter, and each is the other's adjoint in the image; they share their
//! passes.

mod conv2d;
mod conv_transpose2d;

pub use conv_transpose2d::ConvTranspose2d;
pub use conv2d::Conv2d;

use std::borrow::Cow;
use std::sync::Arc;

use super::rows;
use crate::kernels::{self, ConvGeometry, ConvShape, Filter};
use crate::op::{Context, Packed, ShapeError, Slots};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// Positions of the inputs.
const X: usize = 0;
const FILTER: usize = 1;
const BIAS: usize = 2;

/// A convolution's geometry, and whether its input adjoint is meant.
struct Passes {
    geometry: Arc<ConvGeometry>,
    transposed: bool,
}

type Image<'a, T> = &'a [T];

impl Passes {
    /// The passes of a convolution of this shape, or of its adjoint in the image (`transposed`).
    fn new<T: Scalar>(
        shape: Result<ConvShape, ShapeError>,
        transposed: bool,
        scratch: &mut Scratch<T>,
    ) -> Self {
        match shape.ok().and_then(|shape| scratch.geometry(shape).ok()) {
            Some(geometry) => Self { geometry, transposed },
            None => unreachable!("infer refuses these shapes"),
        }
    }

    /// y (+)= x₁ W₁ (+ x₂ W₂).
    fn product<T: Scalar>(
        &self,
        (x, w): (Image<'_, T>, &Filter<T>),
        second: Option<(Image<'_, T>, &Filter<T>)>,
        y: &mut [T],
        accumulate: bool,
        scratch: &mut Scratch<T>,
    ) {
        let (g, scratch) = (&self.geometry, &mut scratch.kernels);
        match (self.transposed, second) {
            (false, None) => kernels::forward(g, x, w, y, accumulate, scratch),
            (false, Some((x2, w2))) => kernels::forward_pair(g, x, w, x2, w2, y, accumulate, scratch),
            (true, None) => kernels::input_adjoint(g, x, w, y, accumulate, scratch),
            (true, Some((x2, w2))) => kernels::input_adjoint_pair(g, x, w, x2, w2, y, accumulate, scratch),
        }
    }

    /// x̄ (+)= W₁ᵀ ȳ₁ (+ W₂ᵀ ȳ₂).
    fn input_adjoint<T: Scalar>(
        &self,
        first: (Image<'_, T>, &Filter<T>),
        second: Option<(Image<'_, T>, &Filter<T>)>,
        gx: &mut [T],
        accumulate: bool,
        scratch: &mut Scratch<T>,
    ) {
        let other = Passes { geometry: self.geometry.clone(), transposed: !self.transposed };
        other.product(first, second, gx, accumulate, scratch);
    }

    /// W̄ (+)= the adjoint in W for (x₁, ȳ₁) (and (x₂, ȳ₂)).
    fn filter_adjoint<T: Scalar>(
        &self,
        (x, gy): (Image<'_, T>, Image<'_, T>),
        second: Option<(Image<'_, T>, Image<'_, T>)>,
        gw: &mut [T],
        accumulate: bool,
        scratch: &mut Scratch<T>,
    ) {
        let (g, scratch) = (&self.geometry, &mut scratch.kernels);
        match (self.transposed, second) {
            (false, None) => kernels::filter_adjoint(g, x, gy, gw, accumulate, scratch),
            (false, Some((x2, gy2))) => {
                kernels::filter_adjoint_pair(g, x, gy, x2, gy2, gw, accumulate, scratch);
            }
            (true, None) => kernels::filter_adjoint(g, gy, x, gw, accumulate, scratch),
            (true, Some((x2, gy2))) => {
                kernels::filter_adjoint_pair(g, gy, x, gy2, x2, gw, accumulate, scratch);
            }
        }
    }

    /// The packed filter: the one prepared for this product, or one made now.
    fn filter<'a, T: Scalar>(&self, packed: Option<&'a Packed>, value: &[T]) -> Cow<'a, Filter<T>> {
        match packed.and_then(|p| p.downcast_ref()) {
            Some(filter) => Cow::Borrowed(filter),
            None => Cow::Owned(Filter::pack(&self.geometry, value)),
        }
    }

    fn primal_filter<'a, T: Scalar>(&self, c: &Context<'a, T>) -> Cow<'a, Filter<T>> {
        self.filter(c.inputs[FILTER].packed, c.x(FILTER))
    }

    /// Tangent `j` of the filter, packed.
    fn filter_tangent<'a, T: Scalar>(&self, c: &Context<'a, T>, j: usize) -> Option<Cow<'a, Filter<T>>> {
        c.dx(FILTER, j).map(|dw| self.filter(c.inputs[FILTER].packed_tangents.get(j), dw))
    }
}

/// y = x W + b.
fn forward<T: Scalar>(p: &Passes, c: &Context<'_, T>, y: &mut [T], scratch: &mut Scratch<T>) {
    p.product((c.x(X), &p.primal_filter(c)), None, y, false, scratch);
    if let Some(bias) = c.inputs.get(BIAS) {
        rows::add_to_each(y, bias.value);
    }
}

/// ẏ = ẋ W + x Ẇ + ḃ.
fn tangent<T: Scalar>(p: &Passes, c: &Context<'_, T>, dy: &mut [T], scratch: &mut Scratch<T>) {
    let w = p.primal_filter(c);
    for (j, dy) in dy.chunks_exact_mut(c.len().max(1)).enumerate() {
        let dw = p.filter_tangent(c, j);
        match (c.dx(X, j), &dw) {
            (Some(dx), Some(dw)) => p.product((dx, &w), Some((c.x(X), dw)), dy, false, scratch),
            (Some(dx), None) => p.product((dx, &w), None, dy, false, scratch),
            (None, Some(dw)) => p.product((c.x(X), dw), None, dy, false, scratch),
            (None, None) => dy.fill(T::ZERO),
        }
        if let Some(db) = c.inputs.get(BIAS).and_then(|b| b.tangent(j)) {
            rows::add_to_each(dy, db);
        }
    }
}

/// x̄ += Wᵀ ȳ, W̄ += x ⋆ ȳ, b̄ += Σ ȳ.
fn adjoint<T: Scalar>(p: &Passes, c: &Context<'_, T>, gx: &mut Slots<'_, T>, scratch: &mut Scratch<T>) {
    if let Some(slot) = &mut gx[X] {
        let (gx, accumulate) = slot.write();
        p.input_adjoint((c.gy, &p.primal_filter(c)), None, gx, accumulate, scratch);
    }
    if let Some(slot) = &mut gx[FILTER] {
        let (gw, accumulate) = slot.write();
        p.filter_adjoint((c.x(X), c.gy), None, gw, accumulate, scratch);
    }
    if let Some(Some(slot)) = gx.get_mut(BIAS) {
        rows::add_sum(c.gy, slot.add());
    }
}

/// x̄˙ += Wᵀ ȳ˙ + Ẇᵀ ȳ, W̄˙ += x ⋆ ȳ˙ + ẋ ⋆ ȳ, b̄˙ += Σ ȳ˙.
fn adjoint_tangent<T: Scalar>(
    p: &Passes,
    c: &Context<'_, T>,
    dgx: &mut Slots<'_, T>,
    scratch: &mut Scratch<T>,
) {
    let k = c.tangents;
    if let Some(slot) = &mut dgx[X] {
        let w = p.primal_filter(c);
        for j in 0..k {
            let dw = p.filter_tangent(c, j);
            let mut part = slot.part(j, k);
            let (dgx, accumulate) = part.write();
            let second = dw.as_deref().map(|dw| (c.gy, dw));
            p.input_adjoint((c.dgy(j), &w), second, dgx, accumulate, scratch);
        }
        slot.set_written();
    }
    if let Some(slot) = &mut dgx[FILTER] {
        for j in 0..k {
            let mut part = slot.part(j, k);
            let (dgw, accumulate) = part.write();
            let second = c.dx(X, j).map(|dx| (dx, c.gy));
            p.filter_adjoint((c.x(X), c.dgy(j)), second, dgw, accumulate, scratch);
        }
        slot.set_written();
    }
    if let Some(Some(slot)) = dgx.get_mut(BIAS) {
        let channels = c.shape[c.shape.len() - 1];
        for (j, sum) in slot.add().chunks_exact_mut(channels).enumerate() {
            rows::add_sum(c.dgy(j), sum);
        }
    }
}

/// Shapes of image, filter and bias.
type Shapes<'a> = (&'a [usize], &'a [usize], Option<&'a [usize]>);

/// Image, filter and bias shapes; images `[n, h, w, c]` or `[n, l, c]` with filters of the same rank.
fn split<'a>(name: &'static str, inputs: &[&'a [usize]]) -> Result<Shapes<'a>, ShapeError> {
    let (x, w, b) = match *inputs {
        [x, w] => (x, w, None),
        [x, w, b] => (x, w, Some(b)),
        _ => {
            let message = format!("takes 2 or 3 inputs (x, filter, bias), found {}", inputs.len());
            return Err(ShapeError::new(name, message));
        }
    };
    if !(x.len() == 4 || x.len() == 3) || x.len() != w.len() {
        let message = format!(
            "needs x [n, h, w, c] and a filter [kh, kw, c/groups, c′] (or [n, l, c] and [k, c/groups, c′]), found \
             {x:?} and {w:?}"
        );
        return Err(ShapeError::new(name, message));
    }
    Ok((x, w, b))
}

/// Height and width (or 1 and length) of an image or filter.
fn extent(shape: &[usize], first: usize) -> [usize; 2] {
    if shape.len() == 4 { [shape[first], shape[first + 1]] } else { [1, shape[first]] }
}

fn check_bias(name: &'static str, bias: Option<&[usize]>, channels: usize) -> Result<(), ShapeError> {
    match bias {
        Some(b) if *b != [channels] => {
            Err(ShapeError::new(name, format!("bias must be [{channels}], found {b:?}")))
        }
        _ => Ok(()),
    }
}

/// `[n, h, w, c]`, or `[n, l, c]` for images without height.
fn image_shape(rank: usize, n: usize, [h, w]: [usize; 2], channels: usize) -> Vec<usize> {
    if rank == 4 { vec![n, h, w, channels] } else { vec![n, w, channels] }
}
