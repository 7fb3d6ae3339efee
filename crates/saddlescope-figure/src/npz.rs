//! A figure's arrays for NumPy: `numpy.load("ID.npz")`.

use std::io::{self, Cursor, Write};

use npyz::WriterBuilder;
use zip::write::SimpleFileOptions;

use super::data::{Figure, Grid, Inset, PanelKind, Series};

/// A named array: its shape (row-major) and values.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedArray {
    /// Name in the archive.
    pub name: String,
    /// Length along each dimension.
    pub shape: Vec<u64>,
    /// The values, last dimension fastest.
    pub values: Vec<f64>,
}

/// The arrays of a figure. Names begin with the panel's letter (`a_`, `b_`, …): `a_x`, `a_y` and `a_z` (shape ny × nx)
/// for a surface or heat map, `a_hatched` (1 and 0, same shape) for one with hatched cells, `a_inset_x` … for its inset, `a_s0_x`, `a_s0_y`, `a_s0_std_error` for series 0,
/// `a_h0_edges` and `a_h0_heights` for histogram 0, `a_eigenvalues` for a spectrum, `a_references` for reference lines.
pub fn npz_arrays(figure: &Figure) -> Vec<NamedArray> {
    let mut arrays = Vec::new();
    for (index, panel) in figure.panels.iter().enumerate() {
        let letter = match u8::try_from(index) {
            Ok(i) if i < 26 => char::from(b'a' + i).to_string(),
            _ => format!("panel{}", index + 1),
        };
        let mut line = |name: String, values: &[f64]| {
            arrays.push(NamedArray { name, shape: vec![values.len() as u64], values: values.to_vec() });
        };
        match &panel.kind {
            PanelKind::Surface3d(p) => grids(&mut arrays, &letter, &p.grid, p.inset.as_ref()),
            PanelKind::HeatMap(p) => {
                grids(&mut arrays, &letter, &p.grid, p.inset.as_ref());
                if let Some(hatched) = &p.hatched {
                    let shape = vec![p.grid.y.len() as u64, p.grid.x.len() as u64];
                    let values = hatched.iter().map(|&h| if h { 1.0 } else { 0.0 }).collect();
                    arrays.push(NamedArray { name: format!("{letter}_hatched"), shape, values });
                }
            }
            PanelKind::Lines(p) => {
                let references: Vec<f64> = p.references.iter().map(|r| r.value).collect();
                if !references.is_empty() {
                    line(format!("{letter}_references"), &references);
                }
                series(&mut arrays, &letter, &p.series);
            }
            PanelKind::Histogram(p) => {
                for (i, bins) in p.bins.iter().enumerate() {
                    line(format!("{letter}_h{i}_edges"), &bins.edges);
                    line(format!("{letter}_h{i}_heights"), &bins.heights);
                }
                series(&mut arrays, &letter, &p.curves);
            }
            PanelKind::Spectrum(p) => {
                let eigenvalues: Vec<f64> = p.eigenvalues.iter().map(|e| e.value).collect();
                line(format!("{letter}_eigenvalues"), &eigenvalues);
                series(&mut arrays, &letter, &p.densities);
            }
        }
    }
    arrays
}

fn grids(arrays: &mut Vec<NamedArray>, letter: &str, grid: &Grid, inset: Option<&Inset>) {
    let mut one = |prefix: String, grid: &Grid| {
        let (nx, ny) = (grid.x.len() as u64, grid.y.len() as u64);
        arrays.push(NamedArray { name: format!("{prefix}_x"), shape: vec![nx], values: grid.x.clone() });
        arrays.push(NamedArray { name: format!("{prefix}_y"), shape: vec![ny], values: grid.y.clone() });
        arrays.push(NamedArray { name: format!("{prefix}_z"), shape: vec![ny, nx], values: grid.z.clone() });
    };
    one(letter.into(), grid);
    if let Some(inset) = inset {
        one(format!("{letter}_inset"), &inset.grid);
    }
}

fn series(arrays: &mut Vec<NamedArray>, letter: &str, series: &[Series]) {
    for (i, s) in series.iter().enumerate() {
        let parts = [("x", Some(&s.x)), ("y", Some(&s.y)), ("std_error", s.std_error.as_ref())];
        for (name, values) in parts.into_iter().filter_map(|(n, v)| v.map(|v| (n, v))) {
            arrays.push(NamedArray {
                name: format!("{letter}_s{i}_{name}"),
                shape: vec![values.len() as u64],
                values: values.clone(),
            });
        }
    }
}

/// The archive as bytes; the same figure gives the same bytes.
pub(crate) fn to_npz(figure: &Figure) -> io::Result<Vec<u8>> {
    arrays_to_npz(&npz_arrays(figure))
}

/// An .npz archive of any named arrays of f64, as bytes. The same arrays give the same bytes.
///
/// # Errors
/// When a name occurs twice or a shape does not match its number of values.
pub fn arrays_to_npz(arrays: &[NamedArray]) -> io::Result<Vec<u8>> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated)
        .last_modified_time(zip::DateTime::default());
    for array in arrays {
        let expected = array.shape.iter().product::<u64>();
        if expected != array.values.len() as u64 {
            let message = format!(
                "array {:?} has shape {:?}, that is {expected} values, but holds {}",
                array.name,
                array.shape,
                array.values.len()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let mut bytes = Vec::new();
        let mut writer =
            npyz::WriteOptions::new().default_dtype().shape(&array.shape).writer(&mut bytes).begin_nd()?;
        writer.extend(array.values.iter().copied())?;
        writer.finish()?;
        zip.start_file(format!("{}.npy", array.name), options).map_err(io::Error::from)?;
        zip.write_all(&bytes)?;
    }
    Ok(zip.finish().map_err(io::Error::from)?.into_inner())
}
