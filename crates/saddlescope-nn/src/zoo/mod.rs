//! Networks by name, with PyTorch's usual state-dict names.

mod builder;
mod densenet;
mod plain;
mod resnet;
mod trained;

pub use densenet::densenet;
pub use plain::{Activation, convnet, mlp};
pub use resnet::{Shortcut, resnet};
pub use trained::TRAINED;

use crate::network::Network;

/// What [`by_name`] knows, for messages.
pub const NAMES: &str = "resnet{20,32,44,56,110}-{a,b,noshort}, densenet121, digits-mlp, digits-cnn, \
mlp:IN-HIDDEN-...-OUT[:relu|tanh] (IN a number or a shape such as 1x8x8), cnn:CxHxW-WIDTH-...-OUT";

/// The network of a name or short description; `None` if there is none.
///
/// `mlp:784-128-64-10` is a perceptron on 784 numbers with hidden layers of 128 and 64 units and 10 outputs,
/// `mlp:1x8x8-32-10` one on images that it flattens;
/// `cnn:1x28x28-16-32-10` a convolutional network on 1×28×28 images with layers of 16 and 32 filters.
pub fn by_name(name: &str) -> Option<Network> {
    match name {
        "densenet121" => return Some(densenet(name, 32, &[6, 12, 24, 16])),
        "digits-mlp" => return Some(mlp(name, &[1, 8, 8], &[32, 32], 10, Activation::Tanh)),
        "digits-cnn" => return Some(convnet(name, [1, 8, 8], &[8, 16], 10)),
        _ => {}
    }
    if let Some(rest) = name.strip_prefix("resnet") {
        let (depth, shortcut) = rest.split_once('-').unwrap_or((rest, "a"));
        let shortcut = match shortcut {
            "a" => Shortcut::Padding,
            "b" => Shortcut::Projection,
            "noshort" => Shortcut::None,
            _ => return None,
        };
        let depth = depth.parse().ok().filter(|d| *d <= 1202)?;
        return resnet(depth, shortcut);
    }
    if let Some(description) = name.strip_prefix("mlp:") {
        let (widths, activation) = match description.split_once(':') {
            None | Some((_, "relu")) => (description.split(':').next()?, Activation::Relu),
            Some((widths, "tanh")) => (widths, Activation::Tanh),
            Some(_) => return None,
        };
        let (input, widths) = widths.split_once('-')?;
        let input = input.split('x').map(parse_width).collect::<Option<Vec<usize>>>()?;
        input.iter().try_fold(1, |all: usize, w| all.checked_mul(*w)).filter(|all| *all <= 1 << 24)?;
        let widths = widths.split('-').map(parse_width).collect::<Option<Vec<usize>>>()?;
        let (outputs, hidden) = widths.split_last()?;
        return Some(mlp(name, &input, hidden, *outputs, activation));
    }
    if let Some(description) = name.strip_prefix("cnn:") {
        let (image, widths) = description.split_once('-')?;
        let image: [usize; 3] =
            image.split('x').map(parse_width).collect::<Option<Vec<_>>>()?.try_into().ok()?;
        let widths = widths.split('-').map(parse_width).collect::<Option<Vec<usize>>>()?;
        let (outputs, widths) = widths.split_last()?;
        return (!widths.is_empty()).then(|| convnet(name, image, widths, *outputs));
    }
    None
}

/// The description of a network of the same layers as `name` that takes samples of another shape; `None` where `name` is no description
/// or there is no such network.
pub fn for_samples(name: &str, shape: &[usize]) -> Option<String> {
    let (kind, layers) = name.split_once(':').filter(|(kind, _)| matches!(*kind, "mlp" | "cnn"))?;
    let (_, layers) = layers.split_once('-')?;
    let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
    let other = format!("{kind}:{}-{layers}", shape.join("x"));
    (other != name && by_name(&other).is_some()).then_some(other)
}

/// A width that is neither zero nor absurd.
fn parse_width(text: &str) -> Option<usize> {
    text.parse().ok().filter(|w| (1..=1 << 20).contains(w))
}
