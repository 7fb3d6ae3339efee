//! Both report pages in a real browser: every plot is drawn, the console stays silent, nothing is fetched.
//!
//! Without Chromium on the PATH the tests say that they are skipped.

mod common;

use std::path::Path;

use common::succeed;
use saddlescope_test_support::{attribute, browser_or_skip, dump_dom};
use serde_json::Value;

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
    let output = dump_dom(browser, &temp.path().join("profile"), page)
        .arg("--enable-logging=stderr")
        // Nobody listens there: what the browser itself wants from the network fails at once.
        .arg("--proxy-server=http://127.0.0.1:9")
        .arg(format!("--log-net-log={}", net_log.display()))
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
    // Two surfaces, the zoomed pair, four heat maps, four of the accuracy, three cuts, spectrum, trace, layers.
    assert_eq!(plots(&page), 18);
    check(&browser, &page, 18);
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
