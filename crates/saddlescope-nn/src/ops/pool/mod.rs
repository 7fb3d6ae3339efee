//! Pooling over windows of an image, channels last.

mod adaptive;
mod average;
mod max;
mod window;

pub use adaptive::AdaptiveAveragePool;
pub use average::AveragePool;
pub use max::MaxPool;
