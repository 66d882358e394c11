//! `--root`: the disk of another machine, mounted here. Paths are those it has there; what its
//! configuration names is not run here.

use std::path::{Path, PathBuf};

use logquota::error::printable;
use logquota::fs::os::Tree;
use logquota::plan::Disk;
use logquota::report::RootJson;
use logquota::{Error, Op};

use crate::exit::Failure;
use crate::source::absolute;

/// The tree in which everything is, by the argument of `--root`.
pub(crate) fn open(root: Option<&Path>) -> Result<Tree, Failure> {
    let Some(root) = root else { return Ok(Tree::default()) };
    Tree::mounted(root).map_err(|error| {
        Failure::Usage(format!("`{}` cannot be a --root: {error}", printable(root)))
    })
}

/// That of a plan file, if it is still the same disk.
pub(crate) fn reopen(root: Option<&RootJson>) -> Result<Tree, Failure> {
    let refused = |why: String| Err(Failure::Refused(format!("the plan was refused: {why}")));
    let Some(root) = root else { return Ok(Tree::default()) };
    let Some(path) = root.path.to_path().filter(|path| path.is_absolute()) else {
        return refused("its source has a root that is not absolute".to_owned());
    };
    let shown = printable(&path);
    let (tree, disk) = match Tree::mounted(&path).and_then(|tree| Ok((tree.disk()?, tree))) {
        Ok((Some(disk), tree)) => (tree, disk),
        Ok((None, _)) => return refused(format!("`{shown}` is no disk of another machine")),
        Err(error) => return refused(format!("`{shown}`: {error}")),
    };
    let now = RootJson::new(&disk);
    if (&now.host, &now.machine) != (&root.host, &root.machine) {
        return refused(format!(
            "the disk at `{shown}` was that of `{}`, and is another machine's now: `{}`",
            printable(&root.host),
            printable(&now.host)
        ));
    }
    if now != *root {
        return refused(format!(
            "`{shown}` is not the disk that it was (its device, inode or mount is another one)"
        ));
    }
    Ok(tree)
}

/// A path that was given: absolute, or that on the disk.
pub(crate) fn place(tree: &Tree, path: &Path) -> Result<PathBuf, Failure> {
    let Some(root) = tree.path() else { return absolute(path) };
    let usage = |rest: &Path| {
        Err(Failure::Usage(format!(
            "with --root, paths are those on that disk: `{}` and not `{}`",
            printable(Path::new("/").join(rest)),
            printable(path)
        )))
    };
    match path.strip_prefix(root) {
        Ok(rest) if !tree.has(path) => usage(rest),
        _ if path.is_absolute() => Ok(path.to_owned()),
        _ => usage(path),
    }
}

/// What it is; none for this system itself.
pub(crate) fn disk(tree: &Tree) -> Result<Option<Disk>, Error> {
    tree.disk().map_err(Error::io(Op::Stat, tree.path().unwrap_or(Path::new("/"))))
}

/// How the disk's machine is told from others by who means it: by its name, or else its id.
pub(crate) fn called(disk: &Disk) -> Option<&str> {
    [&disk.name, &disk.machine_id].into_iter().find(|name| !name.is_empty()).map(String::as_str)
}

/// What the disk's machine is called on a screen.
pub(crate) fn name(disk: &Disk) -> &str {
    called(disk).unwrap_or("an unknown machine")
}
