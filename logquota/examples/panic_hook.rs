//! A panic goes to the log, with its backtrace, before anything else happens.
//!
//! `cargo run -p logquota --example panic_hook [LOG]`

use std::backtrace::Backtrace;
use std::error::Error;
use std::panic;
use std::time::Duration;

use logquota::{Appender, Bytes, Delivery};

/// Writes each panic as one record, brings everything to the disk, and then does what was
/// done before.
fn log_panics(log: Appender) {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("(unnamed)");
        let backtrace = Backtrace::force_capture();
        let record = format!("PANIC in thread {name}: {info}\n{backtrace}\n");
        // There is nobody to tell that it failed; `before` still says what happened.
        let _ = log.write_record(record.as_bytes());
        // With `panic = "abort"` the buffer would be lost, and with a watchdog the page cache.
        let _ = log.sync();
        before(info);
    }));
}

fn decode(frame: Option<u32>) -> u32 {
    frame.expect("a broken file has frames, too")
}

#[expect(clippy::disallowed_methods, reason = "this is a program")]
fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "player.log".to_owned());
    let delivery =
        Delivery::Buffered { bytes: Bytes::kib(64), interval: Duration::from_millis(200) };
    let log = Appender::builder(&path).quota(Bytes::mib(64)).delivery(delivery).open()?;
    log_panics(log.clone());

    let _ = log.write_record(b"INFO a record that is still in the buffer\n")?;
    let decoder = std::thread::Builder::new().name("decoder".to_owned());
    let decoder = decoder.spawn(|| decode(None))?;
    if decoder.join().is_err() {
        println!("\nThe decoder panicked, and this is the log:\n");
        println!("{}", std::fs::read_to_string(&path)?);
    }
    // The hook has a clone and is never dropped: this gives back what is reserved.
    log.close()?;
    Ok(())
}
