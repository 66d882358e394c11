//! Tokens to statements and blocks of one file. Knows which directives there are and what
//! kind of value each takes; what the values mean is for [`translate`](super::translate).
//!
//! Nothing half-read leaves here: a block with a syntax error carries its faults along, and
//! the list of items ends at the first error outside of blocks.

use super::Dialect;
use super::diagnostic::{Fault, Pos, show};
use super::directives::{self, Directive, Kind};
use super::lex::{Lexer, Token, ends_in_brace};

/// A directive with its value as written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statement<'a> {
    pub(super) directive: &'static Directive,
    pub(super) pos: Pos,
    /// Of flags empty; of scripts the body.
    pub(super) value: &'a [u8],
    pub(super) value_pos: Pos,
}

/// What is between the braces.
#[derive(Debug, Default)]
pub(super) struct Body<'a> {
    pub(super) statements: Vec<Statement<'a>>,
    /// Each of them makes the block unusable.
    pub(super) faults: Vec<Fault>,
    /// Suspicious, but it works.
    pub(super) notes: Vec<Fault>,
    /// Whether the file ended before the closing brace.
    pub(super) is_open: bool,
    /// Behind the closing brace, or where the reading ended.
    pub(super) end: Pos,
}

/// Paths and what shall become of them.
#[derive(Debug)]
pub(super) struct Block<'a> {
    pub(super) pos: Pos,
    /// The paths as written.
    pub(super) text: Vec<u8>,
    pub(super) words: Vec<(Vec<u8>, Pos)>,
    pub(super) body: Body<'a>,
}

/// What a file is made of.
#[derive(Debug)]
pub(super) enum Item<'a> {
    /// A directive outside of blocks.
    Statement(Statement<'a>),
    /// A block, perhaps with faults.
    Block(Block<'a>),
    /// An error outside of blocks; always the last item.
    Fault(Fault),
    /// A word outside of blocks that logrotate does not know, and whose line it ignores.
    Unknown(Fault),
}

/// Reads a file that was not included from within a block, item by item: a file may have more
/// blocks than should be held at once.
pub(super) fn file(bytes: &[u8], dialect: Dialect) -> impl Iterator<Item = Item<'_>> {
    let mut lexer = Lexer::new(bytes);
    let mut is_over = false;
    // Where the error of a block was about its brace, there may be one more for it.
    let mut forgives = false;
    std::iter::from_fn(move || {
        if is_over {
            return None;
        }
        let mut token = lexer.token();
        if std::mem::take(&mut forgives) && matches!(token, Token::Close(_)) {
            token = lexer.token();
        }
        let item = match token {
            Token::End(_) => return None,
            Token::Path(pos) => lexer.path_list(dialect).map(|paths| {
                let body = body(&mut lexer, true, dialect);
                forgives = !body.faults.is_empty();
                Item::Block(Block { pos, text: paths.text, words: paths.words, body })
            }),
            Token::Close(pos) => {
                let help = "remove it, or write the paths and `{`";
                Err(Fault::new(pos, "`}` without a block", help).classic("unexpected }"))
            }
            Token::Name(name, pos) => match directives::find_in(name, dialect) {
                Some(directive) => {
                    statement(&mut lexer, directive, pos, dialect).map(Item::Statement)
                }
                None if dialect == Dialect::Logrotate => {
                    lexer.line_rest();
                    Ok(Item::Unknown(unknown(name, pos)))
                }
                None => Err(unknown(name, pos)),
            },
            Token::Glued(name, pos) => Err(glued(&mut lexer, name, pos)),
            Token::Stray(pos) => Err(stray(bytes, pos)),
        };
        is_over = item.is_err();
        Some(item.unwrap_or_else(Item::Fault))
    })
}

/// Reads a file that was included from within a block.
pub(super) fn inside(bytes: &[u8], dialect: Dialect) -> Body<'_> {
    body(&mut Lexer::new(bytes), false, dialect)
}

/// After so many errors in one block the rest of it is not looked at: it is dropped anyway.
pub(super) const FAULTS_MAX: usize = 50;

/// So many words of one block that logrotate does not know are told.
const NOTES_MAX: usize = 1000;

