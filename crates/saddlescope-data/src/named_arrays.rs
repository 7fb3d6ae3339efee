//! From a file of named arrays to a data set: which array is what.
//!
//! * Names: `y`, `target(s)` and `label(s)` are targets, every other array is an input of its name. If arrays carry `train` or
//!   `test` in their names (`x_train`, `test_images`), only those of the split are used, without that part of the name;
//!   otherwise the arrays serve every split.
//! * Inputs: the first axis counts samples. Floating point is taken as it is. Bytes of three or more axes are images: scaled to
//!   [0, 1], and given a channel axis if they have none. Other integers are integer inputs (token numbers).
//! * Targets: integers of shape `[n]` or `[n, 1]` are classes, `[n, …]` classes per position; floating point is values.
//!   The number of classes is the largest label of the whole array plus one.

use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;

use super::array::{Array, ArrayValues, ElementType, Layout};
use super::dataset::{MAX_EXACT_INTEGER, check_range};
use super::segments::Segments;
use super::{DataError, Dataset, IGNORED_LABEL, InputTensor, Normalization, Split, Targets, Values};

const TARGET_NAMES: [&str; 5] = ["y", "target", "targets", "label", "labels"];

/// A file that holds arrays by name.
pub(crate) trait ArrayFile {
    /// The names, in the file's order.
    fn names(&self) -> Vec<String>;

    /// Reads an array by its number, or its rows of a range.
    fn read(&mut self, index: usize, rows: Option<&Range<usize>>) -> Result<Array, DataError>;

    /// Where an array lies in a file as it is, from its first byte on; `None` if it does not, or need not stay there.
    fn place(&mut self, index: usize) -> Result<Option<Place>, DataError> {
        let _ = index;
        Ok(None)
    }
}

/// Where an array lies.
pub(crate) struct Place {
    pub path: PathBuf,
    pub file: File,
    pub offset: u64,
    /// Checked against the size of the file.
    pub layout: Layout,
}

/// Whether arrays of the file belong to that split alone.
pub(crate) fn has(file: &dyn ArrayFile, split: Split) -> bool {
    file.names().iter().filter_map(|name| split_mark(name)).any(|(of, _)| of == split)
}

/// Reads the split's arrays of a file and makes a data set of them.
pub(crate) fn load(
    file: &mut dyn ArrayFile,
    what: &str,
    split: Split,
    samples: Option<Range<usize>>,
    normalization: Option<Normalization>,
    memory: usize,
) -> Result<Dataset, DataError> {
    let roles = Roles::choose(&file.names(), split)?;
    let mut inputs = Vec::new();
    for (index, name) in &roles.inputs {
        if memory < usize::MAX
            && let Some(place) = file.place(*index)?
            && let Some(input) = stored_input(name, place, samples.as_ref(), memory)?
        {
            inputs.push(input);
            continue;
        }
        let array = file.read(*index, samples.as_ref()).map_err(|e| match e {
            DataError::Range { requested, available, .. } => {
                DataError::Range { what: format!("{what}, array {name:?}"), requested, available }
            }
            other => other,
        })?;
        inputs.push(input(name, array)?);
    }
    let targets = match &roles.targets {
        // All of them, whatever the range: they tell the number of classes.
        Some((index, name)) => targets(name, file.read(*index, None)?, samples.as_ref())?,
        None => Targets::None,
    };
    let mut provenance = format!("{what}, arrays {}", roles.describe());
    if let Some(range) = samples {
        provenance.push_str(&format!(", samples {}..{}", range.start, range.end));
    }
    Dataset::normalized(inputs, targets, normalization.unwrap_or_default(), provenance)
}

/// The file with a first axis of length 1 put before every array: all of it is one sample.
struct OneSample<'a>(&'a mut dyn ArrayFile);

impl ArrayFile for OneSample<'_> {
    fn names(&self) -> Vec<String> {
        self.0.names()
    }

    fn read(&mut self, index: usize, _rows: Option<&Range<usize>>) -> Result<Array, DataError> {
        let mut array = self.0.read(index, None)?;
        array.shape.insert(0, 1);
        Ok(array)
    }
}

/// Reads the split's arrays of a file as the arrays of a single sample.
pub(crate) fn load_one_sample(
    file: &mut dyn ArrayFile,
    what: &str,
    split: Split,
    normalization: Option<Normalization>,
) -> Result<Dataset, DataError> {
    load(&mut OneSample(file), &format!("{what} as one sample"), split, None, normalization, usize::MAX)
}

struct Roles {
    inputs: Vec<(usize, String)>,
    targets: Option<(usize, String)>,
}

impl Roles {
    fn choose(names: &[String], split: Split) -> Result<Self, DataError> {
        let marked: Vec<Option<(Split, String)>> = names.iter().map(|n| split_mark(n)).collect();
        let mut chosen: Vec<(usize, String)> = Vec::new();
        if marked.iter().any(Option::is_some) {
            for (i, mark) in marked.into_iter().enumerate() {
                if let Some((of, rest)) = mark
                    && of == split
                {
                    chosen.push((i, rest));
                }
            }
        } else {
            chosen.extend(names.iter().cloned().enumerate());
        }
        let (targets, inputs): (Vec<_>, Vec<_>) =
            chosen.into_iter().partition(|(_, n)| TARGET_NAMES.contains(&n.as_str()));
        let listed = || format!("arrays {}", names.join(", "));
        if inputs.is_empty() {
            let expected = format!("an input for the {split} split, such as x or x_{split}");
            return Err(DataError::malformed("arrays", listed(), expected));
        }
        if targets.len() > 1 {
            return Err(DataError::malformed(
                "arrays",
                listed(),
                "at most one array of targets (y, targets or labels)",
            ));
        }
        Ok(Self { inputs, targets: targets.into_iter().next() })
    }

