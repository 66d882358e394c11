//! Cuts the text of a configuration into tokens. Knows lines, words, quotes and braces; knows
//! no directive.

use super::Dialect;
use super::diagnostic::{Fault, Pos};
use super::words::{self, SplitError, Word};

/// What stands next in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A run of letters that is properly separated from what follows.
    Name(&'a str, Pos),
    /// A run of letters with something else right behind it; the lexer stands there.
    Glued(&'a str, Pos),
    /// The first character of a path list; not consumed.
    Path(Pos),
    /// `}`
    Close(Pos),
    /// Nothing that may begin a line.
    Stray(Pos),
    /// The end of the text.
    End(Pos),
}

/// The paths in front of a block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PathList {
    /// As written, quotes kept, white space at the end cut. Of comments their lines are left.
    pub(super) text: Vec<u8>,
    /// The words, with their places.
    pub(super) words: Vec<(Vec<u8>, Pos)>,
}

/// A place in a text that only moves forward.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, line: 1 }
    }

    pub(super) const fn pos(&self) -> Pos {
        Pos { offset: self.at, line: self.line }
    }

    /// The whole text.
    pub(super) const fn text(&self) -> &'a [u8] {
        self.bytes
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Goes `count` bytes on, none of them a newline.
    fn skip(&mut self, count: usize) -> &'a [u8] {
        let skipped = self.rest().get(..count).unwrap_or_default();
        self.at += skipped.len();
        skipped
    }

    fn skip_while(&mut self, is: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        self.skip(rest.iter().position(|b| !is(*b)).unwrap_or(rest.len()))
    }

    fn blanks(&mut self) {
        self.skip_while(|b| matches!(b, b' ' | b'\t'));
    }

    /// The rest of the line without its newline, which stays.
    pub(super) fn line_rest(&mut self) -> &'a [u8] {
        self.skip_while(|b| b != b'\n')
    }

    /// Goes behind the next newline; `false` if there is none.
    fn next_line(&mut self) -> bool {
        self.line_rest();
        let more = self.peek().is_some();
        self.at += usize::from(more);
        self.line += usize::from(more);
        more
    }

    /// The next token, over empty lines and comments.
    pub(super) fn token(&mut self) -> Token<'a> {
        loop {
            self.blanks();
            let pos = self.pos();
            match self.peek() {
                None => return Token::End(pos),
                Some(b'\n' | b'#') => {
                    self.next_line();
                }
                Some(b'/' | b'"' | b'\'' | b'~') => return Token::Path(pos),
                Some(b'}') => {
                    self.skip(1);
                    return Token::Close(pos);
                }
                Some(b) if b.is_ascii_alphabetic() => {
                    let name = self.letters();
                    return match self.peek() {
                        None | Some(b'=') => Token::Name(name, pos),
                        Some(next) if words::is_space(next) => Token::Name(name, pos),
                        Some(_) => Token::Glued(name, pos),
                    };
                }
                Some(_) => return Token::Stray(pos),
            }
        }
    }

    fn letters(&mut self) -> &'a str {
        let letters = self.skip_while(|b| b.is_ascii_alphabetic());
        std::str::from_utf8(letters).unwrap_or_default()
    }

    /// The value of a directive: blanks, at most one `=`, blanks, then the rest of the line
    /// with white space cut at its end.
    pub(super) fn value(&mut self) -> (&'a [u8], Pos) {
        self.blanks();
        if self.peek() == Some(b'=') {
            self.skip(1);
            self.blanks();
        }
        let pos = self.pos();
        (self.line_rest().trim_ascii_end(), pos)
    }

    /// The rest of the line, from its first non-blank, with white space cut at its end.
    pub(super) fn line_value(&mut self) -> (&'a [u8], Pos) {
        self.blanks();
        let pos = self.pos();
        (self.line_rest().trim_ascii_end(), pos)
    }

    /// The body of a script: all from here up to the line whose first word is `endscript`.
    /// The lexer then stands behind that word; at the end of the text if there is none.
    pub(super) fn script(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        while self.next_line() {
            let end = self.at;
            self.blanks();
            if self.letters() == "endscript" {
                return self.bytes.get(start..end);
            }
        }
        None
    }

    /// Goes over one character of the line, whatever it is.
    pub(super) fn pass_one(&mut self) {
        self.skip(usize::from(self.peek().is_some_and(|b| b != b'\n')));
    }

    /// Right after an error: goes behind the closing brace, if that is the second character
    /// behind the wrong one. logrotate looks there, and then at the beginnings of lines.
    pub(super) fn skip_to_near_brace(&mut self) -> bool {
        let is_near = matches!(self.rest(), [a, b, b'}', ..] if ![a, b].contains(&&b'\n'));
        self.skip(if is_near { 3 } else { 0 });
        is_near
    }

    /// After an error inside a block: goes behind the line whose first non-blank is the
    /// closing brace. Scripts, whose keywords `is_script` knows, are stepped over. The rest of
    /// the present line counts as closing too if it ends in a brace that stands alone.
    pub(super) fn skip_block(&mut self, is_script: impl Fn(&str) -> bool) {
        let rest = self.line_rest();
        if ends_in_brace(rest) || rest.trim_ascii() == b"}" {
            return;
        }
        while self.next_line() {
            self.blanks();
            if self.peek() == Some(b'}') {
                self.line_rest();
                return;
            }
            if is_script(self.letters()) && self.peek().is_none_or(words::is_space) {
                self.script();
            }
        }
    }

    /// Steps over a script if it has an end; else stays.
    pub(super) fn skip_script(&mut self) {
        let (at, line) = (self.at, self.line);
        if self.script().is_none() {
            (self.at, self.line) = (at, line);
        }
    }

    /// From the first path to the `{` and behind it, over as many lines as it takes.
    pub(super) fn path_list(&mut self, dialect: Dialect) -> Result<PathList, Fault> {
        let start = self.pos();
        let mut parts: Vec<(usize, &[u8])> = Vec::new();
        loop {
            let from = self.at;
            let part = self.skip_while(|b| !matches!(b, b'\n' | b'{' | b'}'));
            match self.peek() {
                Some(b'{') => {
                    parts.push((from, part));
                    self.skip(1);
                    break;
                }
                Some(b'}') => {
                    return Err(Fault::new(
                        self.pos(),
                        "`}` without a `{` before it",
                        "write `{` behind the paths; a path cannot have braces",
                    )
                    .classic("unexpected } (missing previous '{')"));
                }
                None => {
                    return Err(Fault::new(
                        start,
                        "no `{` follows this path",
                        "write `{` behind the paths, and a `}` behind the directives",
                    )
                    .classic("missing '{' after log files definition"));
                }
                Some(_) => {
                    // With its newline, which separates words.
                    let end = self.at + 1;
                    parts.push((from, self.bytes.get(from..end).unwrap_or_default()));
                    self.next_line();
                    self.comment_lines(&mut parts);
                }
            }
        }
        let bytes = parts
            .iter()
            .flat_map(|(from, part)| part.iter().enumerate().map(|(i, b)| (*from + i, *b)));
        let split = match words::split_leniently(bytes) {
            (_, Some(error)) if dialect == Dialect::Own => {
                return Err(unsplittable(error, self.bytes, start));
            }
            (words, _) => words,
        };
        let mut text: Vec<u8> = parts.iter().flat_map(|(_, part)| *part).copied().collect();
        text.truncate(text.trim_ascii_end().len());
        Ok(PathList { text, words: place(split, self.bytes, start) })
    }

    /// Goes over comments; what is left of them are empty lines.
    fn comment_lines(&mut self, parts: &mut Vec<(usize, &'a [u8])>) {
        loop {
            let (at, line) = (self.at, self.line);
            self.blanks();
            if self.peek() != Some(b'#') {
                (self.at, self.line) = (at, line);
                return;
            }
            parts.push((at, self.bytes.get(at..self.at).unwrap_or_default()));
            self.line_rest();
            let end = self.at;
            self.next_line();
            parts.push((end, self.bytes.get(end..self.at).unwrap_or_default()));
        }
    }
}

