//! The report: one HTML page that works offline, with verdict, interactive figures, tables and provenance.
//!
//! The page is whole in itself: the plotting script (Plotly, see `assets/README.md`), its data and printable pictures are
//! inside. Its content security policy allows no network and no script but the two that this module puts in, by their
//! hashes. All text given here is untrusted: it is escaped, and only the mathematics of [`crate::markup`] is
//! interpreted.

mod html;
mod plot;
mod plot_parts;
mod plot_xy;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Figure, FigureError, write_atomic};

/// Everything that a page shows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Report {
    /// The page's title.
    pub title: String,
    /// The finding in sentences, the most important first.
    pub verdict: Vec<String>,
    /// The body.
    pub sections: Vec<Section>,
    /// What is needed to run it again: names and values.
    pub provenance: Vec<(String, String)>,
}

/// A part of a report: paragraphs, then figures, then tables.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Section {
    /// Its heading.
    pub heading: String,
    /// Its text.
    #[serde(default)]
    pub paragraphs: Vec<String>,
    /// Its figures, numbered through the whole report.
    #[serde(default)]
    pub figures: Vec<Figure>,
    /// Its tables, numbered through the whole report.
    #[serde(default)]
    pub tables: Vec<Table>,
}

impl Section {
    /// A section with nothing in it yet.
    pub fn new(heading: impl Into<String>) -> Self {
        Section { heading: heading.into(), ..Section::default() }
    }

    /// Add a paragraph.
    #[must_use]
    pub fn paragraph(mut self, text: impl Into<String>) -> Self {
        self.paragraphs.push(text.into());
        self
    }

    /// Add a figure.
    #[must_use]
    pub fn figure(mut self, figure: Figure) -> Self {
        self.figures.push(figure);
        self
    }

    /// Add a table.
    #[must_use]
    pub fn table(mut self, table: Table) -> Self {
        self.tables.push(table);
        self
    }
}

/// A table.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Table {
    /// The line above it; may be empty.
    pub title: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows; missing cells stay empty.
    pub rows: Vec<Row>,
}

impl Table {
    /// A table without rows. Columns are names with their alignment.
    pub fn new(title: impl Into<String>, columns: &[(&str, Align)]) -> Self {
        let columns = columns.iter().map(|&(name, align)| Column { name: name.into(), align }).collect();
        Table { title: title.into(), columns, rows: Vec::new() }
    }

    /// Add a row.
    #[must_use]
    pub fn row<S: Into<String>>(self, cells: impl IntoIterator<Item = S>) -> Self {
        self.row_with_note(cells, "")
    }

    /// Add a row with a remark.
    #[must_use]
    pub fn row_with_note<S: Into<String>>(
        mut self,
        cells: impl IntoIterator<Item = S>,
        note: impl Into<String>,
    ) -> Self {
        self.rows.push(Row { cells: cells.into_iter().map(Into::into).collect(), note: note.into() });
        self
    }
}

/// A column of a [`Table`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its heading.
    pub name: String,
    /// Alignment of its cells.
    #[serde(default)]
    pub align: Align,
}

/// Alignment of the cells of a [`Column`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Align {
    /// For words.
    #[default]
    Left,
    /// For numbers.
    Right,
    /// For marks.
    Centre,
}

/// A row of a [`Table`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Row {
    /// One text a column.
    pub cells: Vec<String>,
    /// A remark at the end of the row; may be empty.
    #[serde(default)]
    pub note: String,
}

/// The report as one HTML document.
///
/// # Errors
/// When one of its figures does not pass [`crate::check`].
pub fn render_html(report: &Report) -> Result<String, FigureError> {
    html::page(report)
}

/// Write the report as one HTML file, whole or not at all.
///
/// # Errors
/// When one of its figures does not pass [`crate::check`] or the file cannot be written.
pub fn write_html(report: &Report, path: &Path) -> Result<(), FigureError> {
    write_atomic(path, render_html(report)?.as_bytes())
}
