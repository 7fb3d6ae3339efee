//! Arrays as files store them: a shape and numbers of some type, decoded without trusting declared sizes.

use std::fmt;
use std::io::Read;
use std::ops::Range;

use super::DataError;
use super::dataset::{check_range, checked_product};

/// Elements decoded at a time.
const CHUNK: usize = 16 * 1024;
/// The largest capacity (in elements) reserved before any element was read; beyond it memory grows with what is really there.
const FIRST_CAPACITY: usize = 1 << 22;

/// The number types that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ElementType {
    /// One byte, zero or not.
    Bool,
    /// Unsigned integer.
    U8,
    /// Unsigned integer.
    U16,
    /// Unsigned integer.
    U32,
    /// Unsigned integer.
    U64,
    /// Signed integer.
    I8,
    /// Signed integer.
    I16,
    /// Signed integer.
    I32,
    /// Signed integer.
    I64,
    /// IEEE half precision.
    F16,
    /// Brain floating point.
    BF16,
    /// IEEE single precision.
    F32,
    /// IEEE double precision.
    F64,
}

impl ElementType {
    /// Bytes per element.
    pub fn width(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 | Self::BF16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// Whether it is floating point.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::BF16 | Self::F32 | Self::F64)
    }

    pub(crate) fn empty_values(self, capacity: usize) -> ArrayValues {
        match self {
            Self::F16 | Self::BF16 | Self::F32 | Self::F64 => {
                ArrayValues::Floats(Vec::with_capacity(capacity))
            }
            Self::Bool | Self::U8 => ArrayValues::Bytes(Vec::with_capacity(capacity)),
            _ => ArrayValues::Integers(Vec::with_capacity(capacity)),
        }
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", format!("{self:?}").to_lowercase())
    }
}

/// The numbers of an array, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum ArrayValues {
    /// Floating point; doubles are rounded to nearest.
    Floats(Vec<f32>),
    /// Unsigned bytes and truth values.
    Bytes(Vec<u8>),
    /// Other integers.
    Integers(Vec<i64>),
}

impl ArrayValues {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Floats(v) => v.len(),
            Self::Bytes(v) => v.len(),
            Self::Integers(v) => v.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn permuted(self, source: impl Iterator<Item = usize>) -> Self {
        match self {
            Self::Floats(v) => Self::Floats(source.map(|i| v[i]).collect()),
            Self::Bytes(v) => Self::Bytes(source.map(|i| v[i]).collect()),
            Self::Integers(v) => Self::Integers(source.map(|i| v[i]).collect()),
        }
    }
}

/// An array read from a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Shape; the product is the number of values.
    pub shape: Vec<usize>,
    /// Type in the file.
    pub stored: ElementType,
    /// The values, row-major.
    pub values: ArrayValues,
}

/// How a file stores an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub shape: Vec<usize>,
    pub stored: ElementType,
    pub big_endian: bool,
    /// First index fastest.
    pub fortran: bool,
}

impl Layout {
    /// Bytes of the whole array; an error where the product overflows.
    pub fn bytes(&self) -> Result<u64, DataError> {
        checked_product(&self.shape)
            .and_then(|n| n.checked_mul(self.stored.width()))
            .map(|n| n as u64)
            .ok_or_else(|| {
                DataError::malformed("shape", format!("{:?}", self.shape), "a size that fits the memory")
            })
    }

    /// Whether `available` bytes can hold it.
    pub fn check_size(&self, available: u64) -> Result<(), DataError> {
        let bytes = self.bytes()?;
        if bytes <= available {
            return Ok(());
        }
        Err(DataError::malformed(
            "array data",
            format!("at most {available} bytes"),
            format!("{bytes}, for shape {:?} of {}", self.shape, self.stored),
        ))
    }

    /// Reads the array, or its rows of a range, from a reader that stands at its first byte.
    ///
    /// `available` bounds the bytes the reader can give; it is checked before anything is allocated.
    pub fn read(
        self,
        reader: &mut dyn Read,
        available: u64,
        rows: Option<&Range<usize>>,
    ) -> Result<Array, DataError> {
        self.check_size(available)?;
        let Self { mut shape, stored, big_endian, fortran } = self;
        let elements = checked_product(&shape).unwrap_or(0);
        let first = shape.first().copied().unwrap_or(1);
        let rows = rows.cloned().unwrap_or(0..first);
        if rows != (0..first) {
            check_range(&rows, first, "the array")?;
        }
        let row = elements.checked_div(first).unwrap_or(0);
        // Fortran order with one axis is C order.
        let fortran = fortran && shape.len() > 1;
        let (skip, count) =
            if fortran { (0, elements) } else { (rows.start * row, (rows.end - rows.start) * row) };
        skip_bytes(reader, (skip * stored.width()) as u64)?;
        let mut values = decode(reader, stored, big_endian, count)?;
        if fortran && elements > 0 {
            values = values.permuted(fortran_source(&shape, &rows));
        }
        if let Some(first) = shape.first_mut() {
            *first = rows.end - rows.start;
        }
        Ok(Array { shape, stored, values })
    }
}

