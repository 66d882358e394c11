//! The one table of directives: how each is read, where it may stand, what undoes it, and
//! what it does to the options. A word that is not here is unknown.

use super::Dialect;
use super::classic::values as classic;
use super::diagnostic::Fault;
use super::env::Env;
use super::settings::Settings;
use super::values::{self as v, Argument, Problem};
use crate::policy::{MailWhen, NewFile, RotateWhen, Scripts};

/// What follows the name of a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nothing; the rest of the line is read on.
    Flag,
    /// The rest of the line, behind at most one `=`.
    Value,
    /// The rest of the line, often words, often optional.
    Line,
    /// Lines up to `endscript`.
    Script,
}

/// Where a directive may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// In a block, or outside of blocks as a default for the blocks that follow.
    Anywhere,
    /// Outside of blocks.
    Global,
    /// In a block.
    Block,
}

/// A word of the configuration language.
#[derive(Debug)]
pub struct Directive {
    name: &'static str,
    kind: Kind,
    scope: Scope,
    inverse: Option<&'static str>,
    effect: Effect,
}

type SetFlag = fn(&mut Settings);
type SetValue = fn(&mut Settings, &Argument<'_>, &dyn Env) -> Result<(), Problem>;
type Slot = fn(&mut Scripts) -> &mut Option<std::sync::Arc<str>>;

/// What a directive does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Effect {
    Flag(SetFlag),
    Value(SetValue),
    Script(Slot),
    /// Another file or folder is read.
    Include,
    /// The list of names that folders do not read; whole-name patterns, or endings.
    Taboo {
        whole: bool,
    },
    /// Known, and not done by this version: its blocks are left alone.
    Undone,
}

impl Directive {
    /// The word.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What follows it.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it may stand.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// The word that undoes it.
    #[must_use]
    pub const fn inverse(&self) -> Option<&'static str> {
        self.inverse
    }

    /// Whether this version does what it says. A block under a directive that is not done is
    /// refused as a whole.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        !matches!(self.effect, Effect::Undone)
    }

    /// `errors`, which logrotate passes over.
    pub(super) fn is_obsolete(&self) -> bool {
        self.name == "errors"
    }

    /// Whether logrotate only remarks that the value is missing, and goes on without.
    pub(super) fn may_lack_value(&self) -> bool {
        let names = ["size", "minsize", "maxsize", "minutes", "dateformat", "tabooext", "taboopat"];
        names.contains(&self.name)
    }

    /// Whether it is one of those that say when, of which the last one counts.
    pub(super) fn is_criterion(&self) -> bool {
        super::effects::CRITERIA.contains(&self.name)
    }

    pub(super) const fn is_script(&self) -> bool {
        matches!(self.kind, Kind::Script)
    }

    pub(super) const fn effect(&self) -> Effect {
        self.effect
    }

    const fn new(name: &'static str, kind: Kind, effect: Effect) -> Self {
        Self { name, kind, scope: Scope::Anywhere, inverse: None, effect }
    }

    const fn undone_by(self, inverse: &'static str) -> Self {
        Self { inverse: Some(inverse), ..self }
    }

    const fn only(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }
}

const fn flag(name: &'static str, set: SetFlag) -> Directive {
    Directive::new(name, Kind::Flag, Effect::Flag(set))
}

const fn value(name: &'static str, set: SetValue) -> Directive {
    Directive::new(name, Kind::Value, Effect::Value(set))
}

const fn line(name: &'static str, set: SetValue) -> Directive {
    Directive::new(name, Kind::Line, Effect::Value(set))
}

const fn script(name: &'static str, slot: Slot) -> Directive {
    Directive::new(name, Kind::Script, Effect::Script(slot))
}

const fn undone(name: &'static str, kind: Kind) -> Directive {
    Directive::new(name, kind, Effect::Undone)
}

