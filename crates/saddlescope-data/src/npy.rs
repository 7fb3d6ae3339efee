//! NumPy's `.npy` files.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>, versions 1 to 3. The header is a Python
//! dictionary of three known keys; it is read by a parser for just that, because general parsers of Python literals
//! recurse without bound on hostile input.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use super::array::{Array, ElementType, Layout};
use super::named_arrays::{ArrayFile, Place};
use super::{DataError, files};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Longest header accepted; NumPy's own limit is 10,000 bytes.
const MAX_HEADER: usize = 65_536;
/// NumPy's own limit on the number of axes.
const MAX_RANK: usize = 64;

/// Reads the bytes of an `.npy` file.
///
/// # Errors
/// [`DataError::Malformed`] if the bytes are no `.npy` file, hold something else than real numbers, or are more or fewer than
/// the shape needs.
pub fn parse(bytes: &[u8]) -> Result<Array, DataError> {
    read(&mut &bytes[..], bytes.len() as u64, None)
}

/// Reads an array (or its rows of a range) from a reader that gives at most `available` bytes.
pub(crate) fn read(
    reader: &mut dyn Read,
    available: u64,
    rows: Option<&Range<usize>>,
) -> Result<Array, DataError> {
    let (layout, header) = read_header(reader)?;
    let array = layout.read(reader, available.saturating_sub(header), rows)?;
    if rows.is_none() {
        // Also lets a reader of a zip entry compare its checksum, which it does at the end.
        match reader.read(&mut [0]) {
            Ok(0) => {}
            Ok(_) => {
                return Err(DataError::malformed("end of the array", "more bytes", "the end of the file"));
            }
            Err(e) => return Err(DataError::malformed("end of the array", e.to_string(), "sound data")),
        }
    }
    Ok(array)
}

/// Where the array of an `.npy` file lies that begins at `start` of a file and is `length` bytes long.
pub(crate) fn place(path: &Path, mut file: File, start: u64, length: u64) -> Result<Place, DataError> {
    file.seek(SeekFrom::Start(start)).map_err(DataError::io(path, "cannot seek"))?;
    let (layout, header) = checked_header(&mut file, length).map_err(|e| e.in_file(path))?;
    Ok(Place { path: path.to_path_buf(), file, offset: start + header, layout })
}

/// The header of an array that fills the `length` bytes from here on.
fn checked_header(file: &mut File, length: u64) -> Result<(Layout, u64), DataError> {
    let (layout, header) = read_header(&mut file.take(length))?;
    layout.check_size(length.saturating_sub(header))?;
    if header + layout.bytes()? < length {
        return Err(DataError::malformed("end of the array", "more bytes", "the end of the file"));
    }
    Ok((layout, header))
}

