//! Element types of ONNX tensors and the rounding that belongs to each.

use std::fmt;

use half::{bf16, f16};

/// Element type of an ONNX tensor (`TensorProto.DataType`).
///
/// Complex numbers and the types of fewer than eight bits are not supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // The names say it.
pub enum ElementType {
    F32,
    U8,
    I8,
    U16,
    I16,
    I32,
    I64,
    String,
    Bool,
    F16,
    F64,
    U32,
    U64,
    Bf16,
}

use ElementType::*;

/// Every supported type with its code in the file, its name in the standard and its bytes in raw data.
const TYPES: [(ElementType, i32, &str, usize); 14] = [
    (F32, 1, "float", 4),
    (U8, 2, "uint8", 1),
    (I8, 3, "int8", 1),
    (U16, 4, "uint16", 2),
    (I16, 5, "int16", 2),
    (I32, 6, "int32", 4),
    (I64, 7, "int64", 8),
    (String, 8, "string", 0),
    (Bool, 9, "bool", 1),
    (F16, 10, "float16", 2),
    (F64, 11, "double", 8),
    (U32, 12, "uint32", 4),
    (U64, 13, "uint64", 8),
    (Bf16, 16, "bfloat16", 2),
];

impl ElementType {
    /// The type with this code in the file; `None` for types that are not supported.
    pub fn from_code(code: i64) -> Option<Self> {
        TYPES.iter().find(|t| i64::from(t.1) == code).map(|t| t.0)
    }

    fn row(self) -> &'static (ElementType, i32, &'static str, usize) {
        // Every variant has its row: checked by a test below.
        TYPES.iter().find(|t| t.0 == self).unwrap_or(&TYPES[0])
    }

    /// Code in the file.
    pub fn code(self) -> i32 {
        self.row().1
    }

    /// Bytes of one element in raw data; 0 for strings, which have none.
    pub fn bytes(self) -> usize {
        self.row().3
    }

    /// One of the four floating-point types.
    pub fn is_float(self) -> bool {
        matches!(self, F32 | F64 | F16 | Bf16)
    }

    /// One of the eight integer types.
    pub fn is_integer(self) -> bool {
        self.integer_bits().is_some()
    }

    /// Bits and signedness of an integer type.
    pub fn integer_bits(self) -> Option<(u32, bool)> {
        Some(match self {
            I8 => (8, true),
            I16 => (16, true),
            I32 => (32, true),
            I64 => (64, true),
            U8 => (8, false),
            U16 => (16, false),
            U32 => (32, false),
            U64 => (64, false),
            F32 | F64 | F16 | Bf16 | Bool | String => return None,
        })
    }

    /// Nearest number of this floating-point type. A sum, product, quotient or root of two numbers of a narrower type
    /// computed in `f64` and rounded here is the correctly rounded result (53 ≥ 2·24 + 2 bits).
    pub fn round(self, x: f64) -> f64 {
        match self {
            F32 => f64::from(x as f32),
            F16 => f16::from_f64(x).to_f64(),
            Bf16 => bf16::from_f64(x).to_f64(),
            _ => x,
        }
    }

    /// The integer modulo 2^bits, as two's-complement arithmetic of this type leaves it.
    pub fn wrap(self, x: i128) -> i128 {
        match self {
            I8 => i128::from(x as i8),
            I16 => i128::from(x as i16),
            I32 => i128::from(x as i32),
            I64 => i128::from(x as i64),
            U8 => i128::from(x as u8),
            U16 => i128::from(x as u16),
            U32 => i128::from(x as u32),
            U64 => i128::from(x as u64),
            _ => x,
        }
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_own_row() {
        for (t, code, name, _) in TYPES {
            assert_eq!(ElementType::from_code(i64::from(code)), Some(t));
            assert_eq!(t.to_string(), name);
            assert!(t.is_float() || t.is_integer() || matches!(t, Bool | String));
        }
        assert_eq!(ElementType::from_code(14), None); // complex64
    }

    #[test]
    fn arithmetic_wraps_and_rounds() {
        assert_eq!(U8.wrap(-1), 255);
        assert_eq!(I8.wrap(128), -128);
        assert_eq!(U64.wrap(-1), i128::from(u64::MAX));
        assert_eq!(F16.round(1.0 + 2f64.powi(-12)), 1.0);
        assert_eq!(Bf16.round(1.0 + 2f64.powi(-7)), 1.0 + 2f64.powi(-7));
    }
}
