//! A network of our own engine (the zoo, ONNX files) as a Python object.

use std::collections::BTreeMap;
use std::path::PathBuf;

use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use saddlescope::data::weights::TensorMap;
use saddlescope::data::{DATA_MEMORY, DataSource, Dataset, Normalization, Split};
use saddlescope::model;
use saddlescope::nn::Dtype;
use saddlescope::nn::network::LossKind;
use saddlescope::nn::risk::RiskOptions;
use saddlescope::onnx::ImportOptions;
use saddlescope::{ParameterKind, Risk};

use crate::python_risk::curvature;
use crate::raised::value_error;

/// A network with its data, computed by our engine.
#[pyclass(frozen, module = "saddlescope._native")]
pub struct NetworkRisk {
    pub risk: saddlescope::NetworkRisk,
    theta: Vec<f64>,
    #[pyo3(get)]
    model: String,
    #[pyo3(get)]
    split: String,
    #[pyo3(get)]
    weights: String,
    #[pyo3(get)]
    notes: Vec<String>,
}

/// What an ONNX import can be told.
#[derive(FromPyObject)]
pub struct OnnxOptions {
    #[pyo3(item)]
    one_sample: bool,
    #[pyo3(item)]
    batch_axis: BTreeMap<String, usize>,
    #[pyo3(item)]
    fix_input: BTreeMap<String, Vec<f64>>,
    #[pyo3(item)]
    parameters_from: Option<PathBuf>,
}

impl OnnxOptions {
    fn are_given(&self) -> bool {
        self.one_sample
            || !self.batch_axis.is_empty()
            || !self.fix_input.is_empty()
            || self.parameters_from.is_some()
    }

    fn import(&self, data: &Dataset) -> PyResult<ImportOptions> {
        let mut options = ImportOptions::for_dataset(data);
        options.one_sample = self.one_sample;
        options.batch_axes = self.batch_axis.clone();
        options.fixed_inputs = self.fix_input.clone();
        if let Some(path) = &self.parameters_from {
            let tensors = TensorMap::read(path).map_err(value_error)?;
            options.parameters = Some(tensors.iter().map(|(name, _)| name.to_string()).collect());
        }
        Ok(options)
    }

    /// Under the same names as the command.
    fn identify(&self, identity: &mut BTreeMap<String, serde_json::Value>) {
        if self.one_sample {
            identity.insert("one_sample".into(), true.into());
        }
        for (input, axis) in &self.batch_axis {
            identity.insert(format!("batch_axis.{input}"), (*axis).into());
        }
        for (input, numbers) in &self.fix_input {
            identity.insert(format!("fixed_input.{input}"), format!("{numbers:?}").into());
        }
    }
}

fn kind_name(kind: ParameterKind) -> &'static str {
    match kind {
        ParameterKind::ConvFilter => "conv_filter",
        ParameterKind::LinearWeight => "linear_weight",
        ParameterKind::LinearWeightTransposed => "linear_weight_transposed",
        ParameterKind::Bias => "bias",
        ParameterKind::Normalization => "normalization",
        ParameterKind::Embedding => "embedding",
        ParameterKind::Other => "other",
    }
}

/// Loss, (correct, counted) or `None`.
type Values = (f64, Option<(u64, u64)>);

fn values(found: saddlescope::Evaluation) -> Values {
    (found.loss, found.correct)
}