/// The layout, and the number of bytes before the data.
fn read_header(reader: &mut dyn Read) -> Result<(Layout, u64), DataError> {
    let short = |e: std::io::Error| DataError::malformed("header", e.to_string(), "an .npy header");
    let mut start = [0; 8];
    reader.read_exact(&mut start).map_err(short)?;
    if &start[..6] != MAGIC {
        let found = start[..6].escape_ascii().to_string();
        return Err(DataError::malformed("first bytes", found, "\\x93NUMPY, which begins every .npy file"));
    }
    let (length, before) = match start[6] {
        1 => {
            let mut b = [0; 2];
            reader.read_exact(&mut b).map_err(short)?;
            (usize::from(u16::from_le_bytes(b)), 10)
        }
        2 | 3 => {
            let mut b = [0; 4];
            reader.read_exact(&mut b).map_err(short)?;
            (u32::from_le_bytes(b) as usize, 12)
        }
        other => return Err(DataError::malformed("format version", other.to_string(), "1, 2 or 3")),
    };
    if length > MAX_HEADER {
        return Err(DataError::malformed(
            "header length",
            format!("{length} bytes"),
            format!("at most {MAX_HEADER}"),
        ));
    }
    let mut text = vec![0; length];
    reader.read_exact(&mut text).map_err(short)?;
    Ok((Parser { text: &text, at: 0 }.dictionary()?, before + length as u64))
}

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn dictionary(mut self) -> Result<Layout, DataError> {
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        self.expect(b'{')?;
        while !self.accept(b'}') {
            let key = self.string()?;
            self.expect(b':')?;
            match key.as_str() {
                "descr" => descr = Some(self.element_type()?),
                "fortran_order" => fortran = Some(self.boolean()?),
                "shape" => shape = Some(self.shape()?),
                _ => return Err(self.error("descr, fortran_order or shape", Some(key))),
            }
            if !self.accept(b',') {
                self.expect(b'}')?;
                break;
            }
        }
        if let Some(c) = self.peek() {
            return Err(self.error("only spaces after the dictionary", Some(char::from(c).to_string())));
        }
        match (descr, fortran, shape) {
            (Some((stored, big_endian)), Some(fortran), Some(shape)) => {
                Ok(Layout { shape, stored, big_endian, fortran })
            }
            _ => Err(self.error("the keys descr, fortran_order and shape", None)),
        }
    }

    fn peek(&mut self) -> Option<u8> {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), DataError> {
        if self.accept(byte) { Ok(()) } else { Err(self.error(&format!("{:?}", char::from(byte)), None)) }
    }

    fn error(&self, expected: &str, found: Option<String>) -> DataError {
        let found = found.unwrap_or_else(|| {
            let rest = &self.text[self.at.min(self.text.len())..];
            format!("\"{}\"", rest[..rest.len().min(24)].escape_ascii())
        });
        DataError::malformed(format!("header, byte {}", self.at), found, expected)
    }

    fn string(&mut self) -> Result<String, DataError> {
        let Some(quote @ (b'\'' | b'"')) = self.peek() else {
            return Err(self.error("a quoted text", None));
        };
        let body = &self.text[self.at + 1..];
        let Some(end) = body.iter().position(|&c| c == quote) else {
            return Err(self.error("a quoted text", None));
        };
        self.at += end + 2;
        Ok(body[..end].escape_ascii().to_string())
    }

    fn boolean(&mut self) -> Result<bool, DataError> {
        self.peek();
        for (word, value) in [("True", true), ("False", false)] {
            if self.text[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.error("True or False", None))
    }

    fn shape(&mut self) -> Result<Vec<usize>, DataError> {
        self.expect(b'(')?;
        let mut shape = Vec::new();
        while !self.accept(b')') {
            if shape.len() == MAX_RANK {
                return Err(self.error(&format!("at most {MAX_RANK} axes"), None));
            }
            shape.push(self.integer()?);
            if !self.accept(b',') {
                self.expect(b')')?;
                break;
            }
        }
        Ok(shape)
    }

    fn integer(&mut self) -> Result<usize, DataError> {
        self.peek();
        let digits = self.text[self.at..].iter().take_while(|c| c.is_ascii_digit()).count();
        let number = std::str::from_utf8(&self.text[self.at..self.at + digits]).ok();
        let Some(number) = number.and_then(|n| n.parse().ok()) else {
            return Err(self.error("a size", None));
        };
        self.at += digits;
        // Python 2 wrote long integers with an L.
        if self.text.get(self.at) == Some(&b'L') {
            self.at += 1;
        }
        Ok(number)
    }

    /// The element type, and whether it is big-endian.
    fn element_type(&mut self) -> Result<(ElementType, bool), DataError> {
        if self.peek() == Some(b'[') {
            return Err(self.error("an array of numbers, not of records", None));
        }
        let text = self.string()?;
        let wrong = || {
            DataError::malformed(
                "header, descr",
                format!("{text:?}"),
                "real numbers or truth values (f2, f4, f8, i1 to i8, u1 to u8, b1)",
            )
        };
        let (order, kind) = text.split_at_checked(1).ok_or_else(wrong)?;
        let stored = match kind {
            "b1" => ElementType::Bool,
            "u1" => ElementType::U8,
            "u2" => ElementType::U16,
            "u4" => ElementType::U32,
            "u8" => ElementType::U64,
            "i1" => ElementType::I8,
            "i2" => ElementType::I16,
            "i4" => ElementType::I32,
            "i8" => ElementType::I64,
            "f2" => ElementType::F16,
            "f4" => ElementType::F32,
            "f8" => ElementType::F64,
            _ => return Err(wrong()),
        };
        match order {
            "<" => Ok((stored, false)),
            ">" => Ok((stored, true)),
            "|" if stored.width() == 1 => Ok((stored, false)),
            _ => Err(wrong()),
        }
    }
}

/// Separate `.npy` files for inputs and targets, as a file of named arrays `x` and `y`.
pub(crate) struct NpyPair<'a> {
    pub inputs: &'a Path,
    pub targets: Option<&'a Path>,
}

impl ArrayFile for NpyPair<'_> {
    fn names(&self) -> Vec<String> {
        let mut names = vec!["x".to_owned()];
        names.extend(self.targets.map(|_| "y".to_owned()));
        names
    }

    fn read(&mut self, index: usize, rows: Option<&Range<usize>>) -> Result<Array, DataError> {
        let path = if index == 0 { self.inputs } else { self.targets.unwrap_or(self.inputs) };
        let (file, len) = files::open(path)?;
        read(&mut std::io::BufReader::new(file), len, rows).map_err(|e| e.in_file(path))
    }

    fn place(&mut self, index: usize) -> Result<Option<Place>, DataError> {
        let path = if index == 0 { self.inputs } else { self.targets.unwrap_or(self.inputs) };
        let (file, length) = files::open(path)?;
        place(path, file, 0, length).map(Some)
    }
}

#[cfg(test)]
#[path = "npy_tests.rs"]
pub(crate) mod tests;
