//! The operations, one small file each.
//!
//! Each file has the operation's shape rule, forward, tangent, adjoint and adjoint's tangent, and a test that checks
//! all four against finite differences in f64 (`testkit.rs`).
//!
//! Conventions at kinks are PyTorch's: ReLU′(0) = 0, and a maximum gives its adjoint to the first place where it is
//! attained.

mod activation;
mod add;
mod axes;
mod batch_norm;
mod bilinear;
mod binary;
mod broadcast;
mod choose;
mod compare;
mod concat;
mod contraction;
mod conv;
mod cumsum;
mod depth_to_space;
mod det;
mod expand;
mod extremum;
mod flat;
mod functions;
mod gather;
mod gather_elements;
mod gather_nd;
mod gelu;
mod gelu_with;
mod gemm;
mod global_average_pool;
mod kinked;
mod linear;
pub(crate) mod loss;
mod matmul;
mod movement;
mod mul;
mod normalization;
mod order;
mod pad;
mod pool;
mod pow;
mod prelu;
mod reduce;
mod reduce_extremum;
mod reduce_product;
mod reduced;
mod relu;
mod reshape;
mod rows;
mod scatter;
mod slice;
mod softmax;
mod standardize;
mod standardize_lines;
mod standardize_rows;
mod strided;
mod transpose;
mod trilu;
pub(crate) mod unary;

pub use activation::{Mish, Sigmoid, Silu, Softplus, Softsign, Tanh};
pub use add::{Add, Sub};
pub use batch_norm::{BatchNorm, BatchNormMode};
pub use choose::Where;
pub use compare::Compare;
pub use concat::Concat;
pub use conv::{Conv2d, ConvTranspose2d};
pub use cumsum::CumSum;
pub use depth_to_space::{BlockOrder, ChannelAxis, DepthToSpace, SpaceToDepth};
pub use det::Det;
pub use expand::{Expand, ExpandBatch, ResizeNearest, Tile};
pub use extremum::{Max, Min};
pub use flat::{Ceil, Floor, Not, Round, Sign, Trunc};
pub use functions::{
    Abs, Acos, Acosh, Asin, Asinh, Atan, Atanh, Cos, Cosh, Erf, Exp, Log, Neg, PowConst, Reciprocal, Sin,
    Sinh, Sqrt, Square, Tan,
};
pub use gather::{Gather, Take};
pub use gather_elements::GatherElements;
pub use gather_nd::GatherNd;
pub use gelu::Gelu;
pub use gelu_with::GeluWith;
pub use gemm::Gemm;
pub use global_average_pool::GlobalAveragePool;
pub use kinked::{Clip, Elu, HardSigmoid, HardSwish, LeakyRelu, ThresholdedRelu};
pub use linear::Linear;
pub use loss::{
    BinaryCrossEntropyWithLogits, CrossEntropy, CrossEntropyOfProbabilities, NegativeLogLikelihood,
    SoftCrossEntropy, SquaredError,
};
pub use matmul::MatMul;
pub use mul::{Div, Mul};
pub use normalization::{GroupNorm, InstanceNorm, LayerNorm, LpNormalization, RmsNorm};
pub use order::{ArgExtremum, TopKIndices};
pub use pad::{Pad, PadMode};
pub use pool::{AdaptiveAveragePool, AveragePool, MaxPool};
pub use pow::Pow;
pub use prelu::PRelu;
pub use reduce::{Reduce, Reduction};
pub use reduce_extremum::ReduceExtremum;
pub use reduce_product::ReduceProduct;
pub use relu::Relu;
pub use reshape::{Flatten, Identity, Reshape, Squeeze, Unsqueeze};
pub use scatter::{Scatter, ScatterReduction};
pub use slice::Slice;
pub use softmax::{LogSoftmax, Softmax};
pub use transpose::Transpose;
pub use trilu::Trilu;

crate::op::into_op!(
    Abs,
    Acos,
    Acosh,
    AdaptiveAveragePool,
    Add,
    ArgExtremum,
    Asin,
    Asinh,
    Atan,
    Atanh,
    AveragePool,
    BatchNorm,
    BinaryCrossEntropyWithLogits,
    Ceil,
    Clip,
    Compare,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Cos,
    Cosh,
    CrossEntropy,
    CrossEntropyOfProbabilities,
    CumSum,
    DepthToSpace,
    Det,
    Div,
    Elu,
    Erf,
    Exp,
    Expand,
    ExpandBatch,
    Flatten,
    Floor,
    Gather,
    GatherElements,
    GatherNd,
    Gemm,
    GlobalAveragePool,
    GroupNorm,
    HardSigmoid,
    HardSwish,
    Identity,
    InstanceNorm,
    LayerNorm,
    LeakyRelu,
    Linear,
    Log,
    LogSoftmax,
    LpNormalization,
    MatMul,
    Max,
    MaxPool,
    Min,
    Mish,
    Mul,
    Neg,
    NegativeLogLikelihood,
    Not,
    PRelu,
    Pad,
    Pow,
    PowConst,
    Reciprocal,
    Reduce,
    ReduceExtremum,
    ReduceProduct,
    Relu,
    Reshape,
    ResizeNearest,
    RmsNorm,
    Round,
    Scatter,
    Sigmoid,
    Sign,
    Silu,
    Sin,
    Sinh,
    Slice,
    SoftCrossEntropy,
    Softmax,
    Softplus,
    Softsign,
    SpaceToDepth,
    Sqrt,
    Square,
    SquaredError,
    Squeeze,
    Sub,
    Take,
    Tan,
    Tanh,
    ThresholdedRelu,
    Tile,
    TopKIndices,
    Transpose,
    Trilu,
    Trunc,
    Unsqueeze,
    Where
);

#[cfg(test)]
mod untaken_tests;
