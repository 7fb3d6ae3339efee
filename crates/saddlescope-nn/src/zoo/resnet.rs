//! Residual networks for CIFAR (He et al. 2016, section 4.2): 6n + 2 layers in three stages of 16, 32 and 64 channels.

use crate::graph::ValueId;
use crate::network::Network;
use crate::ops::{Add, GlobalAveragePool, Pad, PadMode, Relu, Slice};

use super::builder::Builder;

/// What carries a block's input past it where the shape changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortcut {
    /// Option A: every other pixel, and zeros for the new channels, a quarter of the new width on each side.
    Padding,
    /// Option B: a 1×1 convolution with batch norm. The paper's ResNet-56 has it.
    Projection,
    /// No shortcut at all, in any block (the networks of Li et al. 2018 without skip connections).
    None,
}

/// A CIFAR ResNet of `depth` = 6n + 2 layers on `[3, 32, 32]` images with ten classes; `None` for other depths.
///
/// Tensor names are those of the usual PyTorch implementations: `conv1`, `bn1`, `layer1.0.conv1`, …, `linear`.
pub fn resnet(depth: usize, shortcut: Shortcut) -> Option<Network> {
    if depth < 8 || !(depth - 2).is_multiple_of(6) {
        return None;
    }
    let blocks = (depth - 2) / 6;
    let mut b = Builder::default();
    let x = b.graph.image("x", [3, 32, 32]);
    let x = b.conv("conv1", x, [3, 16], 3, 1, 1);
    let mut x = b.batch_norm("bn1", x, 16, None, true);
    let mut width = 16;
    for (stage, channels) in [(1, 16), (2, 32), (3, 64)] {
        for block in 0..blocks {
            let stride = if stage > 1 && block == 0 { 2 } else { 1 };
            x = basic_block(&mut b, &format!("layer{stage}.{block}"), x, [width, channels], stride, shortcut);
            width = channels;
        }
    }
    let x = b.graph.node("pool", GlobalAveragePool, &[x]);
    let output = b.linear("linear", x, [64, 10]);
    let suffix = match shortcut {
        Shortcut::Padding => "a",
        Shortcut::Projection => "b",
        Shortcut::None => "noshort",
    };
    Some(Network { name: format!("resnet{depth}-{suffix}"), graph: b.graph, output, class_axis: None })
}

fn basic_block(
    b: &mut Builder,
    name: &str,
    x: ValueId,
    [c_in, c_out]: [usize; 2],
    stride: usize,
    shortcut: Shortcut,
) -> ValueId {
    let y = b.conv(&format!("{name}.conv1"), x, [c_in, c_out], 3, stride, 1);
    let y = b.batch_norm(&format!("{name}.bn1"), y, c_out, None, true);
    let y = b.conv(&format!("{name}.conv2"), y, [c_out, c_out], 3, 1, 1);
    let bn2 = format!("{name}.bn2");
    let changes = stride != 1 || c_in != c_out;
    match shortcut {
        Shortcut::None => b.batch_norm(&bn2, y, c_out, None, true),
        Shortcut::Padding if changes => {
            let every_other = Slice::new(&[0, 0], &[i64::MAX, i64::MAX], &[1, 2], &[2, 2]);
            let r = b.graph.node(format!("{name}.shortcut.pixels"), every_other, &[x]);
            let quarter = c_out as i64 / 4;
            let pad = Pad::new(&[0, 0, 0, quarter], &[0, 0, 0, quarter], PadMode::Constant(0.0));
            let r = b.graph.node(format!("{name}.shortcut.channels"), pad, &[r]);
            b.batch_norm(&bn2, y, c_out, Some(r), true)
        }
        Shortcut::Projection if changes => {
            // Parameters lie in θ in state-dict order: bn2 comes before the shortcut.
            let y = b.batch_norm(&bn2, y, c_out, None, false);
            let r = b.conv(&format!("{name}.shortcut.0"), x, [c_in, c_out], 1, stride, 0);
            let r = b.batch_norm(&format!("{name}.shortcut.1"), r, c_out, None, false);
            let sum = b.graph.node(format!("{name}.sum"), Add, &[y, r]);
            b.graph.node(format!("{name}.relu"), Relu, &[sum])
        }
        Shortcut::Padding | Shortcut::Projection => b.batch_norm(&bn2, y, c_out, Some(x), true),
    }
}
