use super::*;

use std::collections::VecDeque;

use proptest::prelude::*;

use crate::pipe::lines::tests::{a_text, starts};
use crate::pipe::lines::{Before, first_start};

use logquota::appender::Records as _;

/// What happens at the input, one after the other.
#[derive(Clone, Debug)]
enum Act {
    /// These bytes come, and are there at once with what comes before the next pause.
    Come(Vec<u8>),
    /// Nothing comes for longer than anybody waits.
    Pause,
    Signal(Wake),
}

#[derive(Debug, Default)]
struct Play {
    acts: VecDeque<Act>,
    /// What has been read of the first one.
    read: usize,
    /// A read gives no more than this.
    read_max: usize,
    reads: usize,
}

impl Play {
    fn new(acts: impl IntoIterator<Item = Act>) -> Self {
        Self { acts: acts.into_iter().collect(), read_max: usize::MAX, ..Self::default() }
    }
}

impl Input for Play {
    fn wait(&mut self, patience: Option<Duration>) -> Wake {
        match self.acts.front() {
            Some(Act::Come(_)) | None => Wake::Input,
            Some(Act::Pause) => {
                // Nothing to wait for any longer: time goes on.
                if patience.is_none() {
                    self.acts.pop_front();
                    return self.wait(patience);
                }
                Wake::Patience
            }
            Some(Act::Signal(wake)) => {
                let wake = *wake;
                self.acts.pop_front();
                wake
            }
        }
    }

    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        assert!(!room.is_empty());
        self.reads += 1;
        let Some(Act::Come(bytes)) = self.acts.front() else { return Ok(0) };
        let rest = &bytes[self.read..];
        let len = rest.len().min(room.len()).min(self.read_max);
        room[..len].copy_from_slice(&rest[..len]);
        self.read += len;
        if self.read == bytes.len() {
            self.acts.pop_front();
            self.read = 0;
        }
        Ok(len)
    }

    fn waiting(&mut self) -> usize {
        let come = |act: &Act| match act {
            Act::Come(bytes) => bytes.len(),
            _ => 0,
        };
        self.acts.front().map_or(0, come) - self.read
    }
}

/// Segments as the appender makes them.
#[derive(Debug, Default)]
struct Segments {
    done: Vec<Vec<u8>>,
    now: Vec<u8>,
    limit: usize,
    /// What is used up of each new segment before the first record.
    overhead: usize,
    writes: Vec<usize>,
    switches: Vec<Switch>,
    /// Pieces that no segment could take.
    forced: usize,
    counted: u64,
    lens: usize,
}

impl Segments {
    fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    fn rotate(&mut self) {
        if !self.now.is_empty() {
            self.done.push(std::mem::take(&mut self.now));
        }
    }

    fn all(&self) -> Vec<Vec<u8>> {
        let rest = (!self.now.is_empty()).then(|| self.now.clone());
        self.done.iter().cloned().chain(rest).collect()
    }
}

impl Sink for Segments {
    fn write(&mut self, piece: Piece<'_>) {
        let bytes = piece.bytes();
        assert!(!bytes.is_empty());
        self.writes.push(bytes.len());
        let mut at = 0;
        while at < bytes.len() {
            let room = (self.limit - self.overhead).saturating_sub(self.now.len());
            let end = piece.end_before(at.saturating_add(room));
            assert!(end <= at.saturating_add(room));
            let next = piece.end_after(at);
            assert!(next > at && (next <= bytes.len()));
            assert!(next - at <= self.limit - self.limit / 16 || self.limit == usize::MAX);
            if end > at {
                self.now.extend_from_slice(&bytes[at..end]);
                self.counted += piece.count(at, end);
                at = end;
            } else if self.now.is_empty() {
                self.forced += 1;
                self.now.extend_from_slice(&bytes[at..]);
                return;
            } else {
                self.rotate();
            }
        }
    }

    fn switch(&mut self, how: Switch) -> bool {
        self.switches.push(how);
        self.rotate();
        true
    }

    fn len(&mut self) -> u64 {
        self.lens += 1;
        self.now.len() as u64
    }

    fn tick(&mut self) -> Option<Duration> {
        None
    }
}

fn run(play: Play, sink: Segments) -> (Play, Segments) {
    let segment = (sink.limit < usize::MAX).then_some(sink.limit as u64);
    let mut pump = Pump::new(play, sink, segment);
    pump.run().expect("the play has no errors");
    (pump.input, pump.sink)
}

fn come(text: impl AsRef<[u8]>) -> Act {
    Act::Come(text.as_ref().to_vec())
}

fn texts(segments: &Segments) -> Vec<String> {
    segments.all().iter().map(|one| String::from_utf8_lossy(one).into_owned()).collect()
}