/// Up to the closing brace, if there shall be one, or the end.
fn body<'a>(lexer: &mut Lexer<'a>, braces: bool, dialect: Dialect) -> Body<'a> {
    let body = statements(lexer, braces, dialect);
    Body { end: lexer.pos(), ..body }
}

fn statements<'a>(lexer: &mut Lexer<'a>, braces: bool, dialect: Dialect) -> Body<'a> {
    let mut body = Body::default();
    let opened = lexer.pos().line;
    let fatal = loop {
        match lexer.token() {
            Token::End(pos) => {
                if braces {
                    let help = "add the missing `}`; perhaps the file was cut off";
                    let fault = Fault::new(pos, "the file ends inside a block", help);
                    body.notes.push(fault.classic(""));
                    body.is_open = true;
                }
                return body;
            }
            Token::Close(_) if braces => {
                body.notes.extend(behind_brace(lexer, dialect));
                return body;
            }
            Token::Close(pos) => {
                let message = "`}` in a file that is included by a block";
                break Fault::new(pos, message, "remove it").classic("unexpected }");
            }
            Token::Path(pos) => {
                break Fault::new(
                    pos,
                    "a path inside of a block",
                    "close the block above with `}` on a line of its own",
                )
                .classic("unexpected log filename");
            }
            Token::Glued(name, pos) => break glued(lexer, name, pos),
            Token::Stray(pos) => break stray(lexer.text(), pos),
            Token::Name(name, pos) => {
                let Some(directive) = directives::find_in(name, dialect) else {
                    if dialect == Dialect::Logrotate {
                        if body.notes.len() < NOTES_MAX {
                            body.notes.push(unknown(name, pos));
                        }
                        lexer.line_rest();
                        continue;
                    }
                    if body.faults.len() >= FAULTS_MAX {
                        break unknown(name, pos);
                    }
                    body.faults.push(unknown(name, pos));
                    if misspelt_script(name) {
                        lexer.skip_script();
                    } else if braces && ends_in_brace(lexer.line_rest()) {
                        return body;
                    }
                    continue;
                };
                match statement(lexer, directive, pos, dialect) {
                    Err(fault) => {
                        body.faults.push(fault);
                        return body;
                    }
                    Ok(statement) if braces && closes(&statement) => {
                        body.faults.push(swallowed_brace(&statement));
                        if dialect == Dialect::Logrotate {
                            // What it says about the value comes first.
                            body.statements.push(statement);
                        }
                        return body;
                    }
                    Ok(statement) => body.statements.push(statement),
                }
            }
        }
    };
    body.faults.push(fatal);
    if braces && dialect == Dialect::Logrotate && lexer.skip_to_near_brace() {
        return body;
    }
    if braces {
        // The brace that ends the block begins a line, unless all of it is on one.
        if lexer.pos().line > opened {
            lexer.line_rest();
        }
        lexer.skip_block(|name| directives::find(name).is_some_and(Directive::is_script));
    }
    body
}

fn statement<'a>(
    lexer: &mut Lexer<'a>,
    directive: &'static Directive,
    pos: Pos,
    dialect: Dialect,
) -> Result<Statement<'a>, Fault> {
    let (value, value_pos) = match directive.kind() {
        // The rest of its line is read on.
        _ if dialect == Dialect::Logrotate && directive.is_obsolete() => (b"".as_slice(), pos),
        Kind::Flag => (b"".as_slice(), pos),
        Kind::Value => lexer.value(),
        Kind::Line => lexer.line_value(),
        Kind::Script => {
            let value_pos = lexer.pos();
            let body = lexer.script().ok_or_else(|| {
                Fault::new(
                    pos,
                    format!("the script of `{}` has no end", directive.name()),
                    "write `endscript` on a line of its own behind it",
                )
                .classic("prerotate, postrotate or preremove without endscript")
                .ends_file()
            })?;
            if dialect == Dialect::Logrotate {
                // Whatever stands there separates `endscript` from the rest of its line.
                lexer.pass_one();
            }
            (body, value_pos)
        }
    };
    if directive.kind() == Kind::Value && value.is_empty() {
        return Ok(Statement { directive, pos, value, value_pos: pos });
    }
    Ok(Statement { directive, pos, value, value_pos })
}

/// Whether the value has taken the brace that was meant to close the block.
fn closes(statement: &Statement<'_>) -> bool {
    matches!(statement.directive.kind(), Kind::Value | Kind::Line)
        && (statement.value == b"}" || ends_in_brace(statement.value))
}

