use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::*;
use crate::fs::os::OsFs;
use crate::fs::{Attributes, ReadFs as _, WriteFs as _};
use crate::policy::Identity;

/// `u::rw,u:65534:rw,g::GROUP,m::rw,o::OTHER`
fn list(group: u8, other: u8) -> Acl {
    let mut bytes = vec![2, 0, 0, 0];
    for (tag, perm, id) in [
        (1, 6, u32::MAX),
        (2, 6, 65534),
        (4, group, u32::MAX),
        (16, 6, u32::MAX),
        (32, other, u32::MAX),
    ] {
        bytes.extend([tag, 0, perm, 0]);
        bytes.extend(u32::to_le_bytes(id));
    }
    Acl::from_bytes(&bytes).expect("a list")
}

/// A folder with a file `log` that has this list; none where the file system has no lists.
fn folder(acl: &Acl) -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    fs::write(&log, "content").expect("a file");
    match rustix::fs::setxattr(&log, ACL, &acl.to_bytes(), XattrFlags::empty()) {
        Ok(()) => Some(folder),
        Err(error) => {
            println!("skipped: needs a file system with access control lists: {error}");
            None
        }
    }
}

fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        println!("skipped: needs root");
    }
    is_root
}

fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 70_000];
    let len = rustix::fs::getxattr(path, name, &mut buffer[..]).ok()?;
    buffer.truncate(len);
    Some(buffer)
}

/// Makes `copy` of `log` as a run does.
fn copy(os: &OsFs, path: &Path, attributes: &Attributes) {
    let root = os.open_root(path).expect("the root");
    let source = os.read(root, OsStr::new("log")).expect("the log");
    let mut copy = os.create(root, OsStr::new("copy")).expect("a copy");
    copy.set_extended(&source.extended().expect("attributes")).expect("set");
    copy.write_all(b"content").expect("written");
    assert_eq!(copy.meta().expect("a look").mode, 0o600);
    copy.set_access(attributes, source.acl().expect("a list").as_ref()).expect("set");
}

fn mode(bits: u32) -> Attributes {
    Attributes { mode: Some(bits), ..Attributes::default() }
}

#[test]
fn a_copy_has_the_list_and_the_attributes_of_its_source() {
    let acl = list(0, 0);
    let Some(folder) = folder(&acl) else { return };
    let (log, new) = (folder.path().join("log"), folder.path().join("copy"));
    let long = vec![b'x'; 3000];
    let mut attributes = vec![("user.note", &b"kept"[..]), ("user.long", &long), ("user.no", b"")];
    if is_root() {
        attributes.extend([("trusted.note", &b"too"[..]), (LABEL, b"system_u:object_r:a_t:s0\0")]);
    }
    for (name, value) in &attributes {
        rustix::fs::setxattr(&log, *name, value, XattrFlags::empty()).expect("an attribute");
    }
    copy(&OsFs::new(), folder.path(), &mode(0o660));
    for (name, value) in &attributes {
        assert_eq!(attribute(&new, name).as_deref(), Some(*value), "{name}");
    }
    assert_eq!(attribute(&new, ACL), Some(acl.to_bytes()));
    assert_eq!(fs::metadata(&new).expect("it").permissions().mode() & 0o7777, 0o660);
}

#[test]
fn what_a_folder_gives_to_its_files_is_not_what_the_log_had() {
    let Some(folder) = folder(&list(6, 0)) else { return };
    let path = folder.path();
    let default = list(6, 6).to_bytes();
    let name = "system.posix_acl_default";
    rustix::fs::setxattr(path, name, &default, XattrFlags::empty()).expect("a default list");
    rustix::fs::removexattr(path.join("log"), ACL).expect("no list");
    copy(&OsFs::new(), path, &mode(0o640));
    assert_eq!(attribute(&path.join("copy"), ACL), None);
    // Without a log to be like, it is what the administrator wants.
    let os = OsFs::new();
    let root = os.open_root(path).expect("the root");
    let mut new = os.create(root, OsStr::new("new")).expect("a file");
    new.set_attributes(&mode(0o640)).expect("set");
    let kept = attribute(&path.join("new"), ACL).expect("a list");
    assert_eq!(kept, list(6, 0).with_mode(0o640).to_bytes());
}

#[test]
fn a_mode_that_is_narrower_than_the_list_narrows_it() {
    let Some(folder) = folder(&list(6, 6)) else { return };
    copy(&OsFs::new(), folder.path(), &mode(0o4640));
    let new = folder.path().join("copy");
    assert_eq!(attribute(&new, ACL), Some(list(6, 0).with_mode(0o640).to_bytes()));
    assert_eq!(fs::metadata(&new).expect("it").mode() & 0o7777, 0o4640);
}

#[test]
fn a_small_file_that_is_replaced_keeps_its_list_and_not_what_others_may() {
    let Some(folder) = folder(&list(4, 4)) else { return };
    let log = folder.path().join("log");
    crate::fs::os::replace_file(&log, b"new", 0o600).expect("replaced");
    assert_eq!(fs::read(&log).expect("it"), b"new");
    assert_eq!(attribute(&log, ACL), Some(list(4, 0).to_bytes()));
    // Without a list, the folder's is not taken in its place.
    let default = "system.posix_acl_default";
    rustix::fs::setxattr(folder.path(), default, &list(6, 6).to_bytes(), XattrFlags::empty())
        .expect("a default list");
    rustix::fs::removexattr(&log, ACL).expect("no list");
    crate::fs::os::replace_file(&log, b"newer", 0o600).expect("replaced");
    assert_eq!(attribute(&log, ACL), None);
}

#[test]
fn with_a_list_the_wrong_group_may_do_what_everybody_may() {
    if !is_root() {
        return;
    }
    let Some(folder) = folder(&list(6, 4)) else { return };
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("mode");
    let os = OsFs::new();
    os.act_as(Some(Identity { uid: 65534, gid: 65534 })).expect("nobody");
    let attributes = Attributes { mode: Some(0o664), owner: Some((0, 4)), times: None };
    copy(&os, folder.path(), &attributes);
    os.act_as(None).expect("back");
    assert_eq!(attribute(&folder.path().join("copy"), ACL), Some(list(4, 4).to_bytes()));
}

#[test]
fn what_is_not_ours_to_set_is_left_out() {
    if !is_root() {
        return;
    }
    let Some(folder) = folder(&list(4, 4)) else { return };
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("mode");
    let os = OsFs::new();
    os.act_as(Some(Identity { uid: 65534, gid: 65534 })).expect("nobody");
    let root = os.open_root(folder.path()).expect("the root");
    let mut file = os.create(root, OsStr::new("new")).expect("a file");
    let others = vec![("trusted.note".into(), b"1".to_vec()), ("user.note".into(), b"2".to_vec())];
    let set = file.set_extended(&Extended { label: Some(b"a:b:c:s0\0".to_vec()), others });
    os.act_as(None).expect("back");
    set.expect("what could be set");
    let path = folder.path().join("new");
    assert_eq!(attribute(&path, "user.note").as_deref(), Some(&b"2"[..]));
    assert_eq!(attribute(&path, "trusted.note"), None);
}

#[test]
fn a_label_that_cannot_be_set_matters_only_where_labels_decide() {
    assert!(forgive_label(Errno::PERM, false).is_ok());
    assert!(forgive_label(Errno::PERM, true).is_err());
    assert!(forgive_label(Errno::OPNOTSUPP, true).is_ok());
}
