//! Convolutions and matrix products on every code path of this processor against plain sums in f64.

use saddlescope_nn::Dtype;
use saddlescope_nn::Isa;
use saddlescope_nn::conformance::{ALLOWED, convolution_error, matrix_product_error};

use super::{Fault, Run};

pub(super) fn check(run: &mut Run<'_>, fault: Fault<'_>) {
    let allowed = (ALLOWED, "ε of the largest absolute sum");
    for &isa in Isa::available() {
        for (what, error) in [
            ("convolution", convolution_error as fn(Isa, Dtype, Fault<'_>) -> f64),
            ("matrix product", matrix_product_error),
        ] {
            for dtype in [Dtype::F32, Dtype::F64] {
                let name = format!("{isa:?}, {dtype}: {what}");
                run.check("kernels", name, "plain sums in f64", allowed, || Ok(error(isa, dtype, fault)));
            }
        }
    }
}
