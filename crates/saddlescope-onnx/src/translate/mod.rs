//! From ONNX nodes to the engine's graph.
//!
//! [`walk`] follows the nodes; what depends on parameters is put into the engine by the translation of its operator: one
//! small file an operator or family, registered by a line in [`TRANSLATIONS`].

mod activation;
mod attention;
mod batch_norm;
mod binary;
mod builder;
mod cast;
mod compare;
mod concat;
mod control;
mod conv;
mod cumulative;
mod data_program;
mod deform;
mod det;
mod draft;
mod eager;
mod einsum;
mod expand;
mod extremum;
mod fourier;
mod gather;
mod gemm;
mod kit;
mod lift;
mod linear_attention;
mod loss;
mod matmul;
mod normalization;
mod order;
mod pad;
mod places;
mod pool;
mod probes;
mod recurrent;
mod reduce;
mod reshape;
mod resize;
mod reverse;
mod roi;
mod sample;
mod scatter;
mod sequence;
mod slice;
mod softmax;
mod split;
mod symbol;
mod transpose;
mod unary;
mod volume;
mod walk;
mod window;

pub(crate) use builder::Feed;
pub(crate) use data_program::DataProgram;
pub use data_program::ModelInput;
pub(crate) use draft::DraftId;
pub use eager::evaluate;
pub(crate) use lift::lifted;
pub(crate) use symbol::{PROBES, Symbol, channels_last, identity};
use walk::Site;
pub(crate) use walk::{Walker, data_symbol};

use super::error::OpError;
use saddlescope_nn::ops;
use unary::unary;