/// Every directive, grouped as in the manual.
pub(super) static TABLE: &[Directive] = &[
    // How often, and when.
    flag("hourly", |s| s.when = Some(RotateWhen::Hourly)),
    flag("daily", |s| s.when = Some(RotateWhen::Daily)),
    line("weekly", |s, a, _| {
        let weekday = v::day(a, 7, "a weekday from 0 (Sunday) to 6, or 7 for every seventh day")?;
        s.when = Some(RotateWhen::Weekly { weekday });
        Ok(())
    }),
    line("monthly", |s, a, _| {
        let day = v::day(a, 31, "a day of the month from 1 to 31, or 0 for none")?;
        s.when = Some(RotateWhen::Monthly { day });
        Ok(())
    }),
    flag("yearly", |s| s.when = Some(RotateWhen::Yearly)),
    value("minutes", |s, a, _| {
        s.when = Some(RotateWhen::Minutes(v::positive(a)?));
        Ok(())
    }),
    value("size", |s, a, _| {
        s.when = Some(RotateWhen::Size(v::size(a, v::Blank::Refused)?));
        Ok(())
    }),
    value("maxsize", |s, a, _| v::set_size(&mut s.max_size, a)),
    value("minsize", |s, a, _| v::set_size(&mut s.min_size, a)),
    value("minage", |s, a, _| v::set_days(&mut s.min_age, a)),
    value("maxage", |s, a, _| v::set_days(&mut s.max_age, a)),
    flag("ifempty", |s| s.if_empty = true).undone_by("notifempty"),
    flag("notifempty", |s| s.if_empty = false).undone_by("ifempty"),
    // Which files.
    flag("missingok", |s| s.missing_ok = true).undone_by("nomissingok"),
    flag("nomissingok", |s| s.missing_ok = false).undone_by("missingok"),
    flag("ignoreduplicates", |s| s.ignore_duplicates = true),
    flag("allowhardlink", |s| s.hard_links = true).undone_by("noallowhardlink"),
    flag("noallowhardlink", |s| s.hard_links = false).undone_by("allowhardlink"),
    Directive::new("tabooext", Kind::Value, Effect::Taboo { whole: false }).only(Scope::Global),
    Directive::new("taboopat", Kind::Value, Effect::Taboo { whole: true }).only(Scope::Global),
    Directive::new("include", Kind::Value, Effect::Include),
    line("su", |s, a, env| {
        s.run_as = Some(v::identity(a, env)?);
        Ok(())
    }),
    // How many, and what they are called.
    value("rotate", |s, a, _| {
        s.count = v::count(a)?;
        Ok(())
    }),
    value("start", |s, a, _| {
        s.start = v::whole(a)?;
        Ok(())
    }),
    flag("dateext", |s| s.dated = true).undone_by("nodateext"),
    flag("nodateext", |s| s.dated = false).undone_by("dateext"),
    value("dateformat", |s, a, _| v::set_date_format(s, a)),
    flag("dateyesterday", |s| s.shift.yesterday = true).undone_by("nodateyesterday"),
    flag("nodateyesterday", |s| s.shift.yesterday = false).undone_by("dateyesterday"),
    flag("datehourago", |s| s.shift.hour_ago = true).undone_by("nodatehourago"),
    flag("nodatehourago", |s| s.shift.hour_ago = false).undone_by("datehourago"),
    value("extension", |s, a, _| v::set_suffix(&mut s.extension, a)),
    value("addextension", |s, a, _| v::set_suffix(&mut s.add_extension, a)),
    value("olddir", |s, a, env| {
        s.old_dir = Some(v::old_dir(a, env)?);
        Ok(())
    })
    .undone_by("noolddir"),
    flag("noolddir", |s| s.old_dir = None).undone_by("olddir"),
    line("createolddir", |s, a, env| {
        let given = v::new_file(a, env)?;
        s.create_old_dir = Some(NewFile { mode: given.mode.or(Some(0o755)), ..given });
        Ok(())
    })
    .undone_by("nocreateolddir"),
    flag("nocreateolddir", |s| s.create_old_dir = None).undone_by("createolddir"),
    // What happens to the live log.
    line("create", |s, a, env| {
        s.create = Some(v::new_file(a, env)?);
        Ok(())
    })
    .undone_by("nocreate"),
    flag("nocreate", |s| s.create = None).undone_by("create"),
    flag("copy", |s| s.copy = true).undone_by("nocopy"),
    flag("nocopy", |s| s.copy = false).undone_by("copy"),
    flag("copytruncate", |s| {
        s.copy_truncate = true;
        s.rename_copy = false;
    })
    .undone_by("nocopytruncate"),
    flag("nocopytruncate", |s| s.copy_truncate = false).undone_by("copytruncate"),
    flag("renamecopy", |s| {
        s.rename_copy = true;
        s.copy_truncate = false;
    })
    .undone_by("norenamecopy"),
    flag("norenamecopy", |s| s.rename_copy = false).undone_by("renamecopy"),
    flag("shred", |s| s.shred = true).undone_by("noshred"),
    flag("noshred", |s| s.shred = false).undone_by("shred"),
    // Says something about `shred` only, so alone it does no harm.
    value("shredcycles", |s, a, _| {
        s.shred_cycles = v::whole(a)?;
        Ok(())
    }),
    // Compression.
    flag("compress", |s| s.compress = true).undone_by("nocompress"),
    flag("nocompress", |s| s.compress = false).undone_by("compress"),
    flag("delaycompress", |s| s.delay = true).undone_by("nodelaycompress"),
    flag("nodelaycompress", |s| s.delay = false).undone_by("delaycompress"),
    value("compresscmd", |s, a, _| {
        if a.dialect == Dialect::Logrotate {
            return classic::compressor(s, a);
        }
        s.suffix = None;
        classic::compressor(s, a)?;
        if s.compressor.as_deref().is_some_and(|c| c.contains('/') && !c.starts_with('/')) {
            return Err(a.expected("a program's name, or its whole path", "begin it with `/`"));
        }
        s.codec = s.compressor.as_deref().and_then(v::codec);
        if s.codec.is_some() {
            s.suffix = None;
        }
        Ok(())
    }),
    // Says something about `mail` only, so alone it does no harm.
    value("uncompresscmd", |s, a, _| {
        s.unpack = Some(v::one_word(a)?.to_owned());
        Ok(())
    }),
    value("compressext", |s, a, _| v::set_suffix(&mut s.suffix, a)),
    line("compressoptions", |s, a, _| {
        if a.dialect == Dialect::Own {
            s.level = v::level(a)?;
        }
        s.options = classic::options(a)?;
        Ok(())
    }),
    // Mail. Without an address the others say nothing.
    value("mail", |s, a, _| {
        s.mail = Some(classic::mail_address(a)?);
        Ok(())
    })
    .undone_by("nomail"),
    flag("nomail", |s| s.mail = None).undone_by("mail"),
    flag("mailfirst", |s| s.mail_when = MailWhen::First).undone_by("maillast"),
    flag("maillast", |s| s.mail_when = MailWhen::Last).undone_by("mailfirst"),
    // Scripts.
    script("firstaction", |s| &mut s.first),
    script("prerotate", |s| &mut s.pre),
    script("postrotate", |s| &mut s.post),
    script("lastaction", |s| &mut s.last),
    script("preremove", |s| &mut s.pre_remove),
    flag("sharedscripts", |s| s.scripts.shared = true).undone_by("nosharedscripts"),
    flag("nosharedscripts", |s| s.scripts.shared = false).undone_by("sharedscripts"),
    undone("errors", Kind::Value),
    // Ours.
    value("quota", |s, a, _| {
        s.limits.quota = Some(v::quota(a)?);
        Ok(())
    }),
    value("maxfiles", |s, a, _| {
        s.limits.max_files = Some(u64::from(v::positive(a)?.get()));
        Ok(())
    }),
    value("reserve", |s, a, _| {
        s.limits.reserve = Some(v::reserve(a)?);
        Ok(())
    }),
    value("set", |s, a, _| {
        s.name = Some(v::set_name(a)?);
        Ok(())
    })
    .only(Scope::Block),
    flag("livetrim", |s| s.live_trim = true).only(Scope::Block),
    value("ballast", |s, a, _| {
        // Of several the largest: in which order files are read must not matter.
        s.ballast = s.ballast.max(Some(v::ballast(a)?));
        Ok(())
    })
    .only(Scope::Global),
];

