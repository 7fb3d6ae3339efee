//! DenseNet-BC for CIFAR (Huang et al. 2017).

use crate::network::Network;
use crate::ops::{AveragePool, Concat, Flatten};

use super::builder::Builder;

/// A DenseNet-BC on `[3, 32, 32]` images with ten classes: `blocks[k]` bottleneck layers of growth rate `growth` in
/// dense block k, the channels halved between blocks.
///
/// Tensor names: `conv1`, `dense1.0.bn1`, …, `trans1.conv`, `bn`, `linear`.
pub fn densenet(name: &str, growth: usize, blocks: &[usize]) -> Network {
    let mut b = Builder::default();
    let x = b.graph.image("x", [3, 32, 32]);
    let mut channels = 2 * growth;
    let mut x = b.conv("conv1", x, [3, channels], 3, 1, 1);
    for (k, &layers) in blocks.iter().enumerate() {
        for layer in 0..layers {
            let name = format!("dense{}.{layer}", k + 1);
            let y = b.batch_norm(&format!("{name}.bn1"), x, channels, None, true);
            let y = b.conv(&format!("{name}.conv1"), y, [channels, 4 * growth], 1, 1, 0);
            let y = b.batch_norm(&format!("{name}.bn2"), y, 4 * growth, None, true);
            let y = b.conv(&format!("{name}.conv2"), y, [4 * growth, growth], 3, 1, 1);
            x = b.graph.node(format!("{name}.concat"), Concat::new(3), &[y, x]);
            channels += growth;
        }
        if k + 1 < blocks.len() {
            let name = format!("trans{}", k + 1);
            let y = b.batch_norm(&format!("{name}.bn"), x, channels, None, true);
            let y = b.conv(&format!("{name}.conv"), y, [channels, channels / 2], 1, 1, 0);
            channels /= 2;
            x = b.graph.node(format!("{name}.pool"), AveragePool::square(2), &[y]);
        }
    }
    let y = b.batch_norm("bn", x, channels, None, true);
    let y = b.graph.node("pool", AveragePool::square(4), &[y]);
    let y = b.graph.node("flatten", Flatten::new(1), &[y]);
    let output = b.linear("linear", y, [channels, 10]);
    Network { name: name.into(), graph: b.graph, output, class_axis: None }
}
