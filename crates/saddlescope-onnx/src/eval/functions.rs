//! Elementary functions of one float, and rounding; for constants such as positional encodings and resize scales.

use super::Call;
use super::broadcast::map;
use crate::error::OpError;
use crate::value::Value;

type Outputs = Result<Vec<Value>, OpError>;

fn float(call: &Call<'_>, f: impl Fn(f64) -> f64) -> Outputs {
    let x = call.input(0)?;
    x.as_floats()?;
    map(x, f, |x| x)
}

macro_rules! elementary {
    ($($name:ident = $f:expr;)*) => {
        $(pub(super) fn $name(call: &Call<'_>) -> Outputs {
            float(call, $f)
        })*
    };
}

elementary! {
    acos = f64::acos;
    acosh = f64::acosh;
    asin = f64::asin;
    asinh = f64::asinh;
    atan = f64::atan;
    atanh = f64::atanh;
    ceil = f64::ceil;
    cos = f64::cos;
    cosh = f64::cosh;
    erf = libm::erf;
    exp = f64::exp;
    floor = f64::floor;
    log = f64::ln;
    reciprocal = |x: f64| 1.0 / x;
    round = f64::round_ties_even;
    sin = f64::sin;
    sinh = f64::sinh;
    sqrt = f64::sqrt;
    tan = f64::tan;
}
