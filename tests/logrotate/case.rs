//! How a case is written, and what is made of the text. Nothing is run here.
//!
//! A case starts with `== NAME what it shows`. Its lines are done from top to bottom; a line with
//! `#` in front is a comment. `@/` is the folder of the case, in every text.
//!
//! ```text
//! file a.log a.log.1 mode=640 own=1:4 age=3d   each holds its own name (in .gz: compressed)
//! file a.log size=5                            so many bytes
//! file a.log = text                            one line; `\n` between two, `\c` for none at the end
//! file a.conf                                  the indented lines below it; `\c` as the last one
//! conf                                         the same for the file `conf`
//! dir old mode=700 · link NAME TARGET · hard NAME OF · fifo NAME · rm NAME · lock NAME · unlock
//! state                                        indented: `a.log -1d`, makes the state file
//! env NAME=TEXT · user UID · sh COMMAND · needs PROGRAM
//! at 2026-11-21 12:34:56                       what time it is from here on
//! run -f                                       -v -s state -m mailer conf, and these
//! run -f => 1                                  its exit status is 1
//! raw -d conf                                  these arguments alone
//! closed -f                                    as run, but stdin and stdout are closed
//! ```
//!
//! After a run come lines about it, which hold for both programs; see [`Want`] for them. Where the
//! two differ, `newer WHY` (the original is too old) or `better WHY` (ours is meant to) has indented
//! lines that say what holds for ours instead; all else is still compared. `hangs WHY` at the
//! start: the original is not run at all.
//!
//! In a configuration, `+postrotate` is a script that notes its name and arguments in `ran`;
//! what follows on the line is added to the script. `<-1d>` is a day ago as a state file has it,
//! `<-1d %Y%m%d>` the same in another form, `<today>` that form of today.
//!
//! A case with `each a | b` and indented rows is one case for each row; `{a}` in it, also in its
//! name, stands for the row's value. `\n` in a value starts a line that is indented as the first.

use chrono::NaiveDateTime;

/// One case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// The programs that it needs.
    pub(crate) needs: Vec<String>,
    /// Why the original is not run.
    pub(crate) hangs: Option<String>,
    pub(crate) steps: Vec<Step>,
}

/// What is done, in this order.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    File { names: Vec<String>, how: How, content: Content },
    Dir { names: Vec<String>, how: How },
    Link { name: String, target: String },
    Hard { name: String, of: String },
    Fifo(String),
    Remove(String),
    State(Vec<(String, String)>),
    Lock(String),
    Unlock,
    Env(String, String),
    User(u32),
    Shell(String),
    At(NaiveDateTime),
    Run(Run),
}

/// What is in a file.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Name,
    Size(usize),
    Text(String),
}

/// Attributes of a new file. What is not given stays as it is, or is the default.
#[derive(Clone, Debug, Default)]
pub(crate) struct How {
    pub(crate) mode: Option<u32>,
    pub(crate) owner: Option<(u32, u32)>,
    /// How old it is, as `3d`.
    pub(crate) age: Option<String>,
}

/// One call of the program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    pub(crate) args: Vec<String>,
    /// Whether these are all arguments.
    pub(crate) raw: bool,
    /// Whether stdin and stdout are closed.
    pub(crate) closed: bool,
    /// What holds after it, for both.
    pub(crate) wants: Vec<Want>,
    /// What holds for ours instead of what the original does, and why.
    pub(crate) differs: Option<(Differs, String, Vec<Want>)>,
}

/// Whose results are the right ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Differs {
    /// Those of an original that is newer than 3.21.
    Newer,
    /// Ours.
    Better,
}

/// A statement about the end of a run.
#[derive(Clone, Debug)]
pub(crate) enum Want {
    /// `exit 1`
    Exit(i32),
    /// `says error: stat of`: part of stderr.
    Says(String),
    /// `never error:`: no part of stderr.
    Never(String),
    /// `prints text`: part of stdout, which is not compared then.
    Prints(String),
    /// `has a.log.1 = a.log`: a line; `has a.log.1 =` an empty file; `has a.log.1` anything.
    Has(String, Option<String>),
    /// `no a.log`
    No(String),
    /// `mode a.log 640`
    Mode(String, u32),
    /// `owner a.log 1:4`
    Owner(String, String),
    /// `last a.log now`: its entry in the state file: `now`, `hour` (this one, on the hour),
    /// `none`, `any`, or what stands there.
    Last(String, String),
    /// `mtime a.log.1 -3d`, or `now`
    Mtime(String, String),
    /// `any log.txt`: is there, but what is in it is not compared.
    Any(String),
}

/// Reads all cases of a text.
pub(crate) fn cases(text: &str) -> Vec<Case> {
    let texts = text.split("\n== ").skip(1).flat_map(each);
    texts.map(|text| case(&lines(&text))).collect()
}

