//! logrotate's words for values that are wrong or missing: scripts and monitors match on them.

use super::super::diagnostic::show;

/// What it says about a value, or about its absence.
pub(in super::super) fn bad_value(name: &str, value: &[u8]) -> String {
    if value.is_empty() {
        return missing_value(name);
    }
    let value = show(value);
    match name {
        "rotate" => format!("bad rotation count '{value}'"),
        "start" => format!("bad start count '{value}'"),
        "minage" => format!("bad minimum age '{value}'"),
        "maxage" => format!("bad maximum age '{value}'"),
        "shredcycles" => format!("bad shred cycles '{value}'"),
        "size" | "minsize" | "maxsize" => format!("bad size '{value}'"),
        "weekly" | "monthly" => format!("bad {name} directive '{value}'"),
        "mail" => format!("bad mail address {value}"),
        "olddir" => format!("bad olddir path {value}"),
        "compresscmd" => format!("bad compress path {value}"),
        "uncompresscmd" => format!("bad uncompress path {value}"),
        "compressoptions" => "invalid compression options".to_owned(),
        _ => format!("bad {name} '{value}'"),
    }
}

/// What it says where a value is needed and there is none.
pub(in super::super) fn missing_value(name: &str) -> String {
    let what = match name {
        "rotate" => "rotate count",
        "start" => "start count",
        "minage" => "minage count",
        "maxage" => "maxage count",
        "shredcycles" => "shred cycles",
        "extension" => "extension name",
        "addextension" => "addextension name",
        "compresscmd" => "compress",
        "uncompresscmd" => "uncompress",
        "compressext" => "compress-ext",
        "compressoptions" => return "invalid compression options".to_owned(),
        other => other,
    };
    format!("argument expected after {what}")
}
