//! Words of a command line, so that a shell reads them as they are meant and a terminal shows
//! them as they are.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;

/// One word for a POSIX shell. What cannot be shown is written in numbers (`$'\033'`).
pub(crate) fn quoted(word: &OsStr) -> String {
    let is_plain = |text: &str| {
        let is_safe = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
        !text.is_empty() && text.chars().all(is_safe)
    };
    match word.to_str() {
        Some(text) if is_plain(text) => text.to_owned(),
        Some(text) if crate::output::clean(text) == text => {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
        _ => {
            let mut out = "$'".to_owned();
            for byte in word.as_bytes() {
                match byte {
                    b'\'' | b'\\' => out.extend(['\\', char::from(*byte)]),
                    b' '..=b'~' => out.push(char::from(*byte)),
                    _ => {
                        let _ = write!(out, "\\{byte:03o}");
                    }
                }
            }
            out + "'"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn h15_h16_a_shell_reads_every_word_as_it_was() {
        for word in [
            &b"plain-1.0/x"[..],
            b"",
            b"two words",
            b"it's",
            b"$(touch x);`id`",
            b"back\\slash",
            b"\x1b]0;x\x07",
            b"line\nbreak",
            b"\xff\xfe",
            "\u{202e}bidi".as_bytes(),
        ] {
            let quoted = quoted(OsStr::from_bytes(word));
            assert!(quoted.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{quoted}");
            let script = format!("printf %s {quoted}");
            let output = Command::new("bash").args(["-c", &script]).output().expect("bash");
            assert_eq!(output.stdout, word, "{quoted}");
        }
    }
}