/// Whether a line ends in a `}` that is a word of its own behind other text.
pub(super) fn ends_in_brace(line: &[u8]) -> bool {
    matches!(line.trim_ascii_end(), [.., before, b'}'] if words::is_space(*before))
        || matches!(line.trim_ascii_end(), [b';', b'}'])
}

/// Gives words their lines. They come in order, so one pass over the text is enough.
fn place(split: Vec<Word>, bytes: &[u8], start: Pos) -> Vec<(Vec<u8>, Pos)> {
    let mut pos = start;
    let mut placed = Vec::with_capacity(split.len());
    for word in split {
        let between = bytes.get(pos.offset..word.at).unwrap_or_default();
        pos.line += between.iter().filter(|b| **b == b'\n').count();
        pos.offset = word.at;
        placed.push((word.text, pos));
    }
    placed
}

fn unsplittable(error: SplitError, bytes: &[u8], start: Pos) -> Fault {
    let (at, message, help) = match error {
        SplitError::Unclosed { at, quote } => (
            at,
            format!("this {} is never closed before the `{{`", char::from(quote)),
            "close the quote; a `{` ends the paths even inside quotes",
        ),
        SplitError::Dangling { at } => {
            (at, "nothing follows this backslash".to_owned(), "remove it")
        }
    };
    let between = bytes.get(start.offset..at).unwrap_or_default();
    let line = start.line + between.iter().filter(|b| **b == b'\n').count();
    Fault::new(Pos { offset: at, line }, message, help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_blank_lines_are_passed_over() {
        let mut lexer = Lexer::new(b"# a\n\n \t# b\n  daily # c\n}");
        assert_eq!(lexer.token(), Token::Name("daily", Pos { offset: 13, line: 4 }));
        assert_eq!(lexer.token(), Token::Close(Pos { offset: 23, line: 5 }));
        assert_eq!(lexer.token(), Token::End(Pos { offset: 24, line: 5 }));
    }

    #[test]
    fn a_name_ends_at_white_space_or_an_equals_sign_and_nowhere_else() {
        for (text, glued) in
            [("daily", false), ("size=1", false), ("size 1", false), ("size\n", false)]
                .into_iter()
                .chain([("daily;", true), ("daily}", true), ("size:1", true), ("a.log", true)])
        {
            let token = Lexer::new(text.as_bytes()).token();
            assert_eq!(matches!(token, Token::Glued(..)), glued, "{text}");
        }
    }

    #[test]
    fn a_value_is_the_rest_of_the_line_behind_at_most_one_equals_sign() {
        for (text, value) in [
            (" 4", "4"),
            ("=4", "4"),
            (" = 4  ", "4"),
            ("==4", "=4"),
            (" 4 # four\nx", "4 # four"),
            ("\nx", ""),
            ("", ""),
            (" \"x\"\r\n", "\"x\""),
        ] {
            assert_eq!(Lexer::new(text.as_bytes()).value().0, value.as_bytes(), "{text}");
        }
    }

    #[test]
    fn a_script_ends_at_the_line_whose_first_word_is_endscript() {
        for (text, body) in [
            ("\n a {\n}\n endscript daily", Some("\n a {\n}\n")),
            (" first\n x; endscript\nendscript2", Some(" first\n x; endscript\n")),
            (" endscript\n endscript", Some(" endscript\n")),
            ("\n endscripts\n", None),
            ("\n a", None),
        ] {
            let got = Lexer::new(text.as_bytes()).script();
            assert_eq!(got, body.map(str::as_bytes), "{text}");
        }
    }

    fn paths(text: &str) -> Result<(String, Vec<(String, usize)>), String> {
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Lexer::new(text.as_bytes())
            .path_list(Dialect::Own)
            .map(|l| (lossy(&l.text), l.words.iter().map(|(w, p)| (lossy(w), p.line)).collect()))
            .map_err(|fault| format!("{}:{}", fault.pos.line, fault.message))
    }

    #[test]
    fn a_path_list_goes_over_lines_and_leaves_comments_out() {
        assert_eq!(
            paths("/a '/b c'\n # { no }\n\t/d#e /f\\ g\n\n{ daily"),
            Ok((
                "/a '/b c'\n \n\t/d#e /f\\ g".to_owned(),
                vec![
                    ("/a".to_owned(), 1),
                    ("/b c".to_owned(), 1),
                    ("/d#e".to_owned(), 3),
                    ("/f g".to_owned(), 3)
                ]
            ))
        );
    }

    #[test]
    fn a_path_list_without_its_brace_is_refused_where_it_is() {
        assert_eq!(paths("/a\n/b }"), Err("2:`}` without a `{` before it".to_owned()));
        assert_eq!(paths("/a\n/b"), Err("1:no `{` follows this path".to_owned()));
        assert_eq!(
            paths("/a\n '/b {c}' {"),
            Err("2:this ' is never closed before the `{`".to_owned())
        );
        assert_eq!(paths("/a\\{"), Err("1:nothing follows this backslash".to_owned()));
    }

    #[test]
    fn after_an_error_any_line_that_begins_with_a_brace_closes_the_block() {
        for (text, left) in [
            ("x\n  }\n/y", "/y"),
            (" postrotate\n }\n postrotate\n }\nendscript\n }\n/y", "postrotate"),
            ("x\n postrotate\n }\nendscript\n }\n/y", "/y"),
            (" 3 }\n/y", "/y"),
            ("; }\n/y", "/y"),
            ("}\n/y", "/y"),
            ("${x}\n}\n/y", "/y"),
            ("x\n", ""),
        ] {
            let mut lexer = Lexer::new(text.as_bytes());
            lexer.skip_block(|name| name == "postrotate");
            let rest = String::from_utf8_lossy(lexer.rest()).trim().to_owned();
            assert!(rest.starts_with(left) && rest.is_empty() == left.is_empty(), "{text}: {rest}");
        }
    }
}