#[pymethods]
impl NetworkRisk {
    /// `data`: a source as the command takes it; `data_name`: what the record calls it; `keep`: which parameters are analysed.
    #[new]
    #[pyo3(signature = (model, weights, data, data_name, split, samples, normalize, loss, weight_decay, batch_norm, keep, dtype, onnx))]
    fn new(
        model: &str,
        weights: Option<PathBuf>,
        data: &str,
        data_name: Option<String>,
        split: &str,
        samples: Option<(usize, usize)>,
        normalize: Option<&str>,
        loss: Option<&str>,
        weight_decay: f64,
        batch_norm: &str,
        keep: Option<Py<PyAny>>,
        dtype: &str,
        onnx: OnnxOptions,
    ) -> PyResult<Self> {
        if !(weight_decay.is_finite() && weight_decay >= 0.0) {
            let message = format!("weight_decay {weight_decay}; expected a number from 0 on");
            return Err(PyValueError::new_err(message));
        }
        let source = DataSource::parse(data).map_err(value_error)?;
        let part = match split {
            "train" => Split::Train,
            "test" => Split::Test,
            _ => {
                return Err(PyValueError::new_err(format!(
                    "split {split:?}; expected \"train\" or \"test\""
                )));
            }
        };
        let normalization = normalize.map(Normalization::parse).transpose().map_err(value_error)?;
        // Arrays are read from a file that is gone afterwards; large data of a user stay in theirs.
        let memory = if data_name.is_some() { usize::MAX } else { DATA_MEMORY };
        let data = if onnx.one_sample {
            source.load_one_sample(part, normalization)
        } else {
            source.open(part, samples.map(|(a, b)| a..b), normalization, memory)
        };
        let data = data.map_err(value_error)?;
        if onnx.are_given() && !model::is_onnx(model) {
            let message = "one_sample, batch_axis, fix_input and parameters_from are for ONNX files";
            return Err(PyValueError::new_err(message));
        }
        let options = onnx.import(&data)?;
        let mut network = model::load_with(model, weights.as_deref(), &options).map_err(value_error)?;
        let loss = match loss {
            Some(word) => LossKind::parse(word).ok_or_else(|| {
                PyValueError::new_err(format!(
                    "loss {word:?}; expected cross-entropy, mse, bce, nll, probabilities or own"
                ))
            })?,
            None => network.suggest_loss(&data).map_err(value_error)?.loss,
        };
        network.end_for(loss);
        let train = match batch_norm {
            "eval" => false,
            "train" => true,
            _ => {
                return Err(PyValueError::new_err(format!(
                    "batch_norm {batch_norm:?}; expected \"eval\" or \"train\""
                )));
            }
        };
        network.network.use_batch_statistics(train);
        // The first samples, in order, are those that were exported.
        if samples.is_none_or(|(start, _)| start == 0) && !train && weights.is_none() {
            let found = network.compare_with_export(loss, &data, None).map_err(value_error)?;
            if let Some(differences) = found.filter(|d| !d.is_empty()) {
                return Err(PyValueError::new_err(format!(
                    "{model}: the file computes another loss than the model that was exported: {}",
                    differences.join("; ")
                )));
            }
        }
        let more = network.data_notes(&data);
        network.notes.extend(more);
        if let Some(keep) = keep {
            let names: Vec<String> =
                network.network.graph.parameters().iter().map(|p| p.name.clone()).collect();
            let chosen: Vec<bool> = Python::attach(|py| {
                names.iter().map(|name| keep.bind(py).call1((name,))?.extract()).collect::<PyResult<_>>()
            })?;
            let kept: Vec<&String> = names.iter().zip(&chosen).filter(|(_, c)| **c).map(|(n, _)| n).collect();
            if kept.is_empty() {
                return Err(PyValueError::new_err(format!(
                    "params select none of the parameters {}",
                    names.join(", ")
                )));
            }
            network.freeze_all_but(|name| kept.iter().any(|k| *k == name));
        }
        let dtype = match dtype {
            "f32" => Dtype::F32,
            "f64" => Dtype::F64,
            _ => return Err(PyValueError::new_err(format!("dtype {dtype:?}; expected \"f32\" or \"f64\""))),
        };
        let name = data_name.unwrap_or_else(|| source.to_string());
        let mut identity = BTreeMap::new();
        identity.insert("data".into(), name.into());
        identity.insert("data.sha256".into(), data.fingerprint().map_err(value_error)?.into());
        identity.insert("normalization".into(), data.normalization().to_string().into());
        identity.insert("loss".into(), loss.name().into());
        identity.insert("batch_norm".into(), batch_norm.into());
        onnx.identify(&mut identity);
        let prepared = network.prepare(data).map_err(value_error)?;
        let objective = network.network.objective(loss, &prepared).map_err(value_error)?;
        let options = RiskOptions { threads: rayon_threads(), micro_batch: None, keep_bytes: 1 << 30 };
        let risk = saddlescope::NetworkRisk::new(objective, dtype, options)
            .map_err(value_error)?
            .with_identity(identity)
            .with_weight_decay(weight_decay);
        Ok(Self {
            risk,
            weights: saddlescope::weights_fingerprint(&network),
            model: network.network.name.clone(),
            split: split.into(),
            notes: network.notes,
            theta: network.theta.to_vec(),
        })
    }

    #[getter]
    fn theta<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        PyArray1::from_slice(py, &self.theta)
    }

    #[getter]
    fn buffers<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        PyArray1::from_vec(py, self.risk.buffers())
    }

    #[getter]
    fn samples(&self) -> usize {
        self.risk.samples()
    }

    #[getter]
    fn layout(&self) -> Vec<(String, Vec<usize>, &'static str)> {
        let blocks = &self.risk.layout().blocks;
        blocks.iter().map(|b| (b.name.clone(), b.shape.clone(), kind_name(b.kind))).collect()
    }

    fn evaluate(&self, py: Python<'_>, theta: PyReadonlyArray1<'_, f64>) -> PyResult<Values> {
        let theta = theta.as_array().to_vec();
        py.detach(|| self.risk.evaluate(&theta)).map(values).map_err(value_error)
    }

    fn gradient<'py>(
        &self,
        py: Python<'py>,
        theta: PyReadonlyArray1<'_, f64>,
    ) -> PyResult<(Bound<'py, PyArray1<f64>>, Values)> {
        let theta = theta.as_array().to_vec();
        let mut gradient = vec![0.0; theta.len()];
        let found = py.detach(|| self.risk.gradient(&theta, &mut gradient)).map_err(value_error)?;
        Ok((PyArray1::from_vec(py, gradient), values(found)))
    }

    /// Products at θ with a block of vectors, one a row.
    fn product<'py>(
        &self,
        py: Python<'py>,
        theta: PyReadonlyArray1<'_, f64>,
        matrix: &str,
        block: PyReadonlyArray2<'_, f64>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let matrix = curvature(matrix)?;
        let theta = theta.as_array().to_vec();
        let [rows, n] = [block.shape()[0], block.shape()[1]];
        if n != theta.len() {
            return Err(PyValueError::new_err(format!("vectors of length {n}; expected {}", theta.len())));
        }
        let vs: Vec<f64> = block.as_array().iter().copied().collect();
        let mut out = vec![0.0; vs.len()];
        py.detach(|| self.risk.at(&theta, 0)?.product(matrix, &vs, &mut out)).map_err(value_error)?;
        PyArray1::from_vec(py, out).reshape([rows, n])
    }
}

fn rayon_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
