//! Running the binary and looking at what it leaves.

#![allow(dead_code)] // Each test file uses its part.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub fn saddlescope(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_saddlescope"))
        .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .args(arguments)
        .output()
        .unwrap()
}

/// Runs a command that must succeed; what it printed.
pub fn succeed(arguments: &[&str]) -> String {
    let output = saddlescope(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that must be refused with exit code 2; its complaint.
pub fn refused(arguments: &[&str]) -> String {
    let output = saddlescope(arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stderr).unwrap()
}

pub fn start(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_saddlescope"))
        .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until `there` holds, or the process has ended by itself (then `false`).
pub fn wait_for(child: &mut Child, there: impl Fn() -> bool) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(300) {
        if there() {
            return true;
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("five minutes passed");
}

/// The numbers of a run.
pub fn results(dir: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(dir.join("results.json")).unwrap()).unwrap()
}

/// The numbers of a run at one point, checked against the documented schema.
pub fn check_schema(dir: &Path) -> serde_json::Value {
    check_schema_of(dir, "results.schema.json")
}

/// The numbers of a run, checked against one of the documented schemas.
pub fn check_schema_of(dir: &Path, schema: &str) -> serde_json::Value {
    let found = results(dir);
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    for name in ["results.schema.json", "between.schema.json"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
        let document: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        compiler.add_resource(name, document).unwrap();
    }
    let index = compiler.compile(schema, &mut schemas).unwrap();
    if let Err(error) = schemas.validate(&found, index) {
        panic!("{}: {error:#}", dir.display());
    }
    found
}

/// Every file of a run but its kept stages (they record the seconds that they took), by relative name. In `results.json` the three lines with measured seconds
/// are left out: they are the only content that may differ between two runs of the same command.
pub fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(dir).unwrap().to_path_buf();
            if path.is_dir() {
                if !name.ends_with("kept") {
                    folders.push(path);
                }
                continue;
            }
            let mut bytes = std::fs::read(&path).unwrap();
            if name == Path::new("results.json") {
                let text = String::from_utf8(bytes).unwrap();
                let timing = |line: &&str| {
                    ["\"product_seconds\":", "\"evaluation_seconds\":", "\"seconds\":"]
                        .iter()
                        .any(|name| line.trim_start().starts_with(name))
                };
                // The verbs on several points write no costs.
                let timings = if text.contains("\"cost\":") { 3 } else { 0 };
                assert_eq!(text.lines().filter(timing).count(), timings, "the lines with seconds");
                bytes = text.lines().filter(|l| !timing(l)).collect::<Vec<_>>().join("\n").into_bytes();
            }
            found.insert(name, bytes);
        }
    }
    found
}

/// Says which files differ.
pub fn assert_same(a: &Path, b: &Path) {
    let (a, b) = (contents(a), contents(b));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    let different: Vec<_> =
        a.iter().filter(|(name, bytes)| b[*name] != **bytes).map(|(name, _)| name).collect();
    assert!(different.is_empty(), "these files differ: {different:?}");
}

/// The same for two runs that have other shares of memory, with other numbers of threads or ranks: what a process is forecast to
/// take is left out too.
pub fn assert_same_but_memory(a: &Path, b: &Path) {
    let [a, b] = [a, b].map(|dir| {
        let mut found = contents(dir);
        let name = Path::new("results.json");
        let text = String::from_utf8(found.remove(name).unwrap()).unwrap();
        let kept: Vec<&str> = text.lines().filter(|l| !l.trim_start().starts_with("\"bytes\":")).collect();
        assert_eq!(text.lines().count(), kept.len() + 1);
        found.insert(name.into(), kept.join("\n").into_bytes());
        found
    });
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    let different: Vec<_> =
        a.iter().filter(|(name, bytes)| b[*name] != **bytes).map(|(name, _)| name).collect();
    assert!(different.is_empty(), "these files differ: {different:?}");
}

/// The files in `kept/` whose names begin and end like this.
pub fn kept(dir: &Path, beginning: &str, ending: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir.join("kept")) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| {
            let name = p.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with(beginning) && name.ends_with(ending)
        })
        .collect();
    found.sort();
    found
}

/// Runs a command to its end; the largest resident memory seen, in MiB. Linux only.
pub fn peak(arguments: &[&str]) -> u64 {
    let mut child = start(arguments);
    // Read so that the child never waits for us.
    let mut stderr = child.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut stderr, &mut text).map(|_| text)
    });
    let status = format!("/proc/{}/status", child.id());
    let mut kib = 0;
    let ended = loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let found = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let value = found.and_then(|v| v.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kib = kib.max(value.unwrap_or(0));
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    };
    let text = reader.join().unwrap().unwrap();
    assert!(ended.success(), "{text}");
    kib >> 10
}

/// Writes an `.npy` file of numbers that are made as they are written.
pub fn npy(path: &Path, descr: &str, shape: &str, bytes: impl Iterator<Item = Vec<u8>>) {
    use std::io::Write;
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    while !(header.len() + 11).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    file.write_all(b"\x93NUMPY\x01\x00").unwrap();
    file.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    bytes.for_each(|some| file.write_all(&some).unwrap());
    file.flush().unwrap();
}
