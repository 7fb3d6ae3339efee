//! What PyTorch computed when a network was exported, so that a file that computes something else is found out.
//!
//! `scripts/torch_to_onnx.py` writes the numbers into the file's metadata. Exporters drop things silently (label smoothing, class
//! weights, `detach`): the file is then right in itself, and only a comparison shows that it is another function.

use std::collections::BTreeMap;

use saddlescope_nn::network::{LossKind, Network};
use saddlescope_nn::op::numel;
use serde::Deserialize;

use super::error::OnnxError;

/// Key of the metadata.
const KEY: &str = "saddlescope.reference";

/// Loss, gradient and one Hessian product as PyTorch computes them in f64 at the exported parameters.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The first samples of the data, over which the loss is a mean.
    pub samples: usize,
    /// The loss by the name that [`LossKind::parse`] reads.
    pub loss_kind: String,
    /// L(θ).
    pub loss: f64,
    /// ‖∇L(θ)‖.
    pub gradient_norm: f64,
    /// vᵀ H v for the vector of [`Reference::direction`]; `None` where PyTorch has no second derivative.
    #[serde(default)]
    pub quadratic: Option<f64>,
    /// ‖H v‖, likewise.
    #[serde(default)]
    pub product_norm: Option<f64>,
}

/// The four numbers of a [`Reference`], computed from the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// L(θ).
    pub loss: f64,
    /// ‖∇L(θ)‖.
    pub gradient_norm: f64,
    /// vᵀ H v.
    pub quadratic: f64,
    /// ‖H v‖.
    pub product_norm: f64,
}

impl Reference {
    /// Reads the reference from a file's metadata, if it has one.
    ///
    /// # Errors
    /// The metadata are there but cannot be read.
    pub(crate) fn read(metadata: &BTreeMap<String, String>) -> Result<Option<Self>, OnnxError> {
        let Some(text) = metadata.get(KEY) else { return Ok(None) };
        let wrong =
            |why: String| OnnxError::Invalid(format!("the file's metadata `{KEY}` cannot be read: {why}"));
        let read: Self = serde_json::from_str(text).map_err(|e| wrong(e.to_string()))?;
        if LossKind::parse(&read.loss_kind).is_none() {
            return Err(wrong(format!("unknown loss `{}`", read.loss_kind)));
        }
        Ok(Some(read))
    }

    /// The loss that PyTorch computed.
    pub fn loss_kind(&self) -> LossKind {
        // Checked when it was read.
        LossKind::parse(&self.loss_kind).unwrap_or(LossKind::Own)
    }

    /// The vector v: entry k of every parameter (row-major, as in the file) is cos k, k = 0, 1, …
    pub fn direction(network: &Network) -> Vec<f64> {
        let each = |shape: &[usize]| (0..numel(shape)).map(|k| (k as f64).cos()).collect::<Vec<_>>();
        network.graph.parameters().iter().flat_map(|p| each(&p.shape)).collect()
    }

    /// Which numbers differ by more than `tolerance` (relative to PyTorch's; to ‖Hv‖ for vᵀHv, which may cancel), in words.
    /// Constants that exporters round to f32 leave differences of 1e-7 to 1e-6 in f64, f32 arithmetic some 1e-4.
    pub fn differences(&self, found: &Measured, tolerance: f64) -> Vec<String> {
        let tiny = f64::MIN_POSITIVE;
        let mut pairs = vec![
            ("the loss", found.loss, self.loss, self.loss.abs()),
            ("the norm of the gradient", found.gradient_norm, self.gradient_norm, self.gradient_norm),
        ];
        if let (Some(norm), Some(quadratic)) = (self.product_norm, self.quadratic) {
            pairs.push(("the norm of a Hessian product", found.product_norm, norm, norm));
            pairs.push(("vᵀHv", found.quadratic, quadratic, quadratic.abs().max(norm)));
        }
        let differs = |&(_, a, b, scale): &(&str, f64, f64, f64)| {
            a != b && (a.is_nan() != b.is_nan() || (a - b).abs() > tolerance * scale.max(tiny))
        };
        pairs
            .iter()
            .filter(|pair| differs(pair))
            .map(|(what, a, b, _)| {
                format!("{what} of the file is {a:.6e}; PyTorch computed {b:.6e} when it was exported")
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_function_is_found_out_and_rounding_is_not() {
        let text = r#"{"samples": 4, "loss_kind": "cross-entropy", "loss": 0.406, "gradient_norm": 0.5,
                       "quadratic": -0.001, "product_norm": 2.0}"#;
        let metadata = BTreeMap::from([(KEY.to_string(), text.to_string())]);
        let reference = Reference::read(&metadata).unwrap().unwrap();
        assert_eq!(reference.loss_kind(), LossKind::CrossEntropy);
        let same =
            Measured { loss: 0.406 + 1e-8, gradient_norm: 0.5, quadratic: -0.001 + 1e-7, product_norm: 2.0 };
        assert!(reference.differences(&same, 1e-6).is_empty());
        // Label smoothing lost by the exporter.
        let other = Measured { loss: 0.095, ..same };
        let found = reference.differences(&other, 1e-6);
        assert!(found.len() == 1 && found[0].contains("9.5"), "{found:?}");
        let undefined = Measured { loss: f64::NAN, ..same };
        assert_eq!(reference.differences(&undefined, 1e-6).len(), 1);
    }

    #[test]
    fn metadata_that_cannot_be_read_are_an_error() {
        for text in [
            "{}",
            "[]",
            r#"{"samples": 1, "loss_kind": "?", "loss": 1, "gradient_norm": 1, "quadratic": 1, "product_norm": 1}"#,
        ] {
            let metadata = BTreeMap::from([(KEY.to_string(), text.to_string())]);
            assert!(Reference::read(&metadata).is_err(), "{text}");
        }
        assert_eq!(Reference::read(&BTreeMap::new()).unwrap(), None);
    }
}
