//! Draw one figure of each kind: `cargo run --release --example figure_gallery -- DIR`.

mod demo;

use std::error::Error;
use std::path::PathBuf;

use saddlescope::figure::save_all;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = PathBuf::from(std::env::args_os().nth(1).ok_or("give the folder to write to")?);
    for figure in demo::figures() {
        save_all(&figure, &dir)?;
    }
    Ok(())
}
