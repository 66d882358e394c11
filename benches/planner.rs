//! How long deciding takes, without a disk.
fn main() {}
