//! The folder of archives (`olddir`) as logrotate treats it while it reads a configuration: it is
//! looked at then, and with `createolddir` made then, also when nothing else is done.
//!
//! A path that an administrator has written is resolved as it stands, links included.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, Stat};
use rustix::process::{Gid, Uid};

use crate::error::printable;
use crate::policy::{ArchiveDir, Identity, Method, NewFile, Policy};

/// The mode of a folder that is made without one.
const MODE: u32 = 0o755;

/// Checks the folder of archives for one log, and makes it if it is to be made. Each folder that
/// is made is told to `made`, in logrotate's words. That it is no folder at all is found out
/// when the log is looked at.
///
/// # Errors
///
/// Why the archives of this log cannot go there, in words.
pub fn check_old_dir(
    log: &Path,
    folder: &ArchiveDir,
    policy: &Policy,
    made: &mut dyn FnMut(String),
) -> Result<(), String> {
    let parent = match log.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let home = match look(parent) {
        Ok(found) => found,
        Err(error) if is_missing(&error) && policy.missing_ok => return Ok(()),
        Err(error) => return Err(format!("{}: {}", printable(parent), reason(&error))),
    };
    // Joining an absolute path takes its place.
    let path = parent.join(&folder.path);
    let found = match (look(&path), folder.create) {
        (Err(error), Some(create)) if is_missing(&error) => {
            make(&path, create, policy.run_as, made)
                .and_then(|()| look(&path))
                .map_err(|error| reason(&error))?
        }
        (found, _) => found.map_err(|error| reason(&error))?,
    };
    if policy.method == Method::Rename && found.st_dev != home.st_dev {
        return Err(format!(
            "{} and {} are on different devices",
            printable(parent),
            printable(&path)
        ));
    }
    Ok(())
}

fn look(path: &Path) -> io::Result<Stat> {
    Ok(rustix::fs::stat(path)?)
}

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// What the system says, without its number.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error ").next().unwrap_or(&text).to_owned()
}

/// Makes a folder and those above it, each with this mode and owner.
fn make(
    path: &Path,
    create: NewFile,
    run_as: Option<Identity>,
    made: &mut dyn FnMut(String),
) -> io::Result<()> {
    let mut missing: Vec<PathBuf> = Vec::new();
    for folder in path.ancestors() {
        match look(folder) {
            Err(error) if is_missing(&error) => missing.push(folder.to_owned()),
            Err(error) => return Err(error),
            Ok(_) => break,
        }
    }
    let mode = create.mode.unwrap_or(MODE);
    let uid = create.uid.or(run_as.map(|who| who.uid));
    let gid = create.gid.or(run_as.map(|who| who.gid));
    for folder in missing.into_iter().rev() {
        let here = (crate::fs::config::effective_uid(), rustix::process::getegid().as_raw());
        let (told_uid, told_gid) = (uid.unwrap_or(here.0), gid.unwrap_or(here.1));
        made(format!(
            "creating new directory {} mode = {mode:04o} uid = {told_uid} gid = {told_gid}",
            printable(&folder)
        ));
        // Ours alone until it has its owner.
        rustix::fs::mkdir(&folder, Mode::RWXU)?;
        if here.0 == 0 && (uid.is_some() || gid.is_some()) {
            rustix::fs::chown(&folder, uid.map(Uid::from_raw), gid.map(Gid::from_raw))?;
        }
        rustix::fs::chmod(&folder, Mode::from_raw_mode(mode))?;
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests look at the disk")]
mod tests {
    use super::*;

    #[test]
    fn a_missing_folder_is_made_with_all_above_it_or_refused() {
        let temp = tempfile::tempdir().expect("a folder");
        let log = temp.path().join("a.log");
        let check = |path: &str, create: Option<NewFile>| {
            let mut made = Vec::new();
            let folder = ArchiveDir { path: path.into(), create };
            let policy = Policy::default();
            let checked = check_old_dir(&log, &folder, &policy, &mut |line| made.push(line));
            checked.map(|()| made.len())
        };
        assert_eq!(check("old", None), Err("No such file or directory".to_owned()));
        let mode = NewFile { mode: Some(0o710), ..NewFile::default() };
        assert_eq!(check("x/y", Some(mode)), Ok(2));
        assert_eq!(check("x/y", Some(mode)), Ok(0));
        for folder in ["x", "x/y"] {
            let made = look(&temp.path().join(folder)).expect("made");
            assert_eq!(made.st_mode & 0o7777, 0o710);
        }
        std::fs::write(temp.path().join("file"), "").expect("a file");
        assert_eq!(check("file", None), Ok(0));
        assert!(check("/proc", None).is_err_and(|why| why.ends_with("are on different devices")));
    }

    #[test]
    fn a_log_whose_folder_is_missing_is_passed_over_with_missingok() {
        let folder = ArchiveDir { path: "old".into(), create: None };
        let mut policy = Policy::default();
        let log = Path::new("/nowhere-at-all/a.log");
        let check = |policy: &Policy| check_old_dir(log, &folder, policy, &mut |_| {});
        assert!(check(&policy).is_err());
        policy.missing_ok = true;
        assert_eq!(check(&policy), Ok(()));
    }
}
