//! Progress of an analysis: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use saddlescope::analysis::Monitor;

use crate::{interrupt, terminal};

/// Shows progress on standard error.
pub struct Progress {
    bar: Option<ProgressBar>,
    stage: String,
    steps: Option<u64>,
    started: Instant,
    last_line: Instant,
}

/// Between plain lines of one stage.
const PERIOD: Duration = Duration::from_secs(15);

impl Progress {
    /// Nothing shown yet.
    pub fn new() -> Self {
        Self {
            bar: None,
            stage: String::new(),
            steps: None,
            started: Instant::now(),
            last_line: Instant::now(),
        }
    }

    fn line(&self, text: &str) {
        // Nothing is left to do when standard error cannot be written.
        let _ = terminal::note(text);
    }
}

impl Monitor for Progress {
    fn begin(&mut self, stage: &str, steps: Option<u64>) {
        self.stage = stage.into();
        self.steps = steps;
        self.started = Instant::now();
        self.last_line = Instant::now();
        if std::io::stderr().is_terminal() {
            let (bar, template) = match steps {
                Some(n) => (ProgressBar::new(n), "{prefix}: {bar:30} {pos}/{len}, {eta} left  {wide_msg}"),
                None => (ProgressBar::new_spinner(), "{prefix}: {pos} in {elapsed}  {wide_msg}"),
            };
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            self.bar = Some(bar.with_style(style).with_prefix(stage.to_string()));
        } else {
            self.line(&format!("{stage} …"));
        }
    }

    fn advance(&mut self, done: u64, note: &str) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.set_message(note.to_string());
        } else if self.last_line.elapsed() >= PERIOD {
            self.last_line = Instant::now();
            let of = self.steps.map_or(String::new(), |n| format!("/{n}"));
            let left = match self.steps {
                Some(n) if done > 0 && n > done => {
                    let seconds = self.started.elapsed().as_secs_f64() / done as f64 * (n - done) as f64;
                    format!(", {seconds:.0} s left")
                }
                _ => String::new(),
            };
            self.line(&format!("  {} {done}{of}{left} {note}", self.stage));
        }
    }

    fn end(&mut self, note: &str) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let separator = if note.is_empty() { "" } else { ": " };
        self.line(&format!(
            "{} done in {:.1} s{separator}{note}",
            self.stage,
            self.started.elapsed().as_secs_f64()
        ));
    }

    fn note(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.line(text)),
            None => self.line(text),
        }
    }

    fn cancelled(&self) -> bool {
        interrupt::flag().load(Ordering::Relaxed)
    }
}