fn swallowed_brace(statement: &Statement<'_>) -> Fault {
    let brace = statement.value.len().saturating_sub(1);
    let pos = Pos { offset: statement.value_pos.offset + brace, ..statement.value_pos };
    let name = statement.directive.name();
    Fault::new(
        if statement.value == b"}" { statement.value_pos } else { pos },
        format!("the value of `{name}` goes to the end of the line and has taken the `}}`"),
        "write `}` on a line of its own",
    )
}

/// Text behind a closing brace, which is not read.
fn behind_brace(lexer: &mut Lexer<'_>, dialect: Dialect) -> Option<Fault> {
    let (rest, pos) = lexer.line_value();
    // To logrotate a comment is text like other.
    let is_fine = rest.is_empty() || dialect == Dialect::Own && rest.starts_with(b"#");
    (!is_fine).then(|| {
        Fault::new(
            pos,
            format!("`{}` behind `}}` is not read", show(rest)),
            "write it on a line of its own",
        )
        .classic("unexpected text after }")
    })
}

fn unknown(name: &str, pos: Pos) -> Fault {
    let classic = format!("unknown option '{}' -- ignoring line", show(name));
    if name == "endscript" {
        let message = "`endscript` without a script before it";
        return Fault::new(pos, message, "remove it").classic(classic);
    }
    let help = match directives::nearest(name) {
        Some(near) => format!("perhaps `{}` is meant", near.name()),
        None => "remove it, or correct its spelling".to_owned(),
    };
    Fault::new(pos, format!("unknown directive `{}`", show(name)), help).classic(classic)
}

/// So that the lines of its body are not taken for directives.
fn misspelt_script(name: &str) -> bool {
    directives::nearest(name).is_some_and(Directive::is_script)
}

fn glued(lexer: &mut Lexer<'_>, name: &str, pos: Pos) -> Fault {
    let behind = lexer.pos();
    let text = lexer.text().get(behind.offset..).unwrap_or_default();
    let character = text.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
    let what = match (character, text.first()) {
        (Some(c), _) => show(c.to_string()),
        (None, byte) => format!("\\x{:02x}", byte.copied().unwrap_or_default()),
    };
    Fault::new(
        if directives::find(name).is_some() { behind } else { pos },
        format!("`{what}` cannot follow `{}` directly", show(name)),
        "separate them with a blank; a path begins with `/`, `~` or a quote",
    )
    .classic(format!(
        "keyword '{}' not properly separated, found 0x{:x}",
        show(name),
        text.first().copied().unwrap_or_default()
    ))
}