const TRACE: &str = "\
2026-11-21 10:00:00 ERROR Player - decode failed
java.lang.IllegalStateException: no frame
\tat com.example.Decoder.next(Decoder.java:42)
\tat com.example.Player.run(Player.java:17)
Caused by: java.io.IOException: broken file
\t... 12 more
";

#[test]
fn what_is_complete_is_written_when_nothing_more_comes() {
    let acts = [come("a\nb\nc"), Act::Pause, come("d\n"), Act::Pause, come("e"), Act::Pause];
    let (_, sink) = run(Play::new(acts), Segments::new(usize::MAX));
    assert_eq!(texts(&sink), ["a\nb\ncd\ne"]);
    assert_eq!(sink.writes, [4, 3, 1]);
    assert_eq!(sink.counted, 4);
}

#[test]
fn the_last_line_is_kept_as_it_is_without_a_newline() {
    for text in ["abc\ndef", "def", "\n", "a\n\nb\r\n"] {
        let (_, sink) = run(Play::new([come(text)]), Segments::new(usize::MAX));
        assert_eq!(texts(&sink), [text]);
    }
    let (_, sink) = run(Play::new([]), Segments::new(usize::MAX));
    assert!(sink.writes.is_empty());
}

#[test]
fn a_flood_is_written_in_blocks_and_cut_in_front_of_records() {
    let flood = TRACE.repeat(20_000);
    let segment = 1 << 20;
    let (_, sink) = run(Play::new([come(&flood)]), Segments::new(segment));
    assert_eq!(texts(&sink).concat(), flood);
    for one in texts(&sink) {
        assert!(one.starts_with("2026-") && one.ends_with("more\n"));
    }
    // Full but for the part of a record, without an early rotation.
    let full = |one: &Vec<u8>| one.len() > segment - TRACE.len();
    assert!(sink.done.iter().all(full) && sink.switches.is_empty());
    assert!(sink.writes.iter().rev().skip(1).all(|len| *len > BLOCK - 2 * TRACE.len()));
}

#[test]
fn a_trace_that_comes_line_by_line_stays_in_one_segment() {
    let flood = TRACE.repeat(500);
    let acts = flood.split_inclusive('\n').flat_map(|line| [come(line), Act::Pause]);
    let segment = 16 << 10;
    let (_, sink) = run(Play::new(acts), Segments::new(segment));
    assert_eq!(texts(&sink).concat(), flood);
    assert!(sink.all().len() > 5);
    for one in texts(&sink) {
        assert!(one.starts_with("2026-") && one.ends_with("more\n"), "{one}");
    }
    assert!(sink.done.iter().all(|one| one.len() > segment * 3 / 4));
}

#[test]
fn the_length_of_the_log_is_asked_for_near_the_end_of_a_segment_only() {
    let acts = "0123456789abcdef\n".repeat(3000);
    let acts = acts.split_inclusive('\n').flat_map(|line| [come(line), Act::Pause]);
    let (_, sink) = run(Play::new(acts), Segments::new(32 << 10));
    assert_eq!(sink.writes.len(), 3000);
    assert!(sink.lens < 500, "{}", sink.lens);
}

#[test]
fn a_record_larger_than_a_segment_is_cut_between_lines() {
    let long = format!("begin\n{}", "  a line that is indented\n".repeat(2000));
    let (_, sink) = run(Play::new([come(&long)]), Segments::new(8 << 10));
    assert_eq!(texts(&sink).concat(), long);
    assert!(texts(&sink).iter().all(|one| one.ends_with('\n') && one.len() <= 8 << 10));
    assert_eq!(sink.forced, 0);
    assert_eq!(sink.all().len(), long.len().div_ceil(8 << 10));
}

#[test]
fn h48_a_line_without_end_is_cut_where_memory_or_segment_end_but_not_in_a_character() {
    let line = "é".repeat(3 * MEMORY);
    for segment in [usize::MAX, 4 << 20, 64 << 10, 4099] {
        let (_, sink) = run(Play::new([come(&line)]), Segments::new(segment));
        assert!(texts(&sink).concat() == line);
        // Each piece of a line that the memory cannot hold is counted as one.
        assert_eq!((sink.forced, sink.counted), (0, sink.writes.len() as u64));
        assert!(sink.writes.iter().all(|len| *len <= MEMORY));
        assert!(sink.all().iter().all(|one| one.len() <= segment && one.len() % 2 == 0));
    }
}

#[test]
fn a_rotation_waits_for_the_end_of_the_record() {
    let rotate = || Act::Signal(Wake::Switch(Switch::Rotate));
    let acts = [come("a\n  b\n"), Act::Pause, rotate(), come("  c\nd\n")];
    let (_, sink) = run(Play::new(acts), Segments::new(usize::MAX));
    assert_eq!(texts(&sink), ["a\n  b\n  c\n", "d\n"]);
}

