//! A Python object as a risk. The object's class is `saddlescope.Risk`; what it is asked is documented there.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use saddlescope::{
    Curvature, Evaluation, MemoryEstimate, Offers, ParameterBlock, ParameterKind, ParameterLayout, Point,
    Product, Risk, RiskError, UnitAxis, UnitGroup, check_theta,
};
use saddlescope_krylov::Precision;
use serde_json::Value;

use crate::operator::copy_block;
use crate::options::precision;
use crate::raised::{Raised, value_error};

/// The names of curvature matrices in Python.
const CURVATURES: [(&str, Curvature); 5] = [
    ("hessian", Curvature::Hessian),
    ("gauss_newton", Curvature::GaussNewton),
    ("residual", Curvature::Residual),
    ("fisher", Curvature::PerSampleGradientFisher),
    ("output_gram", Curvature::OutputJacobianGram),
];

/// The matrix of that name.
pub fn curvature(word: &str) -> PyResult<Curvature> {
    let found = CURVATURES.iter().find(|(name, _)| *name == word);
    found.map(|(_, c)| *c).ok_or_else(|| {
        let names: Vec<&str> = CURVATURES.iter().map(|(name, _)| *name).collect();
        PyValueError::new_err(format!("curvature matrix {word:?}; expected one of {}", names.join(", ")))
    })
}

fn curvature_name(curvature: Curvature) -> &'static str {
    CURVATURES.iter().find(|(_, c)| *c == curvature).map_or("", |(name, _)| name)
}

fn kind(word: &str) -> PyResult<ParameterKind> {
    Ok(match word {
        "conv_filter" => ParameterKind::ConvFilter,
        "linear_weight" => ParameterKind::LinearWeight,
        "linear_weight_transposed" => ParameterKind::LinearWeightTransposed,
        "bias" => ParameterKind::Bias,
        "normalization" => ParameterKind::Normalization,
        "embedding" => ParameterKind::Embedding,
        "other" => ParameterKind::Other,
        _ => return Err(PyValueError::new_err(format!("unknown kind of parameter {word:?}"))),
    })
}

/// The named blocks of θ from a list of (name, shape, kind).
pub fn layout(blocks: Vec<(String, Vec<usize>, String)>) -> PyResult<ParameterLayout> {
    let mut start = 0;
    let blocks = blocks.into_iter().map(|(name, shape, word)| {
        let range = start..start + shape.iter().product::<usize>();
        start = range.end;
        Ok(ParameterBlock { name, shape, range, kind: kind(&word)? })
    });
    Ok(ParameterLayout { blocks: blocks.collect::<PyResult<_>>()? })
}

/// An object of the Python class `Risk`.
pub struct PythonRisk {
    object: Py<PyAny>,
    layout: ParameterLayout,
    samples: usize,
    offers: Offers,
    memory: (usize, usize),
    identity: BTreeMap<String, Value>,
    buffers: Vec<f64>,
    raised: Arc<Raised>,
}

impl PythonRisk {
    /// Reads the fixed properties of the object.
    pub fn new(object: &Bound<'_, PyAny>, raised: &Arc<Raised>) -> PyResult<Self> {
        let blocks: Vec<(String, Vec<usize>, String)> = object.getattr("layout")?.extract()?;
        let curvatures: Vec<String> = object.getattr("curvatures")?.extract()?;
        let flag = |name: &str| -> PyResult<bool> { object.getattr(name)?.extract() };
        let identity: String = object.call_method0("_identity_json")?.extract()?;
        Ok(Self {
            layout: layout(blocks)?,
            samples: object.getattr("samples")?.extract()?,
            offers: Offers {
                gradient: flag("has_gradient")?,
                curvatures: curvatures.iter().map(|c| curvature(c)).collect::<PyResult<_>>()?,
                accuracy: flag("has_accuracy")?,
                chunks: flag("has_chunks")?,
                repeatable: flag("repeatable")?,
                precision: precision(&object.getattr("precision")?.extract::<String>()?)?,
            },
            memory: object.call_method0("_memory")?.extract()?,
            identity: serde_json::from_str(&identity).map_err(value_error)?,
            buffers: object
                .call_method0("_buffer_values")?
                .extract::<PyReadonlyArray1<'_, f64>>()?
                .as_array()
                .to_vec(),
            object: object.clone().unbind(),
            raised: Arc::clone(raised),
        })
    }

    /// Calls into Python; an exception is kept for the caller of Rust.
    fn call<T>(&self, f: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<T>) -> Result<T, RiskError> {
        attached(&self.raised, &self.object, f)
    }

    /// Another risk that Python made, or `None`.
    fn maybe(&self, found: &Bound<'_, PyAny>) -> PyResult<Option<Box<dyn Risk + '_>>> {
        if found.is_none() {
            return Ok(None);
        }
        Ok(Some(Box::new(PythonRisk::new(found, &self.raised)?)))
    }
}

fn attached<T>(
    raised: &Raised,
    object: &Py<PyAny>,
    f: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<T>,
) -> Result<T, RiskError> {
    Python::attach(|py| {
        py.check_signals()?;
        f(object.bind(py))
    })
    .map_err(|error| RiskError::failed(raised.keep(error)))
}

/// Loss, (correct, counted) or `None`, losses of chunks, weights of chunks.
type EvaluationTuple = (f64, Option<(u64, u64)>, Vec<f64>, Vec<usize>);

fn evaluation((loss, correct, chunk_losses, chunk_samples): EvaluationTuple) -> Evaluation {
    Evaluation { loss, correct, chunk_losses, chunk_samples }
}

/// Name, number of units, (buffer, start, outer, inner) of every axis.
type GroupTuple = (String, usize, Vec<(bool, usize, usize, usize)>);

fn unit_group((name, units, axes): GroupTuple) -> UnitGroup {
    let axis = |(buffer, start, outer, inner)| UnitAxis { buffer, start, outer, inner };
    UnitGroup { name, units, axes: axes.into_iter().map(axis).collect() }
}

impl Risk for PythonRisk {
    fn layout(&self) -> &ParameterLayout {
        &self.layout
    }