fn stray(bytes: &[u8], pos: Pos) -> Fault {
    let text = bytes.get(pos.offset..).unwrap_or_default();
    let (message, help) = match text.first() {
        Some(b'\r') => (
            "this file has the line ends of DOS (CR LF)".to_owned(),
            "convert it, for example with `sed -i 's/\\r$//' FILE`",
        ),
        Some(0xef) if text.starts_with(b"\xef\xbb\xbf") => {
            ("a byte order mark".to_owned(), "save the file without it")
        }
        Some(b'{') => ("`{` without paths before it".to_owned(), "write the paths before it"),
        _ => (
            "a line must begin with a directive, or with a path outside of blocks".to_owned(),
            "a path begins with `/`, `~` or a quote; a comment begins with `#`",
        ),
    };
    Fault::new(pos, message, help)
        .classic("lines must begin with a keyword or a filename (possibly in double quotes)")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks as `text: directives ! faults`, the rest as it comes.
    fn outline(text: &str) -> Vec<String> {
        let names = |body: &Body<'_>| {
            let names: Vec<_> = body.statements.iter().map(|s| s.directive.name()).collect();
            let faults: Vec<_> =
                body.faults.iter().map(|f| format!("!{}:{}", f.pos.line, f.message)).collect();
            let notes: Vec<_> =
                body.notes.iter().map(|f| format!("?{}:{}", f.pos.line, f.message)).collect();
            [names.join(" "), faults.join(" "), notes.join(" ")].join(" ").trim().to_owned()
        };
        file(text.as_bytes(), Dialect::Own)
            .map(|item| match &item {
                Item::Statement(s) => s.directive.name().to_owned(),
                Item::Block(b) => {
                    format!("{}: {}", String::from_utf8_lossy(&b.text), names(&b.body))
                }
                Item::Fault(f) | Item::Unknown(f) => format!("!{}:{}", f.pos.line, f.message),
            })
            .collect()
    }

    #[test]
    fn flags_share_a_line_and_values_take_the_rest_of_it() {
        assert_eq!(
            outline("daily compress # x\n/a { daily missingok }\n/b\n{ daily rotate 4\n}\n/c { }"),
            ["daily", "compress", "/a: daily missingok", "/b: daily rotate", "/c: "]
        );
    }

    #[test]
    fn an_error_in_a_block_spares_the_next_block() {
        let taken = "the value of `rotate` goes to the end of the line and has taken the `}`";
        for (block, fault) in [
            ("/a { rotate 3 }", format!("!1:{taken}")),
            ("/a {\n rotate }", format!("!2:{taken}")),
            ("/a {\n bogus 3\n  }", "!2:unknown directive `bogus`".to_owned()),
            ("/a { bogus }", "!1:unknown directive `bogus`".to_owned()),
            ("/a { daily; }", "daily !1:x".to_owned()),
            ("/a {\n 7\n  }", "!2:x".to_owned()),
            ("/a {\n postrotatee\n  }\n rm x\nendscript\n}", "!2:x".to_owned()),
            ("/a {\n /b {\n postrotate\n }\nendscript\n }", "!2:x".to_owned()),
        ] {
            let got = outline(&format!("{block}\n/z {{\n daily\n}}\n"));
            assert_eq!(got.len(), 2, "{block}: {got:?}");
            assert_eq!(got.last().map(String::as_str), Some("/z: daily"), "{block}");
            let line = fault.trim_start_matches(|c: char| c != '!').trim_end_matches('x');
            assert!(got.first().is_some_and(|g| g.contains(line)), "{got:?} {fault}");
        }
    }

    #[test]
    fn an_error_outside_of_blocks_ends_the_file() {
        for (text, fault) in [
            ("/a { }\n}\n/b { }", "!2:`}` without a block"),
            ("/a { }\nbogus\n/b { }", "!2:unknown directive `bogus`"),
            ("/a { }\n/b }\n/c { }", "!2:`}` without a `{` before it"),
            ("/a { }\n{\n/c { }", "!2:`{` without paths before it"),
            ("/a { }\ndaily;\n/c { }", "!2:`;` cannot follow `daily` directly"),
            ("/a { }\n\r\n/c { }", "!2:this file has the line ends of DOS (CR LF)"),
            ("/a { }\npostrotate\n x", "!2:the script of `postrotate` has no end"),
            ("/a { }\nendscript\n", "!2:`endscript` without a script before it"),
        ] {
            assert_eq!(outline(text), ["/a: ", fault], "{text}");
        }
    }

    #[test]
    fn a_script_without_end_takes_its_block_and_the_rest_of_the_file() {
        assert_eq!(
            outline("/a { }\n/b {\n postrotate\n }\n/c { }"),
            ["/a: ", "/b: !3:the script of `postrotate` has no end"]
        );
    }

    #[test]
    fn a_block_that_is_not_closed_is_read_with_a_remark() {
        assert_eq!(outline("/a {\n daily"), ["/a: daily  ?2:the file ends inside a block"]);
        assert_eq!(outline("/a { daily } # x"), ["/a: daily"]);
        assert_eq!(outline("/a { } /b { }"), ["/a: ?1:`/b { }` behind `}` is not read"]);
    }

    #[test]
    fn binary_text_is_refused_at_its_first_byte() {
        for text in ["\u{0}\u{1}", "\u{feff}daily", "7", "@x", "\u{7f}"] {
            assert!(
                matches!(file(text.as_bytes(), Dialect::Own).collect::<Vec<_>>().as_slice(), [Item::Fault(f)] if f.pos.offset == 0),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_misspelt_directive_is_recognised() {
        for (name, near) in [("Rotate", "rotate"), ("rotates", "rotate"), ("wekly", "weekly")] {
            let fault = unknown(name, Pos::default());
            assert_eq!(fault.help, format!("perhaps `{near}` is meant"));
        }
    }
}
