//! Fuzz target for archive names: format and parse are inverse, and a prefix is not a name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use logquota::Naming;
use logquota::naming::{DateFormat, DateShift};

/// The first byte chooses how archives are called, the rest is a file name: every log that the
/// name is said to be an archive of would get exactly that name for it.
///
/// # Panics
///
/// If that is not so.
pub fn fuzz_names(data: &[u8]) {
    let Some((choice, name)) = data.split_first() else { return };
    let naming = naming(*choice);
    let name = OsStr::from_bytes(name);
    for (log, archive) in naming.split(name) {
        assert!(!log.is_empty());
        assert_ne!(log, name, "an archive is not its own log");
        assert_eq!(naming.format(&log, &archive.label, &archive.suffix), name);
        assert_eq!(naming.parse(&log, name), Some(archive));
    }
}

fn naming(choice: u8) -> Naming {
    let dated = |format: &str| {
        let format = DateFormat::new(format).unwrap_or_else(|_| DateFormat::daily());
        Naming::dated(format, DateShift::default())
    };
    let mut naming = match choice % 8 {
        0 => Naming::numbered(0),
        1 => Naming::numbered(1),
        2 => Naming::sequence(),
        3 => Naming::dated(DateFormat::daily(), DateShift::default()),
        4 => Naming::dated(DateFormat::hourly(), DateShift::default()),
        5 => dated(".%d-%m-%Y"),
        6 => dated("%s"),
        _ => dated("-%Y%j%z.x"),
    };
    if choice & 16 != 0 {
        naming.extension = Some(".log".to_owned());
    }
    if choice & 32 != 0 {
        naming.add_extension = Some(".txt".to_owned());
    }
    if choice & 64 != 0 {
        naming.extra_suffixes = vec![".1".to_owned(), ".packed".to_owned()];
    }
    naming
}
