//! The command line that does what was shown.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use logquota::plan::Host;
use logquota::policy::Reserve;

use super::args::{Fraction, FreeArgs};
use super::id::PlanId;
use super::wish::Wish;
use crate::args::{CompressArg, ValidFor};
use crate::quote::quoted;
use crate::root;
use crate::session::Look;
use crate::source::Source;

/// Its words. Paths are absolute: it may be typed elsewhere.
pub(super) fn words(
    args: &FreeArgs,
    wish: &Wish,
    look: &Look,
    host: &Host,
    id: &PlanId,
) -> Vec<OsString> {
    let called = std::env::args_os().next().filter(|name| !name.is_empty());
    let mut words: Vec<OsString> = vec![callable(called.unwrap_or_else(|| "logquota".into()))];
    words.push("free".into());
    match wish.goal.0 {
        Reserve::Bytes(count) if wish.inodes => words.push(count.get().to_string().into()),
        _ => words.push(wish.goal.to_string().into()),
    }
    words.extend(wish.inodes.then(|| "--inodes".into()));
    match &look.source {
        Source::Dir(_) => words.extend(look.source.as_dir().map(Into::into)),
        Source::Files(files) => {
            for file in files {
                words.push("--config".into());
                words.push(file.into());
            }
        }
    }
    if wish.cuts_logs {
        words.push("--trim-active".into());
    }
    let mut option = |name: &str, value: Option<OsString>| {
        if let Some(value) = value {
            // What a disk has for its name may look like an option.
            if value.as_bytes().starts_with(b"-") {
                let name: OsString = format!("{name}=").into();
                words.push([name, value].into_iter().collect());
            } else {
                words.push(name.into());
                words.push(value);
            }
        }
    };
    let number = |value: Option<u64>| value.map(|value| value.to_string().into());
    option("--root", look.tree.path().map(Into::into));
    option("--on", wish.on.clone().map(Into::into));
    option("--compress", args.compress.map(CompressArg::word).map(Into::into));
    option("--su", args.su.clone().map(Into::into));
    option("--max-files", number(wish.guards.max_files));
    option("--max-bytes", number(wish.guards.max_bytes.map(|bytes| bytes.get())));
    let permille = wish.guards.max_permille;
    let part = (permille != 500).then(|| Fraction(permille).to_string().into());
    option("--max-fraction", part);
    let valid_for = args.valid_for;
    let time = (valid_for != ValidFor::default()).then(|| valid_for.to_string().into());
    option("--valid-for", time);
    let name = host.disk.as_ref().map_or(Some(host.name.as_str()), root::called);
    option("--host", name.map(Into::into));
    option("--apply", Some(id.to_string().into()));
    words
}

/// How the program is called: the first of these words.
pub(super) fn program(words: &[OsString]) -> OsString {
    words.first().cloned().unwrap_or_default()
}

/// A program as it was called, to be called from any folder: a name without a folder is looked for
/// everywhere by the shell, another one only here.
fn callable(called: OsString) -> OsString {
    if !called.as_bytes().contains(&b'/') {
        return called;
    }
    std::path::absolute(&called).map_or(called, Into::into)
}

/// As lines of at most `width` columns that a shell reads as one. A value stays beside its option
/// where both have room in one line.
pub(crate) fn lines(words: &[OsString], width: usize) -> String {
    let mut text = String::new();
    let mut used = 0;
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    let len = |word: &String| word.chars().count();
    let mut behind_option = false;
    for (index, word) in words.iter().enumerate() {
        let value = words.get(index + 1).filter(|next| !next.starts_with('-'));
        let value = value.filter(|_| word.starts_with("--"));
        let both = len(word) + value.map_or(0, |value| 1 + len(value));
        let needed = if both + 4 + 2 > width { len(word) } else { both };
        if used > 0 && used + needed + 3 > width && !behind_option {
            text.push_str(" \\\n    ");
            used = 4;
        } else if used > 0 {
            text.push(' ');
            used += 1;
        }
        behind_option = value.is_some() && needed == both;
        text.push_str(word);
        used += len(word);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn a_value_stays_beside_its_option_if_one_line_has_room_for_both() {
        let shown = |text: &str, width| {
            let words: Vec<_> = text.split(' ').map(Into::into).collect();
            lines(&words, width)
        };
        let words = "logquota free 4M --host player-0417 --apply 437fd1788312";
        assert_eq!(
            shown(words, 40),
            "logquota free 4M --host player-0417 \\\n    --apply 437fd1788312"
        );
        assert_eq!(
            shown(words, 34),
            "logquota free 4M \\\n    --host player-0417 \\\n    --apply 437fd1788312"
        );
        // For which none has.
        assert_eq!(shown("a --config /a/long/path", 16), "a --config \\\n    /a/long/path");
    }
}
