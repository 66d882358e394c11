//! The ballast, in words.

use std::fmt::Write as _;

use chrono::DateTime;
use logquota::Bytes;
use logquota::clock;
use logquota::error::printable;
use logquota::plan::Reason;

use super::push_wrapped;
use crate::output::Paint;
use crate::status::BallastRow;

/// Why it goes, or is made.
pub(super) fn reason(reason: &Reason) -> String {
    match reason {
        Reason::LowSpace { free, wanted } => {
            format!("{free} are free on the disk, {wanted} must be")
        }
        Reason::RoomForBallast { free, wanted } => {
            format!("{free} are free on the disk then, {wanted} are enough for it")
        }
        Reason::BallastTooLarge { len, asked: Bytes::ZERO } => {
            format!("none is wanted any more, and it keeps {len}")
        }
        Reason::BallastTooLarge { len, asked } => format!("it keeps {len}, {asked} are asked for"),
        other => format!("{other:?}"),
    }
}

/// A line for each place.
pub(super) fn status(ballasts: &[BallastRow], paint: Paint) -> String {
    let mut text = String::new();
    if !ballasts.is_empty() {
        let _ = writeln!(text, "\n{}", paint.head("Ballast"));
    }
    for ballast in ballasts {
        let asked = ballast.asked.map_or_else(String::new, |asked| format!(" of {asked}"));
        let what = match (ballast.state, ballast.since) {
            ("kept", _) => format!("{}{asked} kept", ballast.bytes),
            ("foreign", _) => format!("none: {}", ballast.why),
            (_, Some(since)) => format!("none{asked}: released since {}", minute(since)),
            _ => format!("none{asked} so far"),
        };
        push_wrapped(&mut text, &format!("{}: {what}", printable(&ballast.path)), 2);
    }
    text
}

/// Times of files may be anything; what no calendar has is shown as it is.
fn minute(seconds: i64) -> String {
    let at = DateTime::from_timestamp(seconds, 0);
    let shown = |at| clock::local(at).format("%Y-%m-%d %H:%M").to_string();
    at.map_or_else(|| seconds.to_string(), shown)
}
