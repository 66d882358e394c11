//! What signals do to a pipe.

use super::*;

#[test]
fn term_and_int_write_what_is_in_the_pipe_and_end_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let sandbox = Sandbox::new();
        let log = sandbox.logs().join("player.log");
        let mut pipe = Pipe::start(&["--quota", "64M"], &log);
        pipe.line("first");
        // The pipe stays open, and nobody reads the copy: neither keeps it from ending.
        let more = "0123456789abcdef\n".repeat(60_000);
        pipe.write(more.as_bytes());
        pipe.write(b"the last words");
        pipe.signal(signal);
        let stdin = pipe.stdin.take();
        let output = pipe.child.wait_with_output().expect("it ends");
        assert_code(&output, 0);
        assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
        assert_eq!(segments(&log), [format!("first\n{more}the last words")]);
        drop(stdin);
    }
}

#[test]
fn who_writes_without_end_does_not_keep_a_pipe_from_ending() {
    let sandbox = Sandbox::new();
    let log = sandbox.logs().join("player.log");
    let mut pipe = Pipe::start(&["--quota", "1M"], &log);
    pipe.line("first");
    let mut stdin = pipe.stdin.take().expect("its standard input");
    let writer = std::thread::spawn(move || while stdin.write_all(&[b'x'; 4096]).is_ok() {});
    pipe.signal(Signal::TERM);
    let output = pipe.child.wait_with_output().expect("it ends");
    assert_code(&output, 0);
    writer.join().expect("it met a closed pipe");
}

#[test]
fn usr1_rotates_in_front_of_the_next_record() {
    let sandbox = Sandbox::new();
    let log = sandbox.logs().join("player.log");
    let mut pipe = Pipe::start(&["--quota", "1M"], &log);
    pipe.line("a");
    pipe.line("  b");
    pipe.signal(Signal::USR1);
    pipe.write(b"  c\nd\n");
    pipe.line_of("  c\n");
    pipe.line_of("d\n");
    assert_eq!(segments(&log), ["a\n  b\n  c\n", "d\n"]);
    assert_code(&pipe.finish(), 0);
}

#[test]
fn usr1_does_not_rotate_an_empty_log() {
    let sandbox = Sandbox::new();
    let log = sandbox.logs().join("player.log");
    let mut pipe = Pipe::start(&["--quota", "1M"], &log);
    pipe.line("a");
    for _ in 0..3 {
        pipe.signal(Signal::USR1);
    }
    let output = pipe.finish();
    assert_code(&output, 0);
    let segments = segments(&log);
    assert_eq!((segments.len(), segments.concat().as_str()), (2, "a\n"));
}

#[test]
fn h46_hup_opens_the_log_again_that_somebody_moved() {
    let sandbox = Sandbox::new();
    let log = sandbox.logs().join("player.log");
    let moved = sandbox.path("moved.log");
    let mut pipe = Pipe::start(&["--quota", "1M"], &log);
    pipe.line("a");
    fs::rename(&log, &moved).expect("moved");
    pipe.signal(Signal::HUP);
    pipe.line("b");
    assert_eq!(text(&fs::read(&moved).expect("the old one")), "a\n");
    assert_eq!(segments(&log), ["b\n"]);
    assert_code(&pipe.finish(), 0);
}

#[test]
fn h52_what_was_written_survives_a_kill_and_the_next_pipe_goes_on() {
    let sandbox = Sandbox::new();
    let log = sandbox.logs().join("player.log");
    let mut whole = String::new();
    for run in 0..12 {
        let mut pipe = Pipe::start(&["--size", "4k", "--quota", "256k"], &log);
        for n in 0..=run * 7 {
            let line = format!("{run:03} {n:03} {:>60}", "x");
            pipe.line(&line);
            whole += &line;
            whole.push('\n');
        }
        pipe.child.kill().expect("it runs");
        let _ = pipe.wait();
        assert!(used(&log) <= 256 << 10);
    }
    assert_code(&super::pipe(&["--size", "4k", "--quota", "256k"], &log, b"end\n"), 0);
    assert_eq!(segments(&log).concat(), whole + "end\n");
}
