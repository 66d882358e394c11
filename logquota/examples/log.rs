//! The macros of the crate `log`, into a log that cannot fill the disk.
//!
//! `cargo run -p logquota --features log --example log [LOG]`

use std::error::Error;

use logquota::appender::Logger;
use logquota::{Age, Appender, Bytes, Codec};

#[expect(clippy::disallowed_methods, reason = "this is a program")]
fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "player.log".to_owned());
    let appender = Appender::builder(path)
        .rotate_at(Bytes::mib(8))
        .keep_for(Age::days(14))
        .compress(Codec::Zstd)
        .quota(Bytes::mib(64))
        .open()?;
    Logger::new(appender.clone()).level(log::LevelFilter::Info).install()?;

    log::info!("started");
    log::debug!("this one is filtered out");
    log::warn!(target: "player::decode", "frame {} skipped", 1177);

    // A logger is never dropped. What waits in a buffer or queue is written here.
    let stats = appender.close()?;
    println!("{} records written, {} lost", stats.written, stats.dropped.total());
    Ok(())
}
