//! Progress reported to Python, and the state of a solve kept in a file.

use std::fs::File;
use std::io::BufWriter;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use saddlescope_krylov::{LanczosState, Observer, Progress, SnapshotError, SnapshotWriter};

use crate::raised::Raised;

/// Passes progress to a Python callable and saves the solver's state.
pub struct Watch<'a> {
    progress: Option<Py<PyAny>>,
    path: Option<PathBuf>,
    writer: Option<SnapshotWriter<BufWriter<File>>>,
    raised: &'a Raised,
}

impl<'a> Watch<'a> {
    /// `progress(stage, products, max_products, [(value, residual), …], (value, std_error) or None)`; `path`: the file that the
    /// state is kept in.
    pub fn new(progress: Option<Py<PyAny>>, path: Option<PathBuf>, raised: &'a Raised) -> Self {
        Self { progress, path, writer: None, raised }
    }

    fn save(&mut self, path: &Path, state: &LanczosState) -> Result<(), SnapshotError> {
        if let Some(writer) = &mut self.writer {
            return writer.write(state);
        }
        // A new log is written beside the old one and takes its place when it holds a whole state.
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        let mut writer = SnapshotWriter::new(BufWriter::new(File::create(&new)?));
        writer.write(state)?;
        std::fs::rename(&new, path)?;
        self.writer = Some(writer);
        Ok(())
    }
}

impl Observer for Watch<'_> {
    fn progress(&mut self, p: &Progress<'_>) -> ControlFlow<()> {
        let Some(progress) = &self.progress else { return ControlFlow::Continue(()) };
        let told = Python::attach(|py| {
            let ritz: Vec<(f64, f64)> = p.ritz.iter().map(|r| (r.value, r.residual_estimate)).collect();
            let estimate = p.estimate.map(|e| (e.value, e.std_error));
            progress.call1(py, (p.stage, p.products, p.max_products, ritz, estimate))
        });
        match told {
            Ok(_) => ControlFlow::Continue(()),
            Err(error) => {
                self.raised.keep(error);
                ControlFlow::Break(())
            }
        }
    }

    fn snapshot(&mut self, state: &LanczosState) -> ControlFlow<()> {
        let Some(path) = self.path.clone() else { return ControlFlow::Continue(()) };
        match self.save(&path, state) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.raised.keep(PyOSError::new_err(format!("{}: {error}", path.display())));
                ControlFlow::Break(())
            }
        }
    }
}
