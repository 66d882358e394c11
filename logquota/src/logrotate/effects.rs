//! Remarks about blocks that are right and still do not do what they say: directives without
//! effect beside others of the same block.

use std::rc::Rc;

use super::diagnostic::{Fault, Pos, Severity, Source};
use super::directives::{Directive, Kind};
use super::settings::Settings;
use crate::policy::{Method, RotateWhen};

/// A directive that a block gave.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) directive: &'static Directive,
    pub(super) source: Rc<Source>,
    pub(super) pos: Pos,
    pub(super) value: Box<[u8]>,
}

impl Given {
    fn name(&self) -> &'static str {
        self.directive.name()
    }

    fn is(&self, names: &[&str]) -> bool {
        names.contains(&self.name())
    }
}

pub(super) const CRITERIA: &[&str] =
    &["hourly", "daily", "weekly", "monthly", "yearly", "minutes", "size"];

/// What a block says in vain. `settings` are those that it ended up with; `has_quota` says whether
/// one holds for all blocks.
///
/// A time that a later `size` replaces, and a new log where the log is copied, stand in files
/// that distributions ship; they are notes, so that those files are read without a warning.
pub(super) fn without_effect(
    given: &[Given],
    settings: &Settings,
    has_quota: bool,
) -> Vec<(Severity, Rc<Source>, Fault)> {
    // The last of each name is what counts; there are as many as directives, while `given` may
    // be as long as a file.
    let mut last: Vec<(usize, &Given)> = Vec::new();
    for (index, this) in given.iter().enumerate() {
        last.retain(|(_, known)| known.name() != this.name());
        last.push((index, this));
    }
    let mut found: Vec<(Severity, Rc<Source>, Fault)> = Vec::new();
    let mut told: Vec<&str> = Vec::new();
    for (index, this) in given.iter().enumerate() {
        if told.contains(&this.name()) {
            continue;
        }
        let later = last.iter().filter(|(at, _)| *at > index).map(|(_, given)| *given);
        let why = replaced(this, later).or_else(|| {
            let is_useless =
                this.is(&["livetrim"]) && !has_quota && settings.limits.quota.is_none();
            let cut = ("there is no quota so far".to_owned(), "add `quota`".to_owned());
            is_useless.then_some(cut).or_else(|| alone(this, &last, settings))
        });
        if let Some((why, help)) = why {
            told.push(this.name());
            let message = format!("`{}` has no effect: {why}", this.name());
            let severity = match this.name() {
                "create" => Severity::Note,
                name if CRITERIA.contains(&name) => Severity::Note,
                _ => Severity::Warning,
            };
            found.push((
                severity,
                Rc::clone(&this.source),
                Fault::new(this.pos, message, help).without_effect(),
            ));
        }
    }
    found
}

/// What comes later in the block and takes its place.
fn replaced<'a>(
    this: &Given,
    mut later: impl Iterator<Item = &'a Given>,
) -> Option<(String, String)> {
    let rival = later.find(|other| {
        let same = other.name() == this.name();
        let different_value = this.directive.kind() != Kind::Flag && other.value != this.value;
        (same && different_value)
            || this.directive.inverse() == Some(other.name())
            || (!same && this.is(CRITERIA) && other.is(CRITERIA))
            || (this.is(&["copytruncate"]) && other.is(&["renamecopy"]))
            || (this.is(&["renamecopy"]) && other.is(&["copytruncate"]))
    })?;
    let line = rival.pos.line;
    Some((
        format!("`{}` in line {line} replaces it", rival.name()),
        "keep the one that is meant".to_owned(),
    ))
}

/// What it needs and the block has not, or has and excludes it.
fn alone(this: &Given, last: &[(usize, &Given)], settings: &Settings) -> Option<(String, String)> {
    let has = |name: &str| last.iter().any(|(_, other)| other.name() == name);
    let size = match settings.when {
        Some(RotateWhen::Size(size)) => Some(size),
        _ => None,
    };
    let (why, help) = match this.name() {
        "delaycompress" if !settings.compress => ("nothing is compressed", "add `compress`"),
        "compresscmd" | "compressext" | "compressoptions" if !settings.compress => {
            ("nothing is compressed", "add `compress`")
        }
        "dateformat" | "dateyesterday" | "datehourago" if !settings.dated => {
            ("archives have numbers", "add `dateext`")
        }
        "start" if settings.dated => ("archives have dates and no numbers", "remove it"),
        "createolddir" if settings.old_dir.is_none() => ("there is no `olddir`", "add `olddir`"),
        "copy" if has("copytruncate") && settings.copy_truncate => {
            ("`copytruncate` copies as well", "keep the one that is meant")
        }
        "create"
            if (has("copytruncate") || has("copy"))
                && matches!(settings.method(), Some(Method::CopyTruncate | Method::Copy)) =>
        {
            ("the log stays where it is", "remove it, or the copying")
        }
        "minsize" | "minage" if size.is_some() => {
            ("it holds back a time, and the criterion is `size`", "remove one of them")
        }
        "maxsize" => match (size, settings.max_size) {
            (Some(size), Some(most)) if most >= size => {
                ("`size` is smaller and reached first", "remove it")
            }
            _ => return None,
        },
        "size" => match (size, settings.max_size) {
            (Some(size), Some(most)) if most < size => {
                ("`maxsize` is smaller and reached first", "remove one of them")
            }
            _ => return None,
        },
        "shredcycles" if !settings.shred => ("nothing is shredded", "remove it"),
        "uncompresscmd" if settings.mail.is_none() => {
            ("it is for mail, and nothing is mailed", "remove it")
        }
        _ => return None,
    };
    Some((why.to_owned(), help.to_owned()))
}
