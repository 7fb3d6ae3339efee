//! The `saddlescope` command.

fn main() {}
