//! The appender behind tracing-subscriber's fmt layer.
//!
//! A fmt layer may print a line to standard error for each write that fails: on a full disk
//! that is a second flood, into another file. So the writer here never says that a record was
//! lost. That is in [`Stats::dropped`](super::Stats::dropped), in an
//! [`Event::LossBegan`](super::Event::LossBegan), and in the log itself when writing resumes.

use std::io;

use tracing_subscriber::fmt::MakeWriter;

use super::Appender;

/// Writes events of tracing. Made by the appender, which is the `MakeWriter`:
///
/// ```no_run
/// # fn main() -> logquota::Result<()> {
/// let log = logquota::Appender::builder("/var/log/player/player.log").open()?;
/// tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).init();
/// # Ok(())
/// # }
/// ```
///
/// An event is one record, also where a layer writes it in pieces: what does not end a line
/// waits for the rest of it, at most until the writer is dropped.
///
/// # What is not guaranteed
///
/// Its `write` and `flush` never fail. Lost records are counted and announced as the policy
/// says; those after [`Appender::close`] are refused and nowhere.
#[derive(Debug)]
pub struct EventWriter<'a> {
    appender: &'a Appender,
    /// The beginning of an event; fmt layers write each in one piece, and this stays empty.
    begun: Vec<u8>,
}

impl<'a> MakeWriter<'a> for Appender {
    type Writer = EventWriter<'a>;

    fn make_writer(&'a self) -> EventWriter<'a> {
        EventWriter { appender: self, begun: Vec::new() }
    }
}

impl EventWriter<'_> {
    fn finish(&mut self) {
        if !self.begun.is_empty() {
            // Counted and announced if it is lost.
            let _ = self.appender.write_record(&self.begun);
            self.begun.clear();
        }
    }
}

impl io::Write for EventWriter<'_> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let ends_here = piece.ends_with(b"\n");
        if ends_here && self.begun.is_empty() {
            let _ = self.appender.write_record(piece);
        } else {
            self.begun.extend_from_slice(piece);
            if ends_here {
                self.finish();
            }
        }
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.finish();
        let _ = self.appender.flush();
        Ok(())
    }
}

impl Drop for EventWriter<'_> {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::Arc;

    use super::*;
    use crate::fs::sim::{SimDisk, SimFs};
    use crate::units::Bytes;

    fn log(fs: &Arc<SimFs>) -> Appender {
        let builder = Appender::builder("/log/app.log").quota(Bytes::kib(64));
        let builder = builder.rotate_at(Bytes::kib(16)).fs(Arc::clone(fs) as _);
        builder.background(false).start_degraded(true).open().expect("a log")
    }

    fn disk() -> Arc<SimFs> {
        let fs = SimFs::new(SimDisk { capacity: Bytes::kib(256), ..SimDisk::default() });
        fs.mkdir("/log").expect("a folder");
        Arc::new(fs)
    }

    fn content(fs: &SimFs) -> String {
        String::from_utf8(fs.content("/log/app.log").expect("a log")).expect("text")
    }

    #[test]
    fn h38_a_full_disk_gives_a_fmt_layer_no_error_to_print() {
        let fs = disk();
        fs.fill_disk("/others").expect("full");
        let log = log(&fs);
        // What the layer does for each event, and says on standard error if it fails.
        for _ in 0..1_000 {
            log.make_writer().write_all(b"lost\n").expect("nothing to print");
            log.make_writer().flush().expect("nothing to print");
        }
        let subscriber = tracing_subscriber::fmt().with_ansi(false).without_time();
        let subscriber = subscriber.with_writer(log.clone()).finish();
        ::tracing::subscriber::with_default(subscriber, || {
            ::tracing::info!("lost, too");
            fs.unlink("/others").expect("somebody tidies up");
            log.maintain();
            ::tracing::info!(frame = 7, "kept");
        });
        let stats = log.stats();
        assert_eq!((stats.received, stats.written, stats.dropped.disk_full), (1_002, 1, 1_001));
        let content = content(&fs);
        let lines: Vec<&str> = content.lines().collect();
        let [loss, kept] = lines[..] else { panic!("{content}") };
        assert!(loss.starts_with("logquota: 1001 records ("), "{loss}");
        assert!(loss.ends_with(": disk full"), "{loss}");
        assert!(kept.contains("INFO") && kept.ends_with("kept frame=7"), "{kept}");
    }

    #[test]
    fn an_event_is_one_record_also_in_pieces() {
        let fs = disk();
        let log = log(&fs);
        let mut first = log.make_writer();
        first.write_all(b"{\"frame\"").expect("gathered");
        let mut second = log.make_writer();
        second.write_all(b"whole\n").expect("written");
        first.write_all(b":7}\n").expect("written");
        second.write_all(b"without an end").expect("gathered");
        drop(second);
        first.flush().expect("nothing is left");
        assert_eq!(content(&fs), "whole\n{\"frame\":7}\nwithout an end");
        assert_eq!(log.stats().written, 3);
    }

    #[test]
    fn events_behind_the_end_are_refused_in_silence() {
        let log = log(&disk());
        assert_eq!(log.close().expect("closed").received, 0);
        log.make_writer().write_all(b"too late\n").expect("nothing to print");
        log.make_writer().flush().expect("nothing to print");
    }
}
