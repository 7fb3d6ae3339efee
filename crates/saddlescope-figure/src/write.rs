//! Figures on disk. Every file is written beside its final name and then renamed: a reader sees the old file, the new
//! one, or none, never half of one.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::check::check;
use super::data::Figure;
use super::error::FigureError;
use super::{npz, png, render};

/// The files made by [`save_all`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The data, as JSON.
    pub json: PathBuf,
    /// The arrays, for NumPy.
    pub npz: PathBuf,
    /// The picture, as vectors.
    pub svg: PathBuf,
    /// The picture, as pixels at 300 dpi.
    pub png: PathBuf,
}

/// Resolution of the pictures made by [`save_all`], dots per inch of the printed size.
pub const PRINT_DPI: f64 = 300.0;

/// Write `ID.json`, `ID.npz`, `ID.svg` and `ID.png` into `dir`, which is created when it does not exist.
///
/// # Errors
/// When the figure cannot be drawn (then nothing is written) or a file cannot be written.
pub fn save_all(figure: &Figure, dir: &Path) -> Result<Saved, FigureError> {
    let svg = render::render_svg(figure)?;
    let png = png::render_png(figure, PRINT_DPI)?;
    let json = to_json(figure)?;
    let npz =
        npz::to_npz(figure).map_err(|reason| FigureError::Write { path: dir.join(&figure.id), reason })?;
    fs::create_dir_all(dir).map_err(|reason| FigureError::Write { path: dir.into(), reason })?;
    let path = |ending: &str| dir.join(format!("{}.{ending}", figure.id));
    let saved = Saved { json: path("json"), npz: path("npz"), svg: path("svg"), png: path("png") };
    write_atomic(&saved.json, &json)?;
    write_atomic(&saved.npz, &npz)?;
    write_atomic(&saved.svg, svg.as_bytes())?;
    write_atomic(&saved.png, &png)?;
    Ok(saved)
}

/// Write a figure's data as JSON. NaN is `null`, infinities are `"Infinity"` and `"-Infinity"`.
///
/// # Errors
/// When the figure does not pass [`check`] or the file cannot be written.
pub fn write_json(figure: &Figure, path: &Path) -> Result<(), FigureError> {
    check(figure)?;
    write_atomic(path, &to_json(figure)?)
}

/// Write a figure's arrays as .npz; see [`npz_arrays`](super::npz_arrays) for their names.
///
/// # Errors
/// When the figure does not pass [`check`] or the file cannot be written.
pub fn write_npz(figure: &Figure, path: &Path) -> Result<(), FigureError> {
    check(figure)?;
    let bytes = npz::to_npz(figure).map_err(|reason| FigureError::Write { path: path.into(), reason })?;
    write_atomic(path, &bytes)
}

/// Read a figure written by [`write_json`] and check it.
///
/// # Errors
/// When the file cannot be read, holds no figure, or holds one that does not pass [`check`].
pub fn read_json(path: &Path) -> Result<Figure, FigureError> {
    let text = fs::read(path).map_err(|reason| FigureError::Read { path: path.into(), reason })?;
    let figure =
        serde_json::from_slice(&text).map_err(|reason| FigureError::Json { path: path.into(), reason })?;
    check(&figure)?;
    Ok(figure)
}

fn to_json(figure: &Figure) -> Result<Vec<u8>, FigureError> {
    let mut json = serde_json::to_vec(figure)
        .map_err(|reason| FigureError::Encode { what: format!("figure {:?}", figure.id), reason })?;
    json.push(b'\n');
    Ok(json)
}

/// Write a file so that it is whole at any moment: into a new file in the same folder, which is then renamed.
///
/// # Errors
/// [`FigureError::Write`] with the path.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), FigureError> {
    let attempt = || -> io::Result<()> {
        let dir = match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".partial-");
        // Temporary files are private by default; a result has the permissions of any new file.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(dir)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|e| e.error)?;
        Ok(())
    };
    attempt().map_err(|reason| FigureError::Write { path: path.into(), reason })
}
