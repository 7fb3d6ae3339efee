//! What can be wrong with data: the file, the place in it, what was found there and what was expected.

use std::io;
use std::ops::Range;
use std::path::Path;

/// The name given to bytes that did not come from a file.
const IN_MEMORY: &str = "data in memory";

/// An error in a data file, a data source's description, or a data set put together by hand.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The operating system refused a read.
    #[error("{file}: {action}: {reason}")]
    Io {
        /// The file or folder.
        file: String,
        /// What was attempted, for example `cannot open`.
        action: &'static str,
        /// The system's reason.
        reason: io::Error,
    },
    /// The file does not follow its format, or uses a part of it that is not supported.
    #[error("{file}: {place}: found {found}, expected {expected}")]
    Malformed {
        /// The file, or [`DataError::in_file`]'s default for bytes in memory.
        file: String,
        /// Where in the file.
        place: String,
        /// What was there.
        found: String,
        /// What should have been there.
        expected: String,
    },
    /// Parts of a data set do not fit together.
    #[error("data set: {place}: found {found}, expected {expected}")]
    Inconsistent {
        /// The tensor or field.
        place: String,
        /// What was given.
        found: String,
        /// What would have been right.
        expected: String,
    },
    /// A range of samples lies outside what there is, or is empty.
    #[error("samples {}..{} of {what}: there are {available}; give A..B with A < B and B at most that", requested.start, requested.end)]
    Range {
        /// The data set or file.
        what: String,
        /// The samples asked for.
        requested: Range<usize>,
        /// The samples there are.
        available: usize,
    },
    /// A description of a source or of a normalisation could not be understood.
    #[error("{what} {given:?}: {expected}")]
    Syntax {
        /// What was being read, for example `data source`.
        what: &'static str,
        /// The text.
        given: String,
        /// What it should look like.
        expected: String,
    },
}

impl DataError {
    /// A [`DataError::Malformed`] whose file is not known yet.
    pub(crate) fn malformed(
        place: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self::Malformed {
            file: IN_MEMORY.into(),
            place: place.into(),
            found: found.into(),
            expected: expected.into(),
        }
    }

    /// A [`DataError::Inconsistent`].
    pub(crate) fn inconsistent(
        place: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self::Inconsistent { place: place.into(), found: found.into(), expected: expected.into() }
    }

    /// A function that turns a system error into a [`DataError::Io`].
    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let file = path.display().to_string();
        move |reason| Self::Io { file, action, reason }
    }

    /// The same error, with the file it happened in; an error that names its file already stays as it is.
    ///
    /// Readers of byte slices do not know a file, so whoever read the bytes adds it.
    #[must_use]
    pub fn in_file(mut self, path: &Path) -> Self {
        if let Self::Malformed { file, .. } | Self::Io { file, .. } = &mut self
            && file == IN_MEMORY
        {
            *file = path.display().to_string();
        }
        self
    }
}