/// The text of a case, once for each row of its table; a text without one is one case.
fn each(text: &str) -> Vec<String> {
    // A bar with blanks around it, as scripts may have `||`. The last cell may be empty.
    let cells = |row: &str| {
        let row = format!("{row} ");
        row.split(" | ").map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
    };
    let Some((before, after)) = text.split_once("\neach ") else { return vec![text.to_owned()] };
    let (head, after) = after.split_once('\n').expect("rows");
    let end = after.lines().take_while(|line| line.is_empty() || line.starts_with("    ")).count();
    let rows: Vec<&str> = after.lines().take(end).filter(|row| !row.is_empty()).collect();
    let rest: String = after.lines().skip(end).map(|line| format!("{line}\n")).collect();
    let text = format!("{before}\n{rest}");
    let names = cells(head);
    let fill = |row: &&str| {
        let values = cells(row);
        assert_eq!(values.len(), names.len(), "{row}: not one value for each of {names:?}");
        let line = |line: &str| {
            // A value of several lines is indented as its place is.
            let indent: String = line.chars().take_while(|letter| *letter == ' ').collect();
            let filled = names.iter().zip(&values).fold(line.to_owned(), |text, (name, value)| {
                let value = value.replace("\\n", &format!("\n{indent}"));
                text.replace(&format!("{{{name}}}"), &value)
            });
            filled + "\n"
        };
        text.lines().map(line).collect()
    };
    rows.iter().map(fill).collect()
}

/// A line and the indented ones below it.
type Lines = (String, Vec<String>);

/// The lines of a case; the first is the one with the name.
fn lines(text: &str) -> Vec<Lines> {
    let mut lines: Vec<Lines> = Vec::new();
    let mut blank = 0;
    for line in text.lines() {
        if line.trim().is_empty() {
            blank += 1;
            continue;
        }
        match (line.strip_prefix("    "), lines.last_mut()) {
            (Some(body), Some((_, below))) => {
                if !below.is_empty() {
                    below.extend(std::iter::repeat_n(String::new(), blank));
                }
                below.push(body.to_owned());
            }
            _ if line.starts_with('#') => {}
            _ => lines.push((line.trim_end().to_owned(), Vec::new())),
        }
        blank = 0;
    }
    lines
}

fn case(lines: &[Lines]) -> Case {
    let mut lines = lines.iter();
    let (head, _) = lines.next().expect("a name");
    let (name, _shows) = head.split_once(' ').unwrap_or((head, ""));
    let mut case = Case { name: name.to_owned(), ..Case::default() };
    for (line, below) in lines {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        let step = match verb {
            "needs" => {
                case.needs.extend(rest.split(' ').map(str::to_owned));
                continue;
            }
            "hangs" => {
                case.hangs = Some(rest.to_owned());
                continue;
            }
            "newer" | "better" => {
                let who = if verb == "newer" { Differs::Newer } else { Differs::Better };
                let wants = below.iter().map(|line| wanted(line, name)).collect();
                last_run(&mut case).differs = Some((who, rest.to_owned(), wants));
                continue;
            }
            _ if WANTS.contains(&verb) => {
                let want = wanted(line, name);
                last_run(&mut case).wants.push(want);
                continue;
            }
            _ => step(verb, rest, below).unwrap_or_else(|| panic!("{name}: what is `{line}`?")),
        };
        case.steps.push(step);
    }
    assert!(case.steps.iter().any(|step| matches!(step, Step::Run(_))), "{name} runs nothing");
    case
}

fn last_run(case: &mut Case) -> &mut Run {
    match case.steps.last_mut() {
        Some(Step::Run(run)) => run,
        other => panic!("{}: that belongs behind a run, not {other:?}", case.name),
    }
}

fn step(verb: &str, rest: &str, below: &[String]) -> Option<Step> {
    let pair =
        |by: char| rest.split_once(by).map(|(a, b)| (a.trim().to_owned(), b.trim().to_owned()));
    Some(match verb {
        "conf" | "file" => file(if verb == "conf" { "conf" } else { rest }, below),
        "dir" => {
            let (names, how, _) = attributes(rest);
            Step::Dir { names, how }
        }
        "link" => pair(' ').map(|(name, target)| Step::Link { name, target })?,
        "hard" => pair(' ').map(|(name, of)| Step::Hard { name, of })?,
        "fifo" => Step::Fifo(rest.to_owned()),
        "rm" => Step::Remove(rest.to_owned()),
        "lock" => Step::Lock(rest.to_owned()),
        "unlock" => Step::Unlock,
        "env" => pair('=').map(|(name, text)| Step::Env(name, text))?,
        "user" => Step::User(rest.parse().ok()?),
        "sh" => Step::Shell(rest.to_owned()),
        "at" => Step::At(NaiveDateTime::parse_from_str(rest, "%Y-%m-%d %H:%M:%S").ok()?),
        "state" => {
            let entries = below.iter().filter_map(|line| line.rsplit_once(' '));
            Step::State(entries.map(|(log, when)| (log.to_owned(), when.to_owned())).collect())
        }
        "run" | "raw" | "closed" => {
            let (args, status) = match rest.rsplit_once("=> ") {
                Some((args, status)) => (args, vec![Want::Exit(status.parse().ok()?)]),
                None => (rest, Vec::new()),
            };
            let args = words(args);
            let (raw, closed) = (verb == "raw", verb == "closed");
            Step::Run(Run { args, raw, closed, wants: status, differs: None })
        }
        _ => return None,
    })
}

