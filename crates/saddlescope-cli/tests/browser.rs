//! Both report pages in a real browser: every plot is drawn, the console stays silent, nothing is fetched.
//!
//! Without Chromium on the PATH the tests say that they are skipped.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::succeed;
use serde_json::Value;

fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    ["chromium", "chromium-browser", "google-chrome"]
        .iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |dir| dir.join(name)))
        .find(|file| file.is_file())
}

/// An attribute of the root element, where the page's script writes what happened.
fn attribute(dom: &str, name: &str) -> Option<String> {
    let start = dom.find("<html")?;
    let root = &dom[start..start + dom[start..].find('>')?];
    root.split(&format!("{name}=\"")).nth(1)?.split('"').next().map(str::to_owned)
}

/// Addresses that the page asked for. Requests of the browser itself have no page as their origin.
fn fetched(net_log: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(net_log).unwrap();
    let log: Value = serde_json::from_str(&text)
        .or_else(|_| serde_json::from_str(&format!("{}]}}", text.trim_end().trim_end_matches(','))))
        .unwrap();
    let events = log["events"].as_array().unwrap();
    assert!(events.len() > 10, "the browser logged {} events", events.len());
    (events.iter())
        .filter_map(|e| {
            let (url, origin) = (e["params"]["url"].as_str()?, e["params"]["initiator"].as_str()?);
            let by_page = origin != "not an origin" && !url.starts_with("file:") && !url.starts_with("data:");
            by_page.then(|| format!("{url} for {origin}"))
        })
        .collect()
}

/// Opens a page and checks it.
fn check(browser: &Path, page: &Path, plots: usize) {
    let temp = tempfile::tempdir().unwrap();
    let net_log = temp.path().join("net.json");
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--no-first-run",
        ])
        .args(["--disable-component-update", "--disable-sync", "--use-gl=angle", "--use-angle=swiftshader"])
        .args(["--enable-unsafe-swiftshader", "--enable-logging=stderr", "--virtual-time-budget=60000"])
        // Nobody listens there: what the browser itself wants from the network fails at once.
        .arg("--proxy-server=http://127.0.0.1:9")
        .arg(format!("--log-net-log={}", net_log.display()))
        .arg(format!("--user-data-dir={}", temp.path().join("profile").display()))
        .arg("--dump-dom")
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&output.stdout);
    let get = |name: &str| attribute(&dom, name);
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(get("data-state").as_deref(), Some("ready"), "{:?}\n{log}", get("data-last-error"));
    assert_eq!(get("data-errors").as_deref(), Some("0"), "{:?}", get("data-last-error"));
    assert_eq!(get("data-expected"), Some(plots.to_string()));
    if get("data-webgl").as_deref() == Some("yes") {
        assert_eq!(get("data-plots"), Some(plots.to_string()));
    } else {
        #[allow(clippy::print_stderr)]
        {
            eprintln!(
                "{}: this browser has no WebGL, the pictures stand in for the surfaces",
                page.display()
            );
        }
    }
    // The graphics driver's remarks on speed are not the page's.
    let silent = ["GL Driver Message", "willReadFrequently"];
    let said: Vec<&str> =
        log.lines().filter(|l| l.contains(":CONSOLE") && !silent.iter().any(|s| l.contains(s))).collect();
    assert!(said.is_empty(), "{said:#?}");
    let addresses = fetched(&net_log);
    assert!(addresses.is_empty(), "{addresses:#?}");
}

/// Number of interactive plots in a page.
fn plots(page: &Path) -> usize {
    let html = std::fs::read_to_string(page).unwrap();
    let body = &html[..html.find("id=\"plots\"").unwrap()];
    body.matches("data-plot=\"").count()
}

#[allow(clippy::print_stderr)]
fn browser_or_skip() -> Option<PathBuf> {
    let found = browser();
    if found.is_none() {
        eprintln!("SKIPPED: no chromium on the PATH, the page was not opened");
    }
    found
}

#[test]
fn the_page_of_an_analysis() {
    let Some(browser) = browser_or_skip() else { return };
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("run");
    let at = out.to_str().unwrap();
    succeed(&[
        "analyze",
        "--model",
        "digits-mlp",
        "--samples",
        "0..128",
        "--grid",
        "9",
        "--probes",
        "4",
        "--density-steps",
        "12",
        "--tol",
        "1e-2",
        "--out",
        at,
    ]);
    let page = out.join("report.html");
    // Two surfaces, the zoomed pair, four heat maps, three cuts, spectrum, trace, layers.
    assert_eq!(plots(&page), 14);
    check(&browser, &page, 14);
    // Written again from the saved numbers it is the same page.
    let before = std::fs::read(&page).unwrap();
    succeed(&["report", at]);
    assert!(std::fs::read(&page).unwrap() == before, "`report` writes another page");
}

#[test]
fn the_page_of_the_paper() {
    let Some(browser) = browser_or_skip() else { return };
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("paper");
    succeed(&["paper", "--figure", "1", "--figure", "4", "--out", out.to_str().unwrap()]);
    let page = out.join("report.html");
    let count = plots(&page);
    assert!(count >= 5, "{count} plots");
    check(&browser, &page, count);
}
