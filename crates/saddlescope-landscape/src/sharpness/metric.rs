//! Curvature in the metric of filter normalisation, in that of the Fisher matrix, and relative to the weights of a layer.

use nalgebra::DMatrix;
use saddlescope_krylov::{BasisStore, LinearOperator, Precision, ProductError, Stream, SymmetricOperator};

use super::measure::NotDefined;
use saddlescope_data::ParameterKind;

use crate::layout::{ParameterBlock, ParameterLayout};
use crate::numeric::dot;
use crate::risk::{Curvature, Point, RiskError};

/// D H D for a diagonal D: the Hessian in coordinates θᵢ/Dᵢ.
pub struct RescaledHessian<'a> {
    point: &'a dyn Point,
    scales: &'a [f64],
}

impl<'a> RescaledHessian<'a> {
    /// The Hessian at `point`, with one scale for each coordinate.
    pub fn new(point: &'a dyn Point, scales: &'a [f64]) -> Self {
        Self { point, scales }
    }
}

impl LinearOperator for RescaledHessian<'_> {
    fn nrows(&self) -> usize {
        self.point.dim()
    }

    fn ncols(&self) -> usize {
        self.point.dim()
    }

    fn apply(&self, x: &[f64], y: &mut [f64]) -> Result<(), ProductError> {
        self.apply_block(x, y)
    }

    fn apply_block(&self, xs: &[f64], ys: &mut [f64]) -> Result<(), ProductError> {
        let n = self.point.dim().max(1);
        let scaled: Vec<f64> =
            xs.chunks_exact(n).flat_map(|x| x.iter().zip(self.scales).map(|(x, d)| x * d)).collect();
        self.point.product(Curvature::Hessian, &scaled, ys)?;
        ys.chunks_exact_mut(n).for_each(|y| y.iter_mut().zip(self.scales).for_each(|(y, d)| *y *= d));
        Ok(())
    }
}

impl SymmetricOperator for RescaledHessian<'_> {
    fn new_basis(&self, precision: Precision) -> Result<Box<dyn BasisStore>, ProductError> {
        Ok(self.point.new_basis(precision)?)
    }
}

/// A quadratic form with its parts over chunks of samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    /// vᵀAv.
    pub value: f64,
    /// vᵀA_c v of every chunk, and their weights; empty where the risk offers none.
    pub parts: (Vec<f64>, Vec<usize>),
}

/// vᵀAv by one product.
///
/// # Errors
/// Whatever the product reports.
pub fn form(point: &dyn Point, curvature: Curvature, v: &[f64]) -> Result<Form, RiskError> {
    let mut out = vec![0.0; v.len()];
    let product = point.product(curvature, v, &mut out)?;
    let parts = product.quotients.into_iter().next().unwrap_or_default();
    Ok(Form { value: dot(v, &out), parts: (parts, product.chunk_samples) })
}

/// The weights of one layer as a matrix with a row for each unit, and where its entries lie in θ.
struct Rows {
    rows: usize,
    columns: usize,
    start: usize,
    transposed: bool,
}

impl Rows {
    fn of(block: &ParameterBlock) -> Option<Self> {
        let [first, second] = *block.shape.as_slice() else { return None };
        let (rows, columns, transposed) = match block.kind {
            ParameterKind::LinearWeight => (first, second, false),
            ParameterKind::LinearWeightTransposed => (second, first, true),
            _ => return None,
        };
        (rows > 0 && columns > 0).then_some(Self { rows, columns, start: block.range.start, transposed })
    }

    fn place(&self, row: usize, column: usize) -> usize {
        self.start + if self.transposed { column * self.rows + row } else { row * self.columns + column }
    }
}

/// Draws the vectors of relative flatness (Petzka et al. 2021) of the last linear layer W:
/// κ = Σ_{s,s'} ⟨w_s, w_s'⟩ tr H_{s,s'} = E vᵀHv for v = L Z with LLᵀ = WWᵀ and independent signs Z.
pub struct FlatnessProbes {
    /// Name of the layer's tensor.
    pub layer: String,
    rows: Rows,
    root: DMatrix<f64>,
    n: usize,
}

/// The Gram matrix of more units than this is not factored.
const MOST_UNITS: usize = 4096;

impl FlatnessProbes {
    /// For the last linear layer of a layout.
    ///
    /// # Errors
    /// No linear layer, or one of too many units.
    pub fn new(layout: &ParameterLayout, theta: &[f64]) -> Result<Self, NotDefined> {
        let last = layout.blocks.iter().rev().find_map(|b| Some((b, Rows::of(b)?)));
        let Some((block, rows)) = last else {
            return Err(NotDefined("no tensor is known to be the weights of a linear layer".into()));
        };
        if rows.rows > MOST_UNITS {
            return Err(NotDefined(format!(
                "{} has {} units; at most {MOST_UNITS} are taken",
                block.name, rows.rows
            )));
        }
        let weights = DMatrix::from_fn(rows.rows, rows.columns, |s, i| theta[rows.place(s, i)]);
        let gram = &weights * weights.transpose();
        if gram.iter().any(|x| !x.is_finite()) {
            return Err(NotDefined(format!("{} is not finite", block.name)));
        }
        let eigen = gram.symmetric_eigen();
        let sizes = eigen.eigenvalues.map(|x| x.max(0.0).sqrt());
        let root = eigen.eigenvectors * DMatrix::from_diagonal(&sizes);
        Ok(Self { layer: block.name.clone(), rows, root, n: theta.len() })
    }

    /// Probe number `index` of `seed`.
    pub fn probe(&self, seed: u64, index: u64) -> Vec<f64> {
        let (d, m) = (self.rows.rows, self.rows.columns);
        let mut signs = vec![0.0; d * m];
        Stream::new(seed, "relative-flatness", index).fill_rademacher(&mut signs);
        let v = &self.root * DMatrix::from_vec(d, m, signs);
        let mut out = vec![0.0; self.n];
        for i in 0..m {
            for s in 0..d {
                out[self.rows.place(s, i)] = v[(s, i)];
            }
        }
        out
    }
}
