//! Pages in a headless browser, for tests of reports.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Chromium on the PATH; where there is none this prints `SKIPPED: …`, and the test should return.
#[allow(clippy::print_stderr)] // the only way for a test to say that it did nothing
pub fn browser_or_skip() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = ["chromium", "chromium-browser", "google-chrome"]
        .iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |dir| dir.join(name)))
        .find(|file| file.is_file());
    if found.is_none() {
        eprintln!("SKIPPED: no chromium on the PATH, the page was not opened");
    }
    found
}

/// The command that opens a page, runs its script to the end and prints the document that is left.
pub fn dump_dom(browser: &Path, profile: &Path, page: &Path) -> Command {
    let mut command = Command::new(browser);
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        .args(["--no-first-run", "--disable-component-update", "--disable-sync", "--use-gl=angle"])
        .args(["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--virtual-time-budget=60000"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(["--dump-dom", &format!("file://{}", page.display())]);
    command
}

/// An attribute of the root element, where the page's script writes what happened.
pub fn attribute(dom: &str, name: &str) -> Option<String> {
    let start = dom.find("<html")?;
    let root = &dom[start..start + dom[start..].find('>')?];
    root.split(&format!("{name}=\"")).nth(1)?.split('"').next().map(str::to_owned)
}