    fn describe(&self) -> String {
        self.inputs.iter().chain(&self.targets).map(|(_, n)| n.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// The split a name belongs to, and the name without that.
fn split_mark(name: &str) -> Option<(Split, String)> {
    for split in [Split::Train, Split::Test] {
        let (suffix, prefix) = (format!("_{split}"), format!("{split}_"));
        let rest = name.strip_suffix(&suffix).or_else(|| name.strip_prefix(&prefix));
        if let Some(rest) = rest.filter(|r| !r.is_empty()) {
            return Some((split, rest.to_owned()));
        }
    }
    None
}

/// An input that stays in its file; `None` if it is small enough to be read, or not stored sample by sample. A range that does not
/// fit is left to the reader, which says so.
fn stored_input(
    name: &str,
    place: Place,
    samples: Option<&Range<usize>>,
    memory: usize,
) -> Result<Option<InputTensor>, DataError> {
    let Place { path, file, offset, layout } = place;
    let Some((&count, sample)) = layout.shape.split_first() else { return Ok(None) };
    let range = samples.cloned().unwrap_or(0..count);
    let row: usize = sample.iter().product();
    if range.end > count || range.len().saturating_mul(row).saturating_mul(size_of::<f32>()) <= memory {
        return Ok(None);
    }
    let (shape_per_sample, is_image) = sample_of(&layout.shape, layout.stored);
    let Some(values) = Segments::rows(&path, file, offset, &layout, &range, is_image) else {
        return Ok(None);
    };
    let integer = !is_image && !layout.stored.is_float();
    Ok(Some(InputTensor { name: name.to_owned(), shape_per_sample, values, integer }))
}

/// The shape of one sample, and whether it is an image of bytes.
fn sample_of(shape: &[usize], stored: ElementType) -> (Vec<usize>, bool) {
    let mut sample = shape.get(1..).unwrap_or_default().to_vec();
    let is_image = stored == ElementType::U8 && shape.len() >= 3;
    if is_image && sample.len() == 2 {
        sample.insert(0, 1);
    }
    (sample, is_image)
}

fn input(name: &str, array: Array) -> Result<InputTensor, DataError> {
    if array.shape.is_empty() {
        return Err(DataError::malformed(
            format!("array {name:?}"),
            "a single number",
            "an array whose first axis counts samples",
        ));
    }
    let (shape_per_sample, is_image) = sample_of(&array.shape, array.stored);
    let (values, integer): (Vec<f32>, bool) = match array.values {
        ArrayValues::Floats(v) => (v, false),
        ArrayValues::Bytes(v) if is_image => (v.iter().map(|&p| f32::from(p) / 255.0).collect(), false),
        ArrayValues::Bytes(v) => (v.iter().map(|&n| f32::from(n)).collect(), true),
        ArrayValues::Integers(v) => {
            // Beyond this size integers would be rounded to others without notice.
            if let Some(bad) = v.iter().find(|n| n.unsigned_abs() > MAX_EXACT_INTEGER as u64) {
                let place = format!("array {name:?}");
                return Err(DataError::malformed(
                    place,
                    bad.to_string(),
                    "integers of magnitude at most 2^24",
                ));
            }
            (v.iter().map(|&n| n as f32).collect(), true)
        }
    };
    Ok(InputTensor { name: name.to_owned(), shape_per_sample, values: Values::from(values), integer })
}

fn targets(name: &str, array: Array, samples: Option<&Range<usize>>) -> Result<Targets, DataError> {
    let place = || format!("array {name:?}");
    let Some((&rows, sample)) = array.shape.split_first() else {
        return Err(DataError::malformed(
            place(),
            "a single number",
            "an array whose first axis counts samples",
        ));
    };
    let range = samples.cloned().unwrap_or(0..rows);
    check_range(&range, rows, &place())?;
    let width: usize = sample.iter().product();
    let wanted = range.start * width..range.end * width;
    let labels = match array.values {
        ArrayValues::Floats(v) => {
            return Ok(Targets::Values { values: v[wanted].to_vec(), shape: sample.to_vec() });
        }
        ArrayValues::Bytes(v) => v.into_iter().map(i64::from).collect(),
        ArrayValues::Integers(v) => v,
    };
    let per_position = !sample.is_empty() && sample != [1];
    let mut classes = 0usize;
    for (i, &label) in labels.iter().enumerate() {
        match u32::try_from(label) {
            Ok(l) => classes = classes.max(l as usize + 1),
            Err(_) if per_position && label == IGNORED_LABEL => {}
            Err(_) => {
                return Err(DataError::malformed(
                    format!("array {name:?}, sample {}", i / width.max(1)),
                    format!("label {label}"),
                    if per_position { "a class from 0, or -100 for no class" } else { "a class from 0" },
                ));
            }
        }
    }
    let labels = &labels[wanted];
    if per_position {
        return Ok(Targets::ClassesPerPosition { labels: labels.to_vec(), positions: width, classes });
    }
    // Checked above: every label is a u32.
    Ok(Targets::Classes { labels: labels.iter().map(|&l| l as u32).collect(), classes })
}

#[cfg(test)]
#[path = "named_arrays_tests.rs"]
mod tests;
