//! Progress of an analysis: on a terminal one bar over all stages with the time left, elsewhere plain lines.

use std::io::IsTerminal;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::terminal::typed;
use indicatif::{ProgressBar, ProgressStyle};
use saddlescope::analysis::{Cost, Fate, Monitor, PlannedStage};

use crate::{interrupt, terminal};

/// Shows progress on standard error.
pub struct Progress {
    bar: Option<ProgressBar>,
    stage: String,
    steps: Option<u64>,
    started: Instant,
    last_line: Instant,
    /// Seconds that each planned stage is expected to take, in order; the stages that are finished are taken off.
    expected: Vec<(String, f64)>,
    finished: f64,
}

/// Between plain lines of one stage.
const PERIOD: Duration = Duration::from_secs(15);
/// Positions of the overall bar.
const LENGTH: u64 = 1000;

impl Progress {
    /// Nothing shown yet.
    pub fn new() -> Self {
        Self {
            bar: None,
            stage: String::new(),
            steps: None,
            started: Instant::now(),
            last_line: Instant::now(),
            expected: Vec::new(),
            finished: 0.0,
        }
    }

    fn line(&self, text: &str) {
        // Nothing is left to do when standard error cannot be written.
        let _ = match &self.bar {
            Some(bar) => bar.suspend(|| terminal::note(text)),
            None => terminal::note(text),
        };
    }

    /// Seconds of all planned stages.
    fn whole(&self) -> f64 {
        self.finished + self.expected.iter().map(|(_, seconds)| seconds).sum::<f64>()
    }

    /// Moves the overall bar: `share` of the first expected stage is done.
    fn place(&self, share: f64, note: &str) {
        let Some(bar) = &self.bar else { return };
        let current = self.expected.first().map_or(0.0, |(_, seconds)| *seconds);
        let (whole, done) = (self.whole(), self.finished + share.min(1.0) * current);
        let left = (whole - done).max(0.0);
        bar.set_position(if whole > 0.0 { (LENGTH as f64 * done / whole) as u64 } else { 0 });
        let head = format!("{} left  {}", duration(left), self.stage);
        bar.set_message(typed(&beside_bar(&head, note)));
    }
}

/// Columns that every terminal has.
const WIDTH: usize = 79;
/// Columns of the bar, with the space behind it.
const BAR: usize = 39;
/// Most lines below the bar.
const LINES: usize = 12;

/// What stands behind the bar and, where there is no room for the note there, in lines below it.
fn beside_bar(head: &str, note: &str) -> String {
    let columns = |text: &str| text.chars().count();
    if note.is_empty() {
        return head.into();
    }
    if BAR + columns(head) + 1 + columns(note) <= WIDTH {
        return format!("{head} {note}");
    }
    // A number stays with its error: lines end behind commas and semicolons only.
    let mut lines: Vec<String> = Vec::new();
    for piece in note.split_inclusive([',', ';']).map(str::trim) {
        match lines.last_mut() {
            Some(line) if columns(line) + 1 + columns(piece) <= WIDTH => {
                line.push(' ');
                line.push_str(piece);
            }
            _ => lines.push(format!("  {piece}")),
        }
    }
    if lines.len() > LINES {
        lines.truncate(LINES - 1);
        lines.push("  …".into());
    }
    format!("{head}\n{}", lines.join("\n"))
}

/// Seconds in words.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// What a fate is called in tables.
pub fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::Reused => "reused",
        Fate::Continued => "continued",
        Fate::ToDo => "to do",
        Fate::Done => "done",
    }
}