    fn samples(&self) -> usize {
        self.samples
    }

    fn offers(&self) -> Offers {
        self.offers.clone()
    }

    fn evaluate(&self, theta: &[f64]) -> Result<Evaluation, RiskError> {
        check_theta(self, theta)?;
        self.call(|risk| {
            let theta = PyArray1::from_slice(risk.py(), theta);
            Ok(evaluation(risk.call_method1("_evaluate", (theta,))?.extract()?))
        })
    }

    fn gradient(&self, theta: &[f64], gradient: &mut [f64]) -> Result<Evaluation, RiskError> {
        check_theta(self, theta)?;
        if !self.offers.gradient {
            return Err(RiskError::NotOffered { what: "a gradient".into() });
        }
        self.call(|risk| {
            let theta = PyArray1::from_slice(risk.py(), theta);
            let (values, found): (Bound<'_, PyAny>, EvaluationTuple) =
                risk.call_method1("_gradient", (theta,))?.extract()?;
            let values: PyReadonlyArray1<'_, f64> = values.extract()?;
            let values = values.as_slice()?;
            if values.len() != gradient.len() {
                return Err(PyValueError::new_err(format!(
                    "the gradient has {} entries; expected {}",
                    values.len(),
                    gradient.len()
                )));
            }
            gradient.copy_from_slice(values);
            Ok(evaluation(found))
        })
    }

    fn at<'a>(&'a self, theta: &[f64], keep_bytes: usize) -> Result<Box<dyn Point + 'a>, RiskError> {
        check_theta(self, theta)?;
        let point = self.call(|risk| {
            let theta = PyArray1::from_slice(risk.py(), theta);
            Ok(risk.call_method1("_at", (theta, keep_bytes))?.unbind())
        })?;
        Ok(Box::new(PythonPoint { risk: self, point }))
    }

    fn memory(&self, _tangents: usize) -> MemoryEstimate {
        MemoryEstimate { fixed: self.memory.0, data: self.memory.1, ..MemoryEstimate::default() }
    }

    fn first_samples(
        &self,
        samples: usize,
        precision: Precision,
    ) -> Result<Option<Box<dyn Risk + '_>>, RiskError> {
        let word = match precision {
            Precision::F32 => "f32",
            Precision::F64 => "f64",
        };
        self.call(|risk| self.maybe(&risk.call_method1("_first_samples", (samples, word))?))
    }

    fn samples_in(&self, samples: Range<usize>) -> Result<Option<Box<dyn Risk + '_>>, RiskError> {
        self.call(|risk| self.maybe(&risk.call_method1("_samples_in", (samples.start, samples.end))?))
    }

    fn buffers(&self) -> Vec<f64> {
        self.buffers.clone()
    }

    fn with_buffers(&self, buffers: &[f64]) -> Result<Box<dyn Risk + '_>, RiskError> {
        self.call(|risk| {
            let values = PyArray1::from_slice(risk.py(), buffers);
            let other = risk.call_method1("_with_buffers", (values,))?;
            Ok(Box::new(PythonRisk::new(&other, &self.raised)?) as Box<dyn Risk>)
        })
    }

    fn buffers_anew(&self, theta: &[f64]) -> Result<Option<Vec<f64>>, RiskError> {
        check_theta(self, theta)?;
        self.call(|risk| {
            let theta = PyArray1::from_slice(risk.py(), theta);
            let found: Option<PyReadonlyArray1<'_, f64>> =
                risk.call_method1("_buffers_anew", (theta,))?.extract()?;
            Ok(found.map(|values| values.as_array().to_vec()))
        })
    }

    // An exception is kept, and arrives where the analysis ends.
    fn unit_groups(&self) -> Option<Vec<UnitGroup>> {
        let found: Option<Vec<GroupTuple>> =
            self.call(|risk| risk.call_method0("_unit_groups")?.extract()).ok()?;
        Some(found?.into_iter().map(unit_group).collect())
    }

    fn identity(&self) -> BTreeMap<String, Value> {
        self.identity.clone()
    }
}

struct PythonPoint<'a> {
    risk: &'a PythonRisk,
    point: Py<PyAny>,
}

impl Point for PythonPoint<'_> {
    fn dim(&self) -> usize {
        self.risk.layout.len()
    }

    fn product(&self, curvature: Curvature, vs: &[f64], out: &mut [f64]) -> Result<Product, RiskError> {
        if !self.risk.offers.product(curvature) {
            return Err(RiskError::not_offered(curvature));
        }
        let n = self.dim();
        let rows = vs.len().checked_div(n).unwrap_or(0);
        attached(&self.risk.raised, &self.point, |point| {
            let block = PyArray1::from_slice(point.py(), vs).reshape([rows, n])?;
            let answer = point.call_method1("product", (curvature_name(curvature), block))?;
            let (images, quotients, chunk_samples): (Bound<'_, PyAny>, Bound<'_, PyAny>, Vec<usize>) =
                answer.extract()?;
            copy_block(&images, rows, n, out)?;
            if chunk_samples.is_empty() {
                return Ok(Product::default());
            }
            let quotients: PyReadonlyArray2<'_, f64> = quotients.extract()?;
            let quotients = quotients.as_array().rows().into_iter().map(|row| row.to_vec()).collect();
            Ok(Product { quotients, chunk_samples })
        })
    }
}
