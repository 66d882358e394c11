//! Events of tracing, into a log that cannot fill the disk.
//!
//! `cargo run -p logquota --features tracing --example tracing [LOG]`

use std::error::Error;

use logquota::{Age, Appender, Bytes, Codec};

#[expect(clippy::disallowed_methods, reason = "this is a program")]
fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "player.log".to_owned());
    let log = Appender::builder(path)
        .rotate_at(Bytes::mib(8))
        .keep_for(Age::days(14))
        .compress(Codec::Zstd)
        .quota(Bytes::mib(64))
        .open()?;
    // Without colours: this is no terminal.
    tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).init();

    tracing::info!(version = "1.4.2", "started");
    tracing::warn!(frame = 1177, "frame skipped");

    // The subscriber lives as long as the program. What waits in a buffer or queue is written
    // here.
    let stats = log.close()?;
    println!("{} records written, {} lost", stats.written, stats.dropped.total());
    Ok(())
}