impl Monitor for Progress {
    fn plan(&mut self, stages: &[PlannedStage], cost: &Cost) {
        self.line("  stage                       state       products  evaluations       time");
        let mut total = 0.0;
        for stage in stages {
            let seconds = stage.seconds(cost);
            total += seconds;
            // What a result that is there has cost, not what it was expected to.
            let (products, evaluations) = if stage.is_left() {
                (stage.forecast.products, stage.forecast.evaluations)
            } else {
                (stage.spent.products, stage.spent.evaluations)
            };
            self.line(&format!(
                "  {:<27} {:<10} {:>9} {:>12} {:>10}",
                stage.name,
                fate(stage.fate),
                products,
                evaluations,
                if stage.is_left() { duration(seconds) } else { "-".into() },
            ));
        }
        self.line(&format!(
            "  {} to compute, at {} a product and {} an evaluation; about {} MiB of memory",
            duration(total),
            duration_fine(cost.product_seconds),
            duration_fine(cost.evaluation_seconds),
            cost.bytes.div_ceil(1 << 20)
        ));
        self.expected =
            (stages.iter()).filter(|s| s.is_left()).map(|s| (s.name.clone(), s.seconds(cost))).collect();
        if std::io::stderr().is_terminal() && !self.expected.is_empty() {
            let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            self.bar = Some(ProgressBar::new(LENGTH).with_style(style));
        }
    }

    fn begin(&mut self, stage: &str, steps: Option<u64>) {
        // A stage says how many steps it has after it has begun.
        if self.stage != stage {
            self.started = Instant::now();
            self.last_line = Instant::now();
            if self.bar.is_none() {
                self.line(&format!("{stage} …"));
            }
        }
        self.stage = stage.into();
        self.steps = steps;
        self.place(0.0, "");
    }

    fn advance(&mut self, done: u64, note: &str) {
        let share = match self.steps {
            Some(steps) if steps > 0 => done as f64 / steps as f64,
            _ => {
                let expected = self.expected.first().map_or(0.0, |(_, s)| *s);
                if expected > 0.0 { self.started.elapsed().as_secs_f64() / expected } else { 0.0 }
            }
        };
        self.place(share.min(0.99), note);
        if self.bar.is_none() && self.last_line.elapsed() >= PERIOD {
            self.last_line = Instant::now();
            let of = self.steps.map_or(String::new(), |n| format!("/{n}"));
            let left = match self.steps {
                Some(n) if done > 0 && n > done => {
                    let seconds = self.started.elapsed().as_secs_f64() / done as f64 * (n - done) as f64;
                    format!(", {} left", duration(seconds))
                }
                _ => String::new(),
            };
            self.line(&format!("  {} {done}{of}{left} {note}", self.stage));
        }
    }

    fn end(&mut self, note: &str) {
        let separator = if note.is_empty() { "" } else { ": " };
        let seconds = self.started.elapsed().as_secs_f64();
        self.line(&format!("{} done in {seconds:.1} s{separator}{note}", self.stage));
    }

    fn finished(&mut self, stage: &str) {
        if let Some(place) = self.expected.iter().position(|(name, _)| name == stage) {
            let (_, seconds) = self.expected.remove(place);
            self.finished += seconds;
        }
        if self.expected.is_empty()
            && let Some(bar) = self.bar.take()
        {
            bar.finish_and_clear();
        }
    }

    fn note(&mut self, text: &str) {
        self.line(text);
    }

    fn cancelled(&self) -> bool {
        interrupt::flag().load(Ordering::Relaxed)
    }
}

/// Seconds of one product or evaluation.
fn duration_fine(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.2} ms", 1e3 * seconds) } else { format!("{seconds:.2} s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_residuals_of_all_pairs_fit_into_eighty_columns() {
        let head = "12 s left  extreme eigenpairs";
        assert_eq!(beside_bar(head, ""), head);
        assert_eq!(beside_bar(head, "loss 1"), format!("{head} loss 1"));
        let pairs: Vec<String> = (0..6).map(|i| format!("−{i}23.4567 ± 3e−4")).collect();
        let note =
            format!("λ {}; about 123 products; number 3 at the largest end needs most", pairs.join(", "));
        let text = beside_bar(head, &note);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], head);
        assert!(lines[1..].iter().all(|l| l.chars().count() <= 79), "{text}");
        // No pair is torn apart and none is missing.
        assert!(pairs.iter().all(|p| lines.iter().any(|l| l.contains(p.as_str()))), "{text}");
        assert!(text.contains("about 123 products"), "{text}");
        let many = vec!["−123.4567 ± 3e−4"; 200].join(", ");
        assert_eq!(beside_bar(head, &many).lines().count(), 13);
    }
}