#[test]
fn a_rotation_waits_a_moment_only() {
    let rotate = || Act::Signal(Wake::Switch(Switch::Rotate));
    let (_, sink) = run(
        Play::new([come("a\n"), Act::Pause, rotate(), Act::Pause, come("  b\n")]),
        Segments::new(usize::MAX),
    );
    assert_eq!(texts(&sink), ["a\n", "  b\n"]);
    let endless = "  b\n".repeat(SETTLE_BYTES);
    let acts = [come("a\n"), Act::Pause, rotate(), come(endless)];
    let (_, sink) = run(Play::new(acts), Segments::new(usize::MAX));
    assert_eq!(sink.all().len(), 2);
    assert!(sink.done[0].len() < 2 * SETTLE_BYTES);
}

#[test]
fn both_signals_are_obeyed_and_one_at_the_end_as_well() {
    let signal = |how| Act::Signal(Wake::Switch(how));
    let acts =
        [come("a\n"), signal(Switch::Rotate), signal(Switch::Reopen), signal(Switch::Rotate)];
    let (_, sink) = run(Play::new(acts), Segments::new(usize::MAX));
    assert_eq!(sink.switches, [Switch::Reopen, Switch::Rotate]);
    assert_eq!(texts(&sink), ["a\n"]);
}

#[test]
fn a_stop_drains_what_is_there_and_no_more() {
    let acts = [come("a\nb\n"), Act::Signal(Wake::Stop), come("c\nd"), come("e\n")];
    let (_, sink) = run(Play::new(acts), Segments::new(usize::MAX));
    assert_eq!(texts(&sink), ["a\nb\nc\nd"]);
}

#[test]
fn h50_who_writes_byte_by_byte_is_not_held_back() {
    let text = "0123456\n".repeat(4096);
    let (play, sink) =
        run(Play { read_max: 1, ..Play::new([come(&text)]) }, Segments::new(usize::MAX));
    assert_eq!(texts(&sink).concat(), text);
    assert!(play.reads > text.len());
    assert!(sink.writes.iter().all(|len| *len <= READS_MAX));
}

/// Fails if a segment ends inside of a record that is shorter than `fits`.
fn check_ends(segments: &[Vec<u8>], text: &[u8], fits: usize) -> Result<(), TestCaseError> {
    let (found, _) = starts(text, Before::Nothing);
    let mut at = 0;
    for one in segments {
        at += one.len();
        if at == text.len() || found.contains(&at) {
            continue;
        }
        let begin = found.iter().copied().rfind(|start| *start < at).unwrap_or(0);
        let end = found.iter().copied().find(|start| *start > at).unwrap_or(text.len());
        prop_assert!(end - begin > fits, "cut at {} in {}..{}", at, begin, end);
        let is_line = text[..at].last() == Some(&b'\n');
        prop_assert!(is_line || longest_line(text) > fits, "cut in a line at {}", at);
    }
    Ok(())
}

fn longest_line(text: &[u8]) -> usize {
    text.split_inclusive(|b| *b == b'\n').map(<[u8]>::len).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn nothing_is_lost_and_no_record_that_fits_is_cut(
        text in a_text(200), limit in 64usize..4096, read_max in 1usize..5000,
    ) {
        let play = Play { read_max, ..Play::new([come(&text)]) };
        let (_, sink) = run(play, Segments::new(limit));
        let segments = sink.all();
        prop_assert!(segments.concat() == text);
        prop_assert!(segments.iter().all(|one| one.len() <= limit));
        prop_assert_eq!(sink.forced, 0);
        prop_assert_eq!(sink.counted, memchr::memchr_iter(b'\n', &text).count() as u64);
        // With more reads than a block may have, it is as if there had been a pause.
        if text.len() / read_max + 1 < READS_MAX {
            check_ends(&segments, &text, limit - limit / 16)?;
        }
    }

    #[test]
    fn with_pauses_anywhere_a_record_that_fits_the_tail_is_not_cut(
        text in a_text(100), limit in 256usize..4096, pauses in prop::collection::vec(1usize..200, 1..20),
        overhead in 0usize..4, bytes in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let text = [text, bytes].concat();
        let mut acts = Vec::new();
        let mut rest = &text[..];
        for len in pauses.iter().cycle() {
            let (now, later) = rest.split_at((*len).min(rest.len()));
            acts.extend([Act::Come(now.to_vec()), Act::Pause]);
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        acts.retain(|act| !matches!(act, Act::Come(bytes) if bytes.is_empty()));
        let (_, sink) = run(Play::new(acts), Segments { overhead, ..Segments::new(limit) });
        let segments = sink.all();
        prop_assert!(segments.concat() == text);
        prop_assert!(segments.iter().all(|one| one.len() <= limit));
        prop_assert_eq!(sink.forced, 0);
        check_ends(&segments, &text, limit / 8 - overhead)?;
    }
}

#[test]
fn a_piece_that_goes_on_in_a_record_has_no_start() {
    assert_eq!(first_start(b"  b\n", Before::Plain), None);
}