/// Every directive there is.
pub fn all() -> impl Iterator<Item = &'static Directive> {
    TABLE.iter()
}

/// The directive of this name. Case matters.
#[must_use]
pub fn find(name: &str) -> Option<&'static Directive> {
    TABLE.iter().find(|directive| directive.name == name)
}

/// The directive of this name, if the dialect has it: what logrotate does not know and we do
/// not do yet is unknown where we stand in for it.
pub(super) fn find_in(name: &str, dialect: Dialect) -> Option<&'static Directive> {
    let known = find(name)?;
    let is_undone = matches!(known.effect, Effect::Undone) && !known.is_obsolete();
    (dialect == Dialect::Own || !is_undone).then_some(known)
}

/// The directive that somebody may have meant who wrote `name`.
pub(super) fn nearest(name: &str) -> Option<&'static Directive> {
    // Longer words than any directive are not compared: their length may be anything.
    if name.len() > 24 {
        return None;
    }
    let lower = name.to_ascii_lowercase();
    TABLE
        .iter()
        .map(|directive| (distance(&lower, directive.name), directive))
        .filter(|(distance, directive)| *distance <= if directive.name.len() > 6 { 2 } else { 1 })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, directive)| directive)
}

/// How many letters to insert, remove or replace.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (index, x) in a.bytes().enumerate() {
        let mut left = index + 1;
        let mut next = vec![left];
        for (y, pair) in b.bytes().zip(row.windows(2)) {
            let &[diagonal, above] = pair else { continue };
            left = (diagonal + usize::from(x != y)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

/// The fault of a directive that stands where it may not.
pub(super) fn misplaced(directive: &Directive, pos: super::diagnostic::Pos) -> Fault {
    let name = directive.name;
    match directive.scope {
        Scope::Block => Fault::new(
            pos,
            format!("`{name}` outside of a block"),
            "write it inside the block that it is meant for",
        )
        .classic(format!("{name} may only appear inside of log file definition")),
        _ => Fault::new(
            pos,
            format!("`{name}` inside a block"),
            "write it outside of blocks, before the `include` that it is meant for",
        )
        .classic(format!("{name} may not appear inside of log file definition")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directive_stands_once_and_its_inverse_names_it_back() {
        for directive in all() {
            let same = all().filter(|other| other.name == directive.name).count();
            assert_eq!(same, 1, "{}", directive.name);
            if let Some(inverse) = directive.inverse {
                let back = find(inverse).and_then(Directive::inverse);
                assert_eq!(back, Some(directive.name));
            }
            assert!(directive.name.bytes().all(|b| b.is_ascii_lowercase()));
        }
    }

    #[test]
    fn the_nearest_word_is_found_and_nothing_far_away() {
        let near = |name: &str| nearest(name).map(Directive::name);
        assert_eq!(near("Rotate"), Some("rotate"));
        assert_eq!(near("postrotatee"), Some("postrotate"));
        assert_eq!(near("delaycompres"), Some("delaycompress"));
        assert_eq!(near("x"), None);
        assert_eq!(near("frobnicate"), None);
        assert_eq!(near(&"a".repeat(100_000)), None);
        assert_eq!(
            (distance("", "abc"), distance("abc", "abd"), distance("abc", "abc")),
            (3, 1, 0)
        );
    }
}
