//! Draw one figure of each kind and a report with all of them:
//! `cargo run --release --example figure_gallery -- DIR`.

mod demo;

use std::error::Error;
use std::path::PathBuf;

use saddlescope_figure::page::write_html;
use saddlescope_figure::save_all;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = PathBuf::from(std::env::args_os().nth(1).ok_or("give the folder to write to")?);
    for figure in demo::figures() {
        save_all(&figure, &dir)?;
    }
    write_html(&demo::report(), &dir.join("report.html"))?;
    Ok(())
}
