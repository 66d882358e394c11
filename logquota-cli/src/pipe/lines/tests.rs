use super::*;

use proptest::prelude::*;

/// All starts, by the rule itself, from the front.
pub(in crate::pipe) fn starts(bytes: &[u8], mut before: Before) -> (Vec<usize>, Before) {
    let mut found = Vec::new();
    for (at, line) in lines(bytes) {
        let (is_start, next) = step(before, kind(line));
        if is_start {
            found.push(at);
        }
        before = next;
    }
    (found, before)
}

/// A text whose records are set apart by lines of `====`; checks that they are found.
#[track_caller]
fn assert_records(text: &str) {
    let records: Vec<&str> = text.trim_start_matches('\n').split("====\n").collect();
    let whole = records.concat();
    let (found, _) = starts(whole.as_bytes(), Before::Nothing);
    let mut pieces = Vec::new();
    for (n, at) in found.iter().enumerate() {
        let end = found.get(n + 1).copied().unwrap_or(whole.len());
        pieces.push(&whole[*at..end]);
    }
    assert_eq!(pieces, records);
}

#[test]
fn lines_of_a_log_are_records_of_their_own() {
    assert_records(
        "
2026-11-21 10:00:00 INFO start
====
[warn] disk (sda)
====
{\"level\":\"info\"}
====
Error opening a file
====
ERROR: the same once more
",
    );
}

#[test]
fn a_java_trace_belongs_to_the_line_that_reports_it() {
    assert_records(
        "
2026-11-21 10:00:00 ERROR Player - decode failed
java.lang.IllegalStateException: no frame
\tat com.example.Decoder.next(Decoder.java:42)
\tat com.example.Player.run(Player.java:17)
\tSuppressed: java.io.IOException: closed
\t\tat com.example.Source.close(Source.java:9)
Caused by: java.io.IOException: broken file
\tat com.example.Source.read(Source.java:23)
\t... 12 more
====
2026-11-21 10:00:01 INFO next file
====
Exception in thread \"main\" java.lang.Error: x
\tat A.main(A.java:1)
====
java.io.IOException: one
\tat A.main(A.java:1)
====
java.io.IOException: two
\tat A.main(A.java:1)
... 3 more
",
    );
}

#[test]
fn a_python_traceback_ends_with_its_exception() {
    assert_records(
        "
ERROR:root:decode failed
Traceback (most recent call last):
  File \"player.py\", line 3, in run
    decode(frame)
    ~~~~~~^^^^^^^
KeyError: 'codec'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File \"player.py\", line 5, in run
    raise Broken() from None
player.errors.Broken: (no text)
====
INFO:root:next file
====
12 files left
",
    );
}

#[test]
fn tracebacks_one_after_the_other_are_records_of_their_own() {
    let one = "Traceback (most recent call last):\n  File \"a.py\", line 1\nValueError: bad\n";
    assert_records(&format!("\n{one}====\n{one}====\n{one}"));
}

#[test]
fn a_panic_of_rust_has_its_message_and_its_backtrace() {
    assert_records(
        "
INFO start
====
thread 'main' panicked at src/main.rs:2:5:
it broke
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
====
thread 'worker' (4711) panicked at src/main.rs:3:5:
assertion `left == right` failed
  left: 1
 right: 2
stack backtrace:
   0: std::panicking::begin_panic_handler
             at /rustc/library/std/src/panicking.rs:697:5
note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.
====
INFO again
",
    );
}

#[test]
fn traces_of_go_javascript_dotnet_and_php_are_records() {
    assert_records(
        "
panic: runtime error: index out of range [5] with length 3

goroutine 1 [running]:
main.decode(0x1, 0x2)
\t/src/main.go:12 +0x1d
main.main()
\t/src/main.go:5 +0x18
created by main.start in goroutine 1
\t/src/main.go:3 +0x18
exit status 2
====
main.go started (pid 4)
====
request failed
TypeError: x is not a function
    at run (/srv/app.js:3:5) {
  [cause]: Error: y
}
====
Unhandled exception. System.Exception: x
   at Player.Run() in /src/Player.cs:line 3
--- End of stack trace from previous location ---
   at Player.Main()
====
PHP Fatal error:  Uncaught Exception: x in /srv/index.php:3
Stack trace:
#0 /srv/index.php(12): run()
#1 {main}
  thrown in /srv/index.php on line 3
====
done
",
    );
}

#[test]
fn windows_line_ends_change_nothing() {
    let text =
        b"a\r\n\tat b\r\n\r\nTraceback (most recent call last):\r\n  File\r\nKeyError: 1\r\nc\r\n";
    let (found, _) = starts(text, Before::Nothing);
    let begin = |needle: &[u8]| memmem::find(text, needle).expect("it is there");
    assert_eq!(found, [0, begin(b"Traceback"), begin(b"c\r\n")]);
}

#[test]
fn the_rest_of_a_line_begins_nothing() {
    assert_eq!(first_start(b"a\nb\nc\n", Before::HalfLine), Some(2));
    assert_eq!(last_start(b"a\n", Before::HalfLine, 0), None);
    assert_eq!(last_start(b"thread 'a' panicked at b:\n", Before::HalfLine, 0), None);
}

#[test]
fn nothing_above_the_floor_is_read() {
    let text = b"a\nb\n  c\n  d\n";
    assert_eq!(last_start(text, Before::Nothing, 0), Some(2));
    assert_eq!(last_start(text, Before::Nothing, 4), None);
    assert_eq!(last_start(b"", Before::Nothing, 0), None);
}

/// Lines of every kind, so that each meets each.
pub(in crate::pipe) fn a_line() -> impl Strategy<Value = Vec<u8>> {
    let fixed: Vec<&[u8]> = vec![
        b"",
        b"  ",
        b"\tat x",
        b"    y",
        b"\t/src/a.go:1 +0x1",
        b"Caused by: x",
        b"... 12 more",
        b"The above exception was the direct cause of the following exception:",
        b"goroutine 1 [running]:",
        b"Traceback (most recent call last):",
        b"thread 'a' panicked at b.rs:1:1:",
        b"note: run with x",
        b"java.io.IOException: x",
        b"main.run(1)",
        b"12 created (x)",
        b"created by main.main",
        b"KeyError",
        b"text",
        b"2026-11-21 text",
        b"}",
        b"#0 x",
        b"\xff\0",
    ];
    let text = prop_oneof![
        20 => prop::sample::select(fixed).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>().prop_filter("ends the line", |b| *b != b'\n'), 0..40),
    ];
    (text, prop::bool::weighted(0.1)).prop_map(|(mut line, cr)| {
        line.extend_from_slice(if cr { b"\r\n" } else { b"\n" });
        line
    })
}

pub(in crate::pipe) fn a_text(lines: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(a_line(), 0..lines).prop_map(|lines| lines.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn from_the_end_comes_to_the_same_as_from_the_front(
        text in a_text(24), above in a_text(4), half in any::<bool>(),
    ) {
        let before = if half { Before::HalfLine } else { starts(&above, Before::Nothing).1 };
        let (found, state) = starts(&text, before);
        prop_assert_eq!(after(&text, before), state);
        prop_assert_eq!(first_start(&text, before), found.first().copied());
        prop_assert_eq!(last_start(&text, before, 0), found.last().copied());
        for at in memchr::memchr_iter(b'\n', &text).map(|newline| newline + 1) {
            let last = found.iter().copied().rfind(|start| *start < at);
            prop_assert_eq!(last_start(&text[..at], before, 0), last);
        }
    }
}
