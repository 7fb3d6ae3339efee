//! Small networks by a short description: multilayer perceptrons and plain convolutional networks.

use crate::network::Network;
use crate::ops::{Flatten, GlobalAveragePool, MaxPool, Relu, Tanh};

use super::builder::Builder;

/// The nonlinearity of a small network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// Hyperbolic tangent.
    Tanh,
}

/// A multilayer perceptron on samples of shape `input`: widths of the hidden layers, then `outputs`.
///
/// Tensor names: `layers.0.weight`, `layers.0.bias`, `layers.1.weight`, …
pub fn mlp(name: &str, input: &[usize], hidden: &[usize], outputs: usize, activation: Activation) -> Network {
    let mut b = Builder::default();
    let data = crate::graph::DataInput { name: "x".into(), shape: input.to_vec(), permutation: None };
    let x = b.graph.data(data);
    let mut x = b.graph.node("flatten", Flatten::new(1), &[x]);
    let mut width: usize = input.iter().product();
    for (i, &next) in hidden.iter().enumerate() {
        x = b.linear(&format!("layers.{i}"), x, [width, next]);
        let name = format!("layers.{i}.activation");
        x = match activation {
            Activation::Relu => b.graph.node(name, Relu, &[x]),
            Activation::Tanh => b.graph.node(name, Tanh, &[x]),
        };
        width = next;
    }
    let output = b.linear(&format!("layers.{}", hidden.len()), x, [width, outputs]);
    Network { name: name.into(), graph: b.graph, output, class_axis: None }
}

/// A plain convolutional network on images `[c, h, w]`: 3×3 convolutions of the given widths with batch norm and ReLU,
/// halving the image after each but the last where it is at least 4 pixels wide, then a global average and a linear map.
///
/// Tensor names: `conv1.weight`, `bn1.weight`, …, `linear.weight`.
pub fn convnet(name: &str, image: [usize; 3], widths: &[usize], outputs: usize) -> Network {
    let mut b = Builder::default();
    let mut x = b.graph.image("x", image);
    let [mut channels, mut height, mut width] = image;
    for (i, &next) in widths.iter().enumerate() {
        let layer = i + 1;
        x = b.conv(&format!("conv{layer}"), x, [channels, next], 3, 1, 1);
        x = b.batch_norm(&format!("bn{layer}"), x, next, None, true);
        channels = next;
        if layer < widths.len() && height >= 4 && width >= 4 {
            x = b.graph.node(format!("pool{layer}"), MaxPool::square(2), &[x]);
            (height, width) = (height / 2, width / 2);
        }
    }
    let x = b.graph.node("pool", GlobalAveragePool, &[x]);
    let output = b.linear("linear", x, [channels, outputs]);
    Network { name: name.into(), graph: b.graph, output, class_axis: None }
}
