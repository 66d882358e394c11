//! The line in the log that says what is missing from it.

use super::log::Loss;

/// One line, with its end.
pub(super) fn loss_line(loss: &Loss) -> String {
    let Loss { records, bytes, since, cause } = loss;
    let since = since.format("%Y-%m-%dT%H:%M:%SZ");
    let (noun, verb) = if *records == 1 { ("record", "was") } else { ("records", "were") };
    format!("logquota: {records} {noun} ({bytes} bytes) {verb} lost since {since}: {cause}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::appender::Cause;
    use chrono::{TimeZone as _, Utc};

    #[test]
    fn the_line_says_how_many_since_when_and_why() {
        let since = Utc.with_ymd_and_hms(2026, 11, 21, 18, 41, 36).single().expect("a time");
        let loss = Loss { records: 1234, bytes: 56789, since, cause: Cause::DiskFull };
        assert_eq!(
            loss_line(&loss),
            "logquota: 1234 records (56789 bytes) were lost since 2026-11-21T18:41:36Z: disk full\n"
        );
    }
}
