#!/usr/bin/env bash
# Packs every crate that is published and checks that the packages compile from their own files alone.
set -euo pipefail
cd "$(dirname "$0")/.."
rm -rf target/package target/packages
# Without Cargo's own verification, which builds everything anew: what follows checks the same files.
cargo package -q --no-verify --workspace --exclude saddlescope-test-support --exclude saddlescope-py --allow-dirty
mkdir -p target/packages
for crate in target/package/*.crate; do
  # Files keep the time of their unpacking: what an earlier version left compiled is not taken for them.
  tar -xzmf "$crate" -C target/packages
done
cp Cargo.lock target/packages/
{
  echo '[workspace]'
  echo 'members = ["*"]'
  echo 'resolver = "3"'
  echo '[patch.crates-io]'
  for folder in target/packages/*/; do
    name=$(basename "$folder")
    echo "${name%-[0-9]*} = { path = \"$name\" }"
  done
  # With the same profiles nothing of other crates is compiled again.
  awk '/^\[/ { profile = /^\[profile/ } profile' Cargo.toml
} > target/packages/Cargo.toml
CARGO_TARGET_DIR=$PWD/target cargo check -q --manifest-path target/packages/Cargo.toml --workspace