fn skip_bytes(reader: &mut dyn Read, bytes: u64) -> Result<(), DataError> {
    let skipped = std::io::copy(&mut reader.take(bytes), &mut std::io::sink()).map_err(truncated)?;
    if skipped < bytes {
        return Err(DataError::malformed(
            "array data",
            format!("an end after {skipped} bytes"),
            format!("at least {bytes}"),
        ));
    }
    Ok(())
}

fn truncated(e: std::io::Error) -> DataError {
    DataError::malformed("array data", e.to_string(), "as many bytes as its shape needs")
}

fn decode(
    reader: &mut dyn Read,
    stored: ElementType,
    big_endian: bool,
    count: usize,
) -> Result<ArrayValues, DataError> {
    let width = stored.width();
    let mut buffer = vec![0; CHUNK.min(count) * width];
    let mut values = stored.empty_values(count.min(FIRST_CAPACITY));
    let mut left = count;
    while left > 0 {
        let n = left.min(CHUNK);
        let bytes = &mut buffer[..n * width];
        reader.read_exact(bytes).map_err(truncated)?;
        if big_endian {
            bytes.chunks_exact_mut(width).for_each(<[u8]>::reverse);
        }
        append(stored, bytes, &mut values)?;
        left -= n;
    }
    Ok(values)
}

/// Appends little-endian elements.
pub(crate) fn append(stored: ElementType, bytes: &[u8], values: &mut ArrayValues) -> Result<(), DataError> {
    fn each<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
        bytes.as_chunks::<N>().0.iter().copied()
    }
    match values {
        ArrayValues::Floats(v) => match stored {
            ElementType::F16 => v.extend(each(bytes).map(|b| half::f16::from_le_bytes(b).to_f32())),
            ElementType::BF16 => v.extend(each(bytes).map(|b| half::bf16::from_le_bytes(b).to_f32())),
            ElementType::F64 => v.extend(each(bytes).map(|b| f64::from_le_bytes(b) as f32)),
            _ => v.extend(each(bytes).map(f32::from_le_bytes)),
        },
        ArrayValues::Bytes(v) => match stored {
            ElementType::Bool => v.extend(bytes.iter().map(|&b| u8::from(b != 0))),
            _ => v.extend_from_slice(bytes),
        },
        ArrayValues::Integers(v) => match stored {
            ElementType::I8 => v.extend(bytes.iter().map(|&b| i64::from(b as i8))),
            ElementType::U16 => v.extend(each(bytes).map(|b| i64::from(u16::from_le_bytes(b)))),
            ElementType::I16 => v.extend(each(bytes).map(|b| i64::from(i16::from_le_bytes(b)))),
            ElementType::U32 => v.extend(each(bytes).map(|b| i64::from(u32::from_le_bytes(b)))),
            ElementType::I32 => v.extend(each(bytes).map(|b| i64::from(i32::from_le_bytes(b)))),
            ElementType::U64 => {
                for b in each(bytes) {
                    let n = u64::from_le_bytes(b);
                    v.push(i64::try_from(n).map_err(|_| {
                        DataError::malformed("array data", n.to_string(), "integers below 2^63")
                    })?);
                }
            }
            _ => v.extend(each(bytes).map(i64::from_le_bytes)),
        },
    }
    Ok(())
}

/// For each element of the rows in C order, its place in the whole array in Fortran order.
fn fortran_source(shape: &[usize], rows: &Range<usize>) -> impl Iterator<Item = usize> {
    let strides: Vec<usize> = shape
        .iter()
        .scan(1usize, |stride, &d| {
            let this = *stride;
            *stride *= d.max(1);
            Some(this)
        })
        .collect();
    let mut extent = shape.to_vec();
    extent[0] = rows.end - rows.start;
    let count: usize = extent.iter().product();
    let start = rows.start;
    (0..count).map(move |mut c| {
        let mut place = start * strides[0];
        for axis in (0..extent.len()).rev() {
            place += (c % extent[axis]) * strides[axis];
            c /= extent[axis];
        }
        place
    })
}
