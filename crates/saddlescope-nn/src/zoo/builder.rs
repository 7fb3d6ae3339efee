//! Layers with PyTorch's names, from which the zoo's networks are put together.

use crate::graph::{Graph, ParameterKind, ValueId};
use crate::ops::{BatchNorm, BatchNormMode, Conv2d, Linear};

/// A graph under construction.
#[derive(Debug, Default)]
pub(super) struct Builder {
    pub graph: Graph,
}

/// PyTorch's default ε of batch normalisation.
const BATCH_NORM_EPS: f64 = 1e-5;

impl Builder {
    /// `nn.Conv2d(c_in, c_out, size, stride, padding, bias=False)` named `name`, on `[b, h, w, c_in]`.
    pub(super) fn conv(
        &mut self,
        name: &str,
        x: ValueId,
        channels: [usize; 2],
        size: usize,
        stride: usize,
        pad: usize,
    ) -> ValueId {
        let [c_in, c_out] = channels;
        let filter = self.graph.conv_filter(format!("{name}.weight"), [c_out, c_in, size, size]);
        let op = Conv2d { stride: [stride; 2], pad: [pad; 4], dilation: [1; 2], groups: 1 };
        self.graph.node(name, op, &[x, filter])
    }

    /// `nn.BatchNorm2d(channels)` named `name` in evaluation mode, followed by the sum with `residual` and by a ReLU
    /// where asked for.
    pub(super) fn batch_norm(
        &mut self,
        name: &str,
        x: ValueId,
        channels: usize,
        residual: Option<ValueId>,
        relu: bool,
    ) -> ValueId {
        let kind = ParameterKind::Normalization;
        let gamma = self.graph.parameter(format!("{name}.weight"), &[channels], kind);
        let beta = self.graph.parameter(format!("{name}.bias"), &[channels], kind);
        let mean = self.graph.buffer(format!("{name}.running_mean"), &[channels], vec![0.0; channels]);
        let var = self.graph.buffer(format!("{name}.running_var"), &[channels], vec![1.0; channels]);
        let op = BatchNorm { eps: BATCH_NORM_EPS, mode: BatchNormMode::Running, relu };
        let inputs: Vec<ValueId> = [x, gamma, beta, mean, var].into_iter().chain(residual).collect();
        self.graph.node(name, op, &inputs)
    }

    /// `nn.Linear(features[0], features[1])` named `name`.
    pub(super) fn linear(&mut self, name: &str, x: ValueId, features: [usize; 2]) -> ValueId {
        let weight = self.graph.parameter(
            format!("{name}.weight"),
            &[features[1], features[0]],
            ParameterKind::LinearWeight,
        );
        let bias = self.graph.parameter(format!("{name}.bias"), &[features[1]], ParameterKind::Bias);
        self.graph.node(name, Linear, &[x, weight, bias])
    }
}