/// Words as a shell would split them; single quotes are all it knows.
fn words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for letter in text.chars() {
        match letter {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => found.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    found.extend(word);
    found
}

fn file(rest: &str, below: &[String]) -> Step {
    // A value that is spread over the line stays one text: ` = ` ends the attributes.
    let (head, text) = match rest.split_once(" =") {
        Some((head, text)) => (head, Some(text.trim_start())),
        None => (rest, None),
    };
    let (names, how, size) = attributes(head);
    let content = match (text, size) {
        (Some(text), _) => Content::Text(written(text)),
        (None, Some(size)) => Content::Size(size),
        (None, None) if below.is_empty() => Content::Name,
        (None, None) => Content::Text(scripted(below)),
    };
    Step::File { names, how, content }
}

/// What `= TEXT` stands for: a line, or several with `\n` between them; nothing for nothing. One
/// that ends in `\c` has no newline.
fn written(text: &str) -> String {
    let text = text.replace("\\n", "\n");
    match text.strip_suffix("\\c") {
        Some(text) => text.to_owned(),
        None if text.is_empty() => text,
        None => text + "\n",
    }
}

/// The lines of a file, `+NAME` being a script that takes notes. A last line `\c` stands for
/// a file without a newline at its end.
fn scripted(below: &[String]) -> String {
    let mut text = String::new();
    for line in below {
        let Some((indent, call)) = line.split_once('+').filter(|(s, _)| s.trim().is_empty()) else {
            text += line;
            text.push('\n');
            continue;
        };
        let (name, more) = call.split_once(' ').unwrap_or((call, ""));
        text += &format!("{indent}{name}\nnote {name} \"$@\"; {more}\n{indent}endscript\n");
    }
    match text.strip_suffix("\n\\c\n") {
        Some(text) => text.to_owned(),
        None => text,
    }
}

fn attributes(text: &str) -> (Vec<String>, How, Option<usize>) {
    let (mut names, mut how, mut size) = (Vec::new(), How::default(), None);
    for word in words(text) {
        match word.split_once('=') {
            Some(("mode", value)) => how.mode = u32::from_str_radix(value, 8).ok(),
            Some(("age", value)) => how.age = Some(value.to_owned()),
            Some(("size", value)) => size = value.parse().ok(),
            Some(("own", value)) => how.owner = Some(ids(value)),
            _ => names.push(word),
        }
    }
    (names, how, size)
}

fn ids(text: &str) -> (u32, u32) {
    let ids = text.split_once(':').and_then(|(u, g)| Some((u.parse().ok()?, g.parse().ok()?)));
    ids.unwrap_or_else(|| panic!("{text} is not uid:gid"))
}

const WANTS: [&str; 11] =
    ["exit", "says", "never", "prints", "has", "no", "mode", "owner", "last", "mtime", "any"];

fn wanted(line: &str, case: &str) -> Want {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let text = || rest.to_owned();
    let pair = || {
        let (path, value) = rest.rsplit_once(' ').expect("two words");
        (path.to_owned(), value.to_owned())
    };
    match verb {
        "exit" => Want::Exit(rest.parse().expect("a number")),
        "says" => Want::Says(text()),
        "never" => Want::Never(text()),
        "prints" => Want::Prints(text()),
        "no" => Want::No(text()),
        "has" => match rest.split_once(" =") {
            Some((path, text)) => Want::Has(path.to_owned(), Some(written(text.trim_start()))),
            None => Want::Has(text(), None),
        },
        "mode" => Want::Mode(pair().0, u32::from_str_radix(&pair().1, 8).expect("octal")),
        "owner" => Want::Owner(pair().0, pair().1),
        "last" => Want::Last(pair().0, pair().1),
        "mtime" => Want::Mtime(pair().0, pair().1),
        "any" => Want::Any(text()),
        other => panic!("{case}: `{other}` says nothing about a run"),
    }
}