/// Puts one node into the engine.
type Translate = fn(&mut Site<'_>) -> Result<Vec<Symbol>, OpError>;

/// Every operator that the engine computes and differentiates, in alphabetical order.
#[rustfmt::skip]
pub(crate) const TRANSLATIONS: &[(&str, Translate)] = &[
    ("Abs", |s| unary(s, ops::Abs)),
    ("Acos", |s| unary(s, ops::Acos)),
    ("Acosh", |s| unary(s, ops::Acosh)),
    ("Add", binary::add),
    ("AffineGrid", sample::affine_grid),
    ("And", compare::and),
    ("ArgMax", order::arg_max),
    ("ArgMin", order::arg_min),
    ("Asin", |s| unary(s, ops::Asin)),
    ("Asinh", |s| unary(s, ops::Asinh)),
    ("Atan", |s| unary(s, ops::Atan)),
    ("Atanh", |s| unary(s, ops::Atanh)),
    ("Attention", attention::attention),
    ("AveragePool", pool::average),
    ("BatchNormalization", batch_norm::batch_norm),
    ("BiasGelu", activation::bias_gelu),
    ("Cast", cast::cast),
    ("CastLike", cast::cast_like),
    ("CausalConvWithState", linear_attention::causal_conv),
    ("Ceil", |s| unary(s, ops::Ceil)),
    ("Celu", activation::celu),
    ("CenterCropPad", pad::center_crop),
    ("Clip", activation::clip),
    ("Col2Im", sample::col2im),
    ("Concat", concat::concat),
    ("Conv", conv::conv),
    ("ConvTranspose", conv::conv_transpose),
    ("Cos", |s| unary(s, ops::Cos)),
    ("Cosh", |s| unary(s, ops::Cosh)),
    ("CumProd", cumulative::product),
    ("CumSum", cumulative::sum),
    ("DFT", fourier::dft),
    ("DeformConv", deform::deform_conv),
    ("DepthToSpace", reshape::depth_to_space),
    ("Det", det::det),
    ("Div", binary::div),
    ("Dropout", reshape::dropout),
    ("Einsum", einsum::einsum),
    ("Elu", activation::elu),
    ("Equal", compare::equal),
    ("Erf", |s| unary(s, ops::Erf)),
    ("Exp", |s| unary(s, ops::Exp)),
    ("Expand", expand::expand),
    ("FastGelu", activation::bias_gelu),
    ("Flatten", reshape::flatten),
    ("FlexAttention", attention::flex_attention),
    ("Floor", |s| unary(s, ops::Floor)),
    ("GRU", recurrent::gru),
    ("Gather", gather::gather),
    ("GatherElements", gather::elements),
    ("GatherND", gather::gather_nd),
    ("Gelu", activation::gelu),
    ("Gemm", gemm::gemm),
    ("GlobalAveragePool", pool::global_average),
    ("GlobalLpPool", pool::global_lp),
    ("GlobalMaxPool", pool::global_max),
    ("Greater", compare::greater),
    ("GreaterOrEqual", compare::greater_or_equal),
    ("GridSample", sample::grid_sample),
    ("GroupNormalization", normalization::group),
    ("HardSigmoid", activation::hard_sigmoid),
    ("HardSwish", |s| unary(s, ops::HardSwish)),
    ("Hardmax", order::hardmax),
    ("Identity", reshape::identity),
    ("InstanceNormalization", normalization::instance),
    ("IsInf", cumulative::is_inf),
    ("IsNaN", compare::is_nan),
    ("LRN", normalization::local_response),
    ("LSTM", recurrent::lstm),
    ("LayerNormalization", normalization::layer),
    ("LeakyRelu", activation::leaky_relu),
    ("Less", compare::less),
    ("LessOrEqual", compare::less_or_equal),
    ("LinearAttention", linear_attention::linear_attention),
    ("Log", |s| unary(s, ops::Log)),
    ("LogSoftmax", softmax::log_softmax),
    ("LpNormalization", normalization::lp),
    ("LpPool", pool::lp),
    ("MatMul", matmul::matmul),
    ("Max", extremum::max),
    ("MaxPool", pool::max),
    ("MaxUnpool", places::unpool),
    ("Mean", binary::mean),
    ("MeanVarianceNormalization", normalization::mean_variance),
    ("Min", extremum::min),
    ("Mish", |s| unary(s, ops::Mish)),
    ("Mod", cumulative::modulo),
    ("Mul", binary::mul),
    ("Neg", |s| unary(s, ops::Neg)),
    ("NegativeLogLikelihoodLoss", loss::negative_log_likelihood),
    ("Not", compare::not),
    ("OneHot", order::one_hot),
    ("Or", compare::or),
    ("PRelu", activation::prelu),
    ("Pad", pad::pad),
    ("Pow", binary::pow),
    ("QuickGelu", activation::swish),
    ("RMSNormalization", normalization::rms),
    ("RNN", recurrent::rnn),
    ("Reciprocal", |s| unary(s, ops::Reciprocal)),
    ("ReduceL1", reduce::l1),
    ("ReduceL2", reduce::l2),
    ("ReduceLogSum", reduce::log_sum),
    ("ReduceLogSumExp", reduce::log_sum_exp),
    ("ReduceMax", reduce::max),
    ("ReduceMean", reduce::mean),
    ("ReduceMin", reduce::min),
    ("ReduceProd", reduce::prod),
    ("ReduceSum", reduce::sum),
    ("ReduceSumSquare", reduce::sum_square),
    ("Relu", |s| unary(s, ops::Relu)),
    ("Reshape", reshape::reshape),
    ("Resize", resize::resize),
    ("ReverseSequence", reverse::reverse_sequence),
    ("RoiAlign", roi::roi_align),
    ("RotaryEmbedding", attention::rotary_embedding),
    ("Round", |s| unary(s, ops::Round)),
    ("STFT", fourier::stft),
    ("Scatter", scatter::elements),
    ("ScatterElements", scatter::elements),
    ("ScatterND", scatter::nd),
    ("Selu", activation::selu),
    ("Shrink", activation::shrink),
    ("Sigmoid", |s| unary(s, ops::Sigmoid)),
    ("Sign", |s| unary(s, ops::Sign)),
    ("Sin", |s| unary(s, ops::Sin)),
    ("Sinh", |s| unary(s, ops::Sinh)),
    ("Slice", slice::slice),
    ("Softmax", softmax::softmax),
    ("SoftmaxCrossEntropyLoss", loss::softmax_cross_entropy),
    ("Softplus", |s| unary(s, ops::Softplus)),
    ("Softsign", |s| unary(s, ops::Softsign)),
    ("SpaceToDepth", reshape::space_to_depth),
    ("Split", split::split),
    ("Sqrt", |s| unary(s, ops::Sqrt)),
    ("Squeeze", reshape::squeeze),
    ("Sub", binary::sub),
    ("Sum", binary::sum),
    ("SwiGLU", activation::swiglu),
    ("Swish", activation::swish),
    ("Tan", |s| unary(s, ops::Tan)),
    ("Tanh", |s| unary(s, ops::Tanh)),
    ("TensorScatter", scatter::tensor),
    ("ThresholdedRelu", activation::thresholded_relu),
    ("Tile", expand::tile),
    ("TopK", order::top_k),
    ("Transpose", transpose::transpose),
    ("Trilu", cumulative::trilu),
    ("Unsqueeze", reshape::unsqueeze),
    ("Upsample", resize::resize),
    ("Where", compare::select),
    ("Xor", compare::xor),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_sorted() {
        assert!(TRANSLATIONS.is_sorted_by(|a, b| a.0 < b.0));
    }
}
